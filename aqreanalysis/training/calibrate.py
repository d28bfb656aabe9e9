"""Conformal calibration: the shape of the residual at stations left out, by distance and by level.

Two kinds of stations are asked as cells are: from others. The calibration stations, which never trained the network,
and as many of the training stations, left out alone and by neighbourhoods, in draws that change from day to day. The
first say how far the second can be believed; the second stand at every distance, which some fifty stations do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.model import PROBABILITIES, AnalysisPredictor, Bundle, Calibration
from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64
from aqreanalysis.model.network.scaling import FieldSource

_DISTANCE_NODES, _LEVEL_NODES = 5, 3
# Fewer residuals than this round a node would make a table of noise; then there are fewer nodes.
_FEWEST_A_NODE = 400
# Nor can a few places say how the shape changes with distance: what they differ in is their own lasting bias.
_PLACES_A_NODE = 10
# Distances beyond these percentiles are too rare for a node.
_OUTERMOST = (2.5, 97.5)
_MOST_DAYS = 180
# Days that share one draw of what is left out: the geometry is solved once for them.
_DAYS_A_VIEW = 2
# Of the training stations, left out at once: few enough that the others still are the network that a cube is made from.
_LEFT_OUT = 0.125
# Stations of one cell this wide err together and count as one place.
_PLACE_DEGREES = 0.5


@dataclass(frozen=True)
class StationRecords:
    """Readings for calibration: concentrations (hour, station, input) of whole UTC days, their stamps, the stations.

    `training` and `calibration` are masks over the stations; `fields` holds the covariates of a model that has them.
    """

    values: NDArray[np.float32]
    hours: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    training: NDArray[np.bool_]
    calibration: NDArray[np.bool_]
    fields: FieldSource | None = None

    def exclude_within(self, radius_km: float) -> NDArray[np.bool_] | None:
        """Return the training stations farther than a radius from every calibration station, shape (station,).

        None if too few are left to say anything.
        """
        if radius_km <= 0:
            return self.training.copy()
        targets = np.flatnonzero(self.calibration)
        visible = self.training & (self._between(targets) > radius_km).all(axis=0)
        return visible if visible.sum() >= max(5, 0.2 * self.training.sum()) else None

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
class Residuals:
    """Standardised residuals of one pollutant, with what they are sorted by, each (reading,).

    Attributes
    ----------
    distance_km, level : float64
        Distance to the nearest station in sight; standardised location.
    standard : float64
        ``(log(x + offset) - location) / scale``.
    place : int64
        Where the reading was made: readings of one place err together.
    trained : bool
        Whether the station was one of those that the network was trained at.
    weight : float64
        How much it counts.
    """

    distance_km: NDArray[np.float64]
    level: NDArray[np.float64]
    standard: NDArray[np.float64]
    place: NDArray[np.int64]
    trained: NDArray[np.bool_]
    weight: NDArray[np.float64]

    @property
    def places(self) -> int:
        """How many places they come from."""
        return len(np.unique(self.place))


def calibrate(bundle: Bundle, records: StationRecords, device: str) -> dict[str, Calibration]:
    """Return each pollutant's calibration, measured at stations left out, in the hours that training saw."""
    predictor = AnalysisPredictor(bundle, device, records.fields)
    parts: dict[str, list[NDArray[np.float64]]] = {key: [] for key in predictor.species}
    for key, part in _residuals(predictor, records):
        parts[key].append(part)
    place, tables = records.places(), {}
    for key, rows in parts.items():
        distance_km, level, standard, whose = np.concatenate(rows, axis=1) if rows else np.empty((4, 0))
        station = whose.astype(np.int64)
        weight = _equal_shares(station)
        tables[key] = fit_table(
            Residuals(distance_km, level, standard, place[station], records.training[station], weight)
        )
    return tables


