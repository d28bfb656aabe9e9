"""Conformal calibration: the shape of the residual at stations held out, by distance and by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model import PROBABILITIES, Bundle, Calibration, Predictor
from aqreanalysis.model.fields import FieldSource
from aqreanalysis.model.geometry import relative_position
from aqreanalysis.model.means import hats

# Neighbourhoods around the calibration stations that are left out in turn: cells stand farther away than stations do.
_LEFT_OUT_KM = (0.0, 15.0, 40.0, 90.0)
_DISTANCE_NODES, _LEVEL_NODES = 4, 3
# Fewer residuals than this round a node would make a table of noise; then there are fewer nodes.
_FEWEST_A_NODE = 400
# Nor can a few stations say how the shape changes with distance: what they differ in is their own lasting bias.
_STATIONS_A_NODE = 10
_MOST_DAYS = 60


@dataclass(frozen=True)
class Records:
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

    def seen_beyond(self, radius_km: float) -> NDArray[np.bool_] | None:
        """Return the training stations farther than a radius from every calibration station, shape (station,).

        None if too few are left to say anything.
        """
        if radius_km <= 0:
            return self.training.copy()
        targets = np.flatnonzero(self.calibration)
        offset = relative_position(
            self.lat[targets][:, None], self.lon[targets][:, None], self.lat[None], self.lon[None]
        )
        visible = self.training & (np.linalg.norm(offset, axis=-1) > radius_km).all(axis=0)
        return visible if visible.sum() >= max(5, 0.2 * self.training.sum()) else None


@dataclass(frozen=True)
class Residuals:
    """Standardised residuals of one pollutant, with what they are sorted by, each (reading,).

    `stations` is how many stations they come from: readings of one station err together.
    """

    distance_km: NDArray[np.float64]
    level: NDArray[np.float64]
    standard: NDArray[np.float64]
    stations: int = 1_000_000


def calibrate(bundle: Bundle, records: Records, device: str) -> dict[str, Calibration]:
    """Return each pollutant's calibration, measured at the calibration stations as seen from the training stations."""
    predictor = Predictor(bundle, device, records.fields)
    parts: dict[str, list[NDArray[np.float64]]] = {key: [] for key in predictor.species}
    for radius in _LEFT_OUT_KM:
        for key, part in _residuals(predictor, records, radius):
            parts[key].append(part)
    found = {}
    for key, rows in parts.items():
        stacked = np.concatenate(rows, axis=1) if rows else np.empty((3, 0))
        distance_km, level, standard = stacked
        found[key] = fit_table(Residuals(distance_km, level, standard, int(records.calibration.sum())))
    return found


def _residuals(predictor: Predictor, records: Records, radius_km: float) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield (pollutant, rows of distance, level, standardised residual) with training stations nearer than a radius
    to any calibration station left out."""
    targets, visible = np.flatnonzero(records.calibration), records.seen_beyond(radius_km)
    if visible is None:
        return
    lat, lon = records.lat[visible], records.lon[visible]
    places = predictor.geometry(lat, lon, records.lat[targets], records.lon[targets])
    before, after = predictor.history_hours, predictor.lookahead_hours
    days = (len(records.hours) - before - after) // 24
    for day in np.unique(np.linspace(0, days - 1, _MOST_DAYS).astype(int)):
        steps = slice(day * 24, day * 24 + before + 24 + after)
        encoded = predictor.encode(records.values[steps][:, visible], records.hours[steps], lat, lon)
        centre = records.values[day * 24 + before : day * 24 + before + 24][:, targets]
        for key, predictive in predictor.predict(encoded, places).items():
            reading = centre[..., predictor.inputs.index(key)]
            standard, level = predictive.standardise(reading)
            seen = np.isfinite(standard)
            distance = np.broadcast_to(places.nearest_km[None, :], standard.shape)
            yield key, np.stack((distance[seen], level[seen], standard[seen])).astype(np.float64)


def fit_table(residuals: Residuals) -> Calibration:
    """Return the table of the residuals' quantiles over distance and level.

    Each residual counts at the nodes round it with its share of the interpolation that `Predictive` reads the table
    by. The median stays where the network puts it: a shift of it would be the mean of
    the calibration stations' own biases. With too few residuals or stations the table has fewer nodes; with fewer
    than ``_FEWEST_A_NODE`` residuals in all it stays log-normal with the residuals' own spread.
    """
    count = len(residuals.standard)
    if count < _FEWEST_A_NODE:
        normal = Calibration.normal()
        if count < 10:
            return normal
        spread = np.sqrt(np.mean(residuals.standard**2))
        return Calibration(normal.distance_km, normal.level, spread * normal.quantiles)
    most = max(1, residuals.stations // _STATIONS_A_NODE)
    distance = np.expm1(_nodes(np.log1p(residuals.distance_km), min(most, _DISTANCE_NODES)))
    level = _nodes(residuals.level, min(most, _LEVEL_NODES))
    near, high = hats(residuals.distance_km, distance), hats(residuals.level, level)
    table = np.empty((len(distance), len(level), len(PROBABILITIES)))
    order = np.argsort(residuals.standard)
    ordered = residuals.standard[order]
    for i in range(len(distance)):
        for j in range(len(level)):
            weight = (near[:, i] * high[:, j])[order]
            if weight.sum() < _FEWEST_A_NODE / 4:
                weight = near[:, i][order] + 1e-9  # a corner that hardly occurs takes its distance's shape
            cumulated = (np.cumsum(weight) - weight / 2) / weight.sum()
            table[i, j] = _centred(np.interp(PROBABILITIES, cumulated, ordered))
    return Calibration(distance, level, table)


def _centred(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantiles with median zero, widened so that their mean square about zero is what it was.

    A shift that is taken out becomes spread on both sides. The tail it came from may still be covered a little less.
    """
    median = np.interp(0.5, PROBABILITIES, quantiles)
    centred = quantiles - median
    spread = np.sqrt(centred.std() ** 2 + median**2) / max(centred.std(), 1e-9)
    return centred * spread


def _nodes(x: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    count = max(1, min(most, len(x) // _FEWEST_A_NODE))
    nodes = np.unique(np.quantile(x, (np.arange(count) + 0.5) / count).round(3))
    return nodes[np.concatenate(([True], np.diff(nodes) > 0.05))]
