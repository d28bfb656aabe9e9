"""What a network says of stations left out, silent, or in hours at which no station reports: what calibration rests on.

Two kinds of stations are asked as cells are: from others. The calibration stations, which never trained the network,
and as many of the training stations, left out alone and by neighbourhoods, in draws that change from day to day. The
first say how far the second can be believed; the second stand at every distance, which some fifty stations do not.
On some days the same stations are there and silent, and on some no station reports for hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.background_air.record import Informing
from aqreanalysis.common.geodesy import KM_PER_DEGREE, relative_position
from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.distribution.hourly import Predictive
from aqreanalysis.model.network.neighbours import NearestStations
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.model.predictor import AnalysisGeometry, EncodedAnalysis

#: Days that are asked at most.
MOST_DAYS = 180
# The same where kerbs and sensors are in sight, whose equivalents of background air are made anew for each view.
_MOST_INFORMED_DAYS = 45
# Days that share one draw of what is left out: the geometry is solved once for them.
_DAYS_A_VIEW = 2
# Of four days, on which the stations left out are there and silent, and on which the network's scale is read round the
# stations, at so many points.
_DAYS_APART, _SILENT_DAY, _POINTS_DAY = 4, 1, 0
# On so many days, where there are as many, no station reports for some hours: what is off then is the weather of the
# day, which all stations share.
_GAP_DAYS = 45
_POINTS = 48
_POINT_KM = 0.3, 300.0
# Of the training stations, left out at once: few enough that the others still are the network that a cube is made from.
_LEFT_OUT = 0.125
# Stations of one cell this wide err together and count as one place.
_PLACE_DEGREES = 0.5


@dataclass(frozen=True)
class StationRecords:
    """Readings for calibration: concentrations (hour, station, input) of whole UTC days, their stamps, the stations.

    `training` and `calibration` are masks over the stations; `fields` holds the covariates of a model that has them;
    `learnt` says whether the weights were fitted to the training stations, or those of another network; `others` are
    always in sight: kerbs and sensors, as background air by what is in sight of the stations.
    """

    values: NDArray[np.float32]
    hours: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    training: NDArray[np.bool_]
    calibration: NDArray[np.bool_]
    fields: FieldSource | None = None
    learnt: bool = True
    others: Informing | None = None

    def seen_from(self, visible: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return degrees of the stations in sight, those that inform without being of background air last."""
        lat, lon = self.lat[visible], self.lon[visible]
        if self.others is None:
            return lat, lon
        return np.append(lat, self.others.lat), np.append(lon, self.others.lon)

    def readings(self, values: NDArray[np.float32], steps: slice, visible: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the readings of `seen_from` (hour, station, input), of `values` (hour, station, input) at `steps`."""
        if self.others is None:
            return values[:, visible]
        beside = self.others.readings(np.where(visible[:, None], values, np.nan), steps)
        return np.concatenate([values[:, visible], beside], axis=1)

    def sample_visible_stations(self, reach_km: float, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return the training stations that stay in sight, shape (station,): an eighth is left out.

        Half of it are single stations, half neighbourhoods of random radius up to `reach_km`.
        """
        among = np.flatnonzero(self.training)
        budget = max(1, round(_LEFT_OUT * len(among)))
        hidden = np.zeros(len(self.training), dtype=bool)
        hidden[rng.permutation(among)[: (budget + 1) // 2]] = True
        while hidden.sum() < budget:
            centre = rng.choice(among)
            near = self.training & (self._between(np.array([centre]))[0] <= rng.uniform(0, reach_km))
            # One neighbourhood may hold half of a small network: then its middle alone goes.
            more = near if (hidden | near).sum() <= 2 * budget else np.arange(len(hidden)) == centre
            hidden |= more
        return self.training & ~hidden

    def places(self) -> NDArray[np.int64]:
        """Return a number for each station, shape (station,), the same for stations that stand close together."""
        cells = np.stack((np.floor(self.lat / _PLACE_DEGREES), np.floor(self.lon / _PLACE_DEGREES)))
        return np.unique(cells, axis=1, return_inverse=True)[1].ravel().astype(np.int64)

    def _between(self, targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return distances in km from `targets` to all stations, shape (target, station)."""
        lat, lon = self.lat[targets][:, None], self.lon[targets][:, None]
        return np.asarray(np.linalg.norm(relative_position(lat, lon, self.lat[None], self.lon[None]), axis=-1))


@dataclass(frozen=True)
class NetworkResiduals:
    """What readings were off by, in the network's own scale, with what they are sorted by; each float64 (reading,).

    Attributes
    ----------
    station : int64
        Whose reading.
    hour : int64
        Stamp, hours since 1970-01-01.
    reporting_km, nearest_km
        Distance to the nearest station that reports, and to the nearest.
    since_hours, until_hours
        Hours since the last and until the next reading of any station; 0 where one reports.
    level, location, scale
        Standardised location, with the drift and less it, and scale.
    standard
        ``(log(x + offset) - location) / scale``.
    """

    station: NDArray[np.int64]
    hour: NDArray[np.int64]
    reporting_km: NDArray[np.float64]
    nearest_km: NDArray[np.float64]
    since_hours: NDArray[np.float64]
    until_hours: NDArray[np.float64]
    level: NDArray[np.float64]
    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    standard: NDArray[np.float64]

    @property
    def gap_hours(self) -> NDArray[np.float64]:
        """Hours to the nearest reading of any station, float64 (reading,)."""
        return np.minimum(self.since_hours, self.until_hours)

    def where_nearest_reports(self) -> NetworkResiduals:
        """Return those of hours at which the nearest station reports."""
        return self.only((self.gap_hours == 0) & (self.reporting_km <= self.nearest_km))

    @classmethod
    def of(
        cls,
        predictive: Predictive,
        reading: NDArray[np.float32],
        where: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]],
    ) -> NetworkResiduals:
        """Return those of readings (hour, place); `where` is stations, hours, distances and drift of the places."""
        station, hours, nearest, drift = where
        standard, level = predictive.standardise(reading)
        silence, none = predictive.silence, np.zeros(len(standard))
        since, until = (none, none) if silence is None else (silence.since_hours, silence.until_hours)
        apart = predictive.reporting_km, nearest, since[:, None], until[:, None]
        sorted_by = station, hours[:, None], *apart, level, level - drift
        known = np.isfinite(standard)
        return cls(*(np.broadcast_to(part, standard.shape)[known] for part in (*sorted_by, predictive.scale, standard)))

    @classmethod
    def joined(cls, parts: list[NetworkResiduals]) -> NetworkResiduals:
        """Return all of them, in float64."""

        def column(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts] or [np.empty(0)])

        station, hour, *others = (column(f.name) for f in fields(cls))
        return cls(station.astype(np.int64), hour.astype(np.int64), *(one.astype(np.float64) for one in others))

    def only(self, chosen: NDArray[np.bool_]) -> NetworkResiduals:
        """Return some of them."""
        return NetworkResiduals(*(getattr(self, f.name)[chosen] for f in fields(self)))


@dataclass
class Measured:
    """What was measured of one pollutant.

    Attributes
    ----------
    parts : list of NetworkResiduals
        Of each day.
    points : list of ndarray
        Distance to the nearest station in km, and mean logarithm of the network's scale, at some points (2, point).
    """

    parts: list[NetworkResiduals] = field(default_factory=list)
    points: list[NDArray[np.float64]] = field(default_factory=list)

    @property
    def residuals(self) -> NetworkResiduals:
        """All residuals."""
        return NetworkResiduals.joined(self.parts)


@dataclass(frozen=True)
class View:
    """Which stations are in sight, which are asked, and as what they are seen from the others."""

    visible: NDArray[np.bool_]
    targets: NDArray[np.int64]
    places: AnalysisGeometry


def measure(
    predictor: AnalysisPredictor, records: StationRecords, rounds: int = 1, most_days: int = MOST_DAYS
) -> dict[str, Measured]:
    """Return what an uncalibrated network says of the hours that training saw, by pollutant.

    With several `rounds` each day is asked as often, with other stations left out: a small network has few a time.
    """
    rng = np.random.default_rng(predictor.config.split.seed)
    most_days = most_days if records.others is None else min(most_days, _MOST_INFORMED_DAYS)
    measured = {key: Measured() for key in predictor.species}
    for _ in range(rounds):
        _measure_once(predictor, records, (rng, most_days), measured)
    return measured


def _measure_once(
    predictor: AnalysisPredictor,
    records: StationRecords,
    drawn: tuple[np.random.Generator, int],
    measured: dict[str, Measured],
) -> None:
    """Add to what was measured that of some days, at most so many, each once."""
    rng, most_days = drawn
    before, after = predictor.history_hours, predictor.lookahead_hours
    days = (len(records.hours) - before - after) // 24
    there = records.training | records.calibration
    chosen = np.unique(np.linspace(0, days - 1, most_days).astype(int))
    apart = max(1, len(chosen) // _GAP_DAYS)
    for number, day in enumerate(chosen):
        if number % _DAYS_A_VIEW == 0:
            view = _draw_view(predictor, records, rng)
        steps = slice(day * 24, day * 24 + before + 24 + after)
        values = records.values[steps]
        for key, part in _ask(predictor, records, view, (values, steps)):
            measured[key].parts.append(part)
        if number % _DAYS_APART == _POINTS_DAY:
            for key, scales in _read_points(predictor, records, view, (values, steps), rng):
                measured[key].points.append(scales)
        if number % _DAYS_APART == _SILENT_DAY:
            silent = np.where(view.visible[:, None], values, np.nan)
            beside = View(there, view.targets, _geometry(predictor, records, there, view.targets))
            for key, part in _ask(predictor, records, beside, (silent, steps)):
                measured[key].parts.append(part)
        if number % apart == apart // 2:
            gap = values.copy()
            gap[draw_gap(before, len(gap), rng)] = np.nan
            for key, part in _ask(predictor, records, view, (gap, steps)):
                measured[key].parts.append(part.only(part.gap_hours > 0))


def left_out_days(
    predictor: AnalysisPredictor, records: StationRecords, rounds: int, most_days: int
) -> Iterator[tuple[View, EncodedAnalysis, NDArray[np.float32]]]:
    """Yield, day by day, stations left out, what the others say, and the readings there (hour, place, input)."""
    rng = np.random.default_rng(predictor.config.split.seed)
    before, after = predictor.history_hours, predictor.lookahead_hours
    days = (len(records.hours) - before - after) // 24
    for _ in range(rounds):
        for number, day in enumerate(np.unique(np.linspace(0, days - 1, most_days).astype(int))):
            if number % _DAYS_A_VIEW == 0:
                view = _draw_view(predictor, records, rng)
            steps = slice(day * 24, day * 24 + before + 24 + after)
            stations = records.seen_from(view.visible)
            readings = records.readings(records.values[steps], steps, view.visible)
            encoded = predictor.encode(readings, records.hours[steps], *stations)
            yield view, encoded, records.values[steps][before:][:24, view.targets]


def _draw_view(predictor: AnalysisPredictor, records: StationRecords, rng: np.random.Generator) -> View:
    visible = records.sample_visible_stations(predictor.config.training.neighbourhood_km, rng)
    targets = np.flatnonzero(records.calibration | (records.training & ~visible))
    return View(visible, targets, _geometry(predictor, records, visible, targets))


def _geometry(
    predictor: AnalysisPredictor, records: StationRecords, stations: NDArray[np.bool_], targets: NDArray[np.int64]
) -> AnalysisGeometry:
    """Return the targets as seen from some stations."""
    there = records.lat[targets], records.lon[targets]
    return in_their_towns(predictor, records, predictor.geometry(*records.seen_from(stations), *there))


def in_their_towns(predictor: AnalysisPredictor, records: StationRecords, places: AnalysisGeometry) -> AnalysisGeometry:
    """Return places of stations left out with the crowd of all stations that are round them.

    A town left out whole would look like open country, which most places so far from stations are and it is not: the
    median of what calibration finds there would give the country the air of towns again.
    """
    if predictor.bundle.crowding is None:
        return places
    every = records.training | records.calibration
    stations = records.lat[every], records.lon[every]
    near = NearestStations.find(stations, (places.lat, places.lon), predictor.device)
    return replace(places, drift=predictor.drift_of(near, predictor.species))


def _ask(
    predictor: AnalysisPredictor, records: StationRecords, view: View, window: tuple[NDArray[np.float32], slice]
) -> Iterator[tuple[str, NetworkResiduals]]:
    """Yield (pollutant, residuals) of a view on a day whose window of the records has the readings given."""
    values, steps = window
    stations = records.seen_from(view.visible)
    encoded = predictor.encode(records.readings(values, steps, view.visible), records.hours[steps], *stations)
    truth = records.values[steps][predictor.history_hours :][:24, view.targets]
    for key, predictive in predictor.predict(encoded, view.places).items():
        all_drift, target = view.places.drift, predictor.species.index(key)
        drift = np.zeros(len(view.targets), np.float32) if all_drift is None else all_drift[:, target]
        where = view.targets, encoded.hours, view.places.nearest_km, drift
        yield key, NetworkResiduals.of(predictive, truth[..., predictor.inputs.index(key)], where)


def _read_points(
    predictor: AnalysisPredictor,
    records: StationRecords,
    view: View,
    window: tuple[NDArray[np.float32], slice],
    rng: np.random.Generator,
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield (pollutant, distances and mean logarithms of the scale over the day), at points round the stations."""
    values, steps = window
    stations = records.seen_from(view.visible)
    encoded = predictor.encode(records.readings(values, steps, view.visible), records.hours[steps], *stations)
    places = geometry_around(predictor, records, view.visible, rng)
    for key, predictive in predictor.predict(encoded, places).items():
        yield key, np.stack((places.nearest_km, np.log(predictive.scale).mean(axis=0))).astype(np.float64)


def geometry_around(
    predictor: AnalysisPredictor, records: StationRecords, visible: NDArray[np.bool_], rng: np.random.Generator
) -> AnalysisGeometry:
    """Return points at all distances round the stations in sight, as seen from them."""
    stations = records.seen_from(visible)
    if records.fields is None:
        points = points_around(*stations, _POINTS, rng)
    else:  # covariates are known at the stations alone
        some = rng.permutation(len(records.lat))[:_POINTS]
        points = records.lat[some], records.lon[some]
    return predictor.geometry(*stations, *points)


def points_around(
    lat: NDArray[np.float64], lon: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes of points at all distances round stations drawn at random (degrees)."""
    centre, bearing = rng.integers(len(lat), size=count), rng.uniform(0, 2 * np.pi, count)
    km = np.exp(rng.uniform(np.log(_POINT_KM[0]), np.log(_POINT_KM[1]), count))
    degrees = km / KM_PER_DEGREE
    there = np.clip(lat[centre] + degrees * np.cos(bearing), -89.0, 89.0)
    east = degrees * np.sin(bearing) / np.cos(np.radians(there))
    return there, (lon[centre] + east + 180.0) % 360.0 - 180.0


def draw_gap(day_begin: int, steps: int, rng: np.random.Generator) -> slice:
    """Return the hours of a window of `steps` at which all stations are hidden: some or all of its day among them.

    A third leaves nothing, a third the hours before or after alone, a third both.
    """
    kind, begin = rng.integers(3), day_begin + int(rng.integers(-day_begin, 24))
    if kind == 0:
        return slice(0, steps)
    if kind == 1:
        end = day_begin + int(rng.integers(1, steps - day_begin + 1))
        return slice(begin, steps) if rng.random() < 0.5 else slice(0, end)
    return slice(begin, max(begin, day_begin) + int(rng.integers(2, 49)))