def _equal_shares(station: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights of mean one by which every station counts the same, those seldom asked somewhat less.

    A calibration station is left out every day and a training station now and then, and readings of one station err
    together: a few would decide alone.
    """
    if len(station) == 0:
        return np.empty(0)
    count = np.bincount(station)
    share = 1.0 / np.maximum(count, np.median(count[count > 0]))[station]
    return np.asarray(share / share.mean())


def _residuals(predictor: AnalysisPredictor, records: StationRecords) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield (pollutant, rows of distance, level, standardised residual, station) day by day."""
    rng = np.random.default_rng(predictor.config.split.seed)
    before, after = predictor.history_hours, predictor.lookahead_hours
    days = (len(records.hours) - before - after) // 24
    for number, day in enumerate(np.unique(np.linspace(0, days - 1, _MOST_DAYS).astype(int))):
        if number % _DAYS_A_VIEW == 0:
            visible = records.sample_visible_stations(predictor.config.training.neighbourhood_km, rng)
            targets = np.flatnonzero(records.calibration | (records.training & ~visible))
            lat, lon = records.lat[visible], records.lon[visible]
            places = predictor.geometry(lat, lon, records.lat[targets], records.lon[targets])
        steps = slice(day * 24, day * 24 + before + 24 + after)
        encoded = predictor.encode(records.values[steps][:, visible], records.hours[steps], lat, lon)
        centre = records.values[day * 24 + before : day * 24 + before + 24][:, targets]
        for key, predictive in predictor.predict(encoded, places).items():
            standard, level = predictive.standardise(centre[..., predictor.inputs.index(key)])
            distance, whose = np.broadcast_to(np.stack((places.nearest_km, targets))[:, None], (2, *standard.shape))
            rows = np.stack((distance, level, standard, whose)).astype(np.float64)
            yield key, rows[:, np.isfinite(standard)]


def fit_table(residuals: Residuals) -> Calibration:
    """Return the table of the residuals' quantiles over distance and level.

    Each residual counts at the nodes round it with its share of the interpolation that `Predictive` reads the table by.
    The median moves with distance as far as places agree on it (`shrunk_median_shift`); the rest of it becomes spread.
    With too few residuals or places the table has fewer nodes; with fewer than ``_FEWEST_A_NODE`` residuals in all it
    stays log-normal with the residuals' own spread.
    """
    count = len(residuals.standard)
    if count < _FEWEST_A_NODE:
        normal = Calibration.normal()
        if count < 10:
            return normal
        spread = np.sqrt(np.mean(residuals.standard**2))
        return Calibration(normal.distance_km, normal.level, spread * normal.quantiles)
    residuals = inflate_training_residuals(residuals)
    order = np.argsort(residuals.standard)
    ordered = residuals.standard[order]
    most = min(max(1, residuals.places // _PLACES_A_NODE), max(1, count // _FEWEST_A_NODE))
    distance = _distance_nodes(residuals, min(most, _DISTANCE_NODES))
    level = _level_nodes(residuals.level, min(most, _LEVEL_NODES))
    near, high = (
        smoothstep_weights_f64(residuals.distance_km, distance)[order],
        smoothstep_weights_f64(residuals.level, level)[order],
    )
    place = residuals.place[order]
    near *= residuals.weight[order][:, None]
    table = np.empty((len(distance), len(level), len(PROBABILITIES)))
    for i in range(len(distance)):
        shift = shrunk_median_shift(ordered, near[:, i], place)
        for j in range(len(level)):
            weight = near[:, i] * high[:, j]
            if weight.sum() < _FEWEST_A_NODE / 4:
                weight = near[:, i] + 1e-9  # a corner that hardly occurs takes its distance's shape
            table[i, j] = _centred(_quantiles(ordered, weight, PROBABILITIES), shift)
    return Calibration(distance, level, table)


def inflate_training_residuals(residuals: Residuals) -> Residuals:
    """Return the residuals, those of training stations widened where they are smaller than those of stations unseen.

    A network that knows its stations by heart would look surer than it is. Only what cannot be chance counts: two
    standard errors, over places, of the ratio of the mean squares.
    """
    learnt, unseen = (_mean_squares(residuals, residuals.trained == known) for known in (True, False))
    if min(len(learnt), len(unseen)) < 2:
        return residuals
    ratio = unseen.mean() / learnt.mean()
    error = np.sqrt(sum((x.std(ddof=1) / x.mean()) ** 2 / len(x) for x in (learnt, unseen)))
    wider = np.sqrt(max(1.0, ratio * (1 - 2 * error)))
    return replace(residuals, standard=np.where(residuals.trained, wider, 1.0) * residuals.standard)


def _mean_squares(residuals: Residuals, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean square of the chosen residuals at each of their places."""
    _, place = np.unique(residuals.place[chosen], return_inverse=True)
    return np.asarray(np.bincount(place, residuals.standard[chosen] ** 2) / np.maximum(np.bincount(place), 1))


def shrunk_median_shift(ordered: NDArray[np.float64], weight: NDArray[np.float64], place: NDArray[np.int64]) -> float:
    """Return by how much the median of the weighted residuals, given in increasing order, is to move.

    The whole of it where many places agree, nothing where it is within what their number leaves to chance: it is drawn
    to zero by the share of its square that is the square of its standard error, over places. That error is the one of
    a sample median: the excess of readings above it, place by place, over twice the density there.
    """
    median = float(_quantiles(ordered, weight, np.array([0.5]))[0])
    below, above = _quantiles(ordered, weight, np.array([0.4, 0.6]))
    excess = np.bincount(place, weight * np.where(ordered > median, 0.5, -0.5))
    error = np.sqrt((excess**2).sum()) / weight.sum() * (above - below) / 0.2
    return float(median * max(0.0, 1 - error**2 / max(median**2, 1e-12)))


def _quantiles(
    ordered: NDArray[np.float64], weight: NDArray[np.float64], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return weighted quantiles of values given in increasing order."""
    cumulated = (np.cumsum(weight) - weight / 2) / weight.sum()
    return np.asarray(np.interp(probability, cumulated, ordered))


def _centred(quantiles: NDArray[np.float64], median: float) -> NDArray[np.float64]:
    """Return quantiles moved to `median`, widened so that their mean square about it is what it was.

    A shift that is taken out becomes spread on both sides. The tail it came from may still be covered a little less.
    """
    own = np.interp(0.5, PROBABILITIES, quantiles)
    centred = quantiles - own
    spread = np.sqrt(centred.std() ** 2 + (own - median) ** 2) / max(centred.std(), 1e-9)
    return np.asarray(centred * spread + median)


def _distance_nodes(residuals: Residuals, most: int) -> NDArray[np.float64]:
    """Return up to `most` nodes in km, even in the logarithm, each with enough places round it."""
    low, high = np.percentile(np.log1p(residuals.distance_km), _OUTERMOST)
    nodes = np.expm1(np.unique(np.linspace(low, high, most).round(3)) if most > 1 else np.array([(low + high) / 2]))
    nodes = nodes[np.concatenate(([True], np.diff(np.log1p(nodes)) > 0.05))]
    while len(nodes) > 1:
        near = smoothstep_weights_f64(residuals.distance_km, nodes)
        mass = np.stack([np.bincount(residuals.place, residuals.weight * share) for share in near.T])
        places = mass.sum(axis=1) ** 2 / np.maximum((mass**2).sum(axis=1), 1e-12)  # as many of equal weight
        if places.min() >= _PLACES_A_NODE:
            break
        nodes = np.delete(nodes, int(np.argmin(places)))
    return np.asarray(nodes)


def _level_nodes(x: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    nodes = np.unique(np.quantile(x, (np.arange(most) + 0.5) / most).round(3))
    return np.asarray(nodes[np.concatenate(([True], np.diff(nodes) > 0.05))])
