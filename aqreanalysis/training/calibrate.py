"""Conformal calibration: the shape of the residual at stations left out, by distance and by level.

Distances are to the nearest station that reports. `left_out` says whose residuals they are, and `calibrate_silence`
what is said where the nearest station does not report, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model import PROBABILITIES, AnalysisPredictor, Bundle, Calibration
from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64
from aqreanalysis.model.network.temporal_filters import BRIDGED_HOURS
from aqreanalysis.training.calibrate_silence import fit_climatology, fit_silence
from aqreanalysis.training.left_out import Measured, NetworkResiduals, StationRecords, measure
from aqreanalysis.training.weighted_quantiles import equal_shares, recentred, weighted_quantiles, widening

_DISTANCE_NODES, _LEVEL_NODES = 5, 3
# Fewer residuals than this round a node would make a table of noise; then there are fewer nodes.
_FEWEST_A_NODE = 400
# Nor can a few places say how the shape changes with distance: what they differ in is their own lasting bias.
_PLACES_A_NODE = 10
# Between the numbers of stations, and of places, of networks that are joined.
_APART = 1_000_000
# Distances beyond these percentiles are too rare for a node.
_OUTERMOST = (2.5, 97.5)


@dataclass(frozen=True)
class Residuals:
    """Standardised residuals of one pollutant, with what they are sorted by, each (reading,).

    Attributes
    ----------
    distance_km, level : float64
        Distance to the nearest station that reports; standardised location.
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


@dataclass(frozen=True)
class LeftOutErrors:
    """What was measured of one pollutant, sorted by what a calibration makes of it.

    Attributes
    ----------
    usual : Residuals
        At hours at which the nearest station reports.
    silent, gaps : NetworkResiduals
        Where it is silent and another reports, and where no station reports.
    points : float64 (2, point)
        Distance to the nearest station in km, and logarithm of the network's scale there.
    """

    usual: Residuals
    silent: NetworkResiduals
    gaps: NetworkResiduals
    points: NDArray[np.float64]

    @classmethod
    def of(cls, measured: Measured, records: StationRecords) -> LeftOutErrors:
        """Return it of the measurements at one network."""
        residuals = measured.residuals
        gap, silent = residuals.gap_hours > 0, residuals.reporting_km > residuals.nearest_km
        usual, beside = _sorted(residuals.where_nearest_reports(), records), residuals.only(~gap & silent)
        wider = np.where(records.training[beside.station] & records.learnt, training_factor(usual), 1.0)
        beside = replace(beside, standard=wider * beside.standard)
        points = np.concatenate(measured.points, axis=1) if measured.points else np.empty((2, 0))
        return cls(usual, beside, residuals.only(gap), points)

    @classmethod
    def joined(cls, parts: Sequence[LeftOutErrors]) -> LeftOutErrors:
        """Return those of several networks as one, their stations and places told apart."""
        silent, gaps = (
            NetworkResiduals.joined(
                [
                    replace(one, station=one.station + _APART * i)
                    for i, one in enumerate(getattr(p, name) for p in parts)
                ]
            )
            for name in ("silent", "gaps")
        )
        usual = [replace(part.usual, place=part.usual.place + _APART * i) for i, part in enumerate(parts)]
        columns = (np.concatenate([getattr(one, f.name) for one in usual]) for f in fields(Residuals))
        return cls(Residuals(*columns), silent, gaps, np.concatenate([part.points for part in parts], axis=1))

    def table(self, climatology: NDArray[np.float64], reach_hours: int) -> Calibration:
        """Return the calibration; climatology and reach as of `fit_silence`."""
        table = fit_table(self.usual)
        record = climatology, reach_hours
        return replace(table, silence=fit_silence(self.points, self.silent, self.gaps, table, record))


def calibrate(bundle: Bundle, records: StationRecords, device: str) -> dict[str, Calibration]:
    """Return each pollutant's calibration, measured at stations left out, in the hours that training saw."""
    predictor = uncalibrated(bundle, records, device)
    return {
        key: LeftOutErrors.of(measured, records).table(
            record_climatology(predictor, records, key), gap_reach(predictor)
        )
        for key, measured in measure(predictor, records).items()
    }


def uncalibrated(bundle: Bundle, records: StationRecords, device: str) -> AnalysisPredictor:
    """Return the model as it is before any calibration, reading the covariates of the records."""
    normal = replace(bundle, calibration={key: Calibration.normal() for key in bundle.config.species})
    return AnalysisPredictor(normal, device, records.fields)


def gap_reach(predictor: AnalysisPredictor) -> int:
    """Return the longest gap of hours that is bridged."""
    return min(max(predictor.history_hours, predictor.lookahead_hours), BRIDGED_HOURS) + 23


def record_climatology(predictor: AnalysisPredictor, records: StationRecords, key: str) -> NDArray[np.float64]:
    """Return the climatology of a pollutant at the training stations, less their drift."""
    lat, lon = records.lat[records.training], records.lon[records.training]
    column = predictor.inputs.index(key)
    scaled = predictor.bundle.scaling[key].forward(records.values[:, records.training, column])
    if predictor.has_drift:
        scaled = scaled - predictor.station_drift(lat, lon)[:, column]
    count = np.isfinite(scaled).sum(axis=1)
    mean = np.where(count > 0, np.nansum(scaled, axis=1) / np.maximum(count, 1), np.nan)
    return fit_climatology(records.hours, mean)


def _sorted(residuals: NetworkResiduals, records: StationRecords) -> Residuals:
    """Return residuals of hours at which the nearest station reports, with the places and weights of their stations."""
    station = residuals.station
    place, trained = records.places()[station], records.training[station] & records.learnt
    by = residuals.nearest_km, residuals.level
    return Residuals(*by, residuals.standard, place, trained, equal_shares(station))


def fit_table(residuals: Residuals) -> Calibration:
    """Return the table of the residuals' quantiles over distance and level.

    Each residual counts at the nodes round it with its share of the interpolation that `Predictive` reads the table by.
    The median stays the network's: what places left out agree on is what towns have that are left out, and cells are
    no towns. It becomes spread. Moved with it, the maps of nature runs from stations alone erred more by 0, 2 and 5 %.
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
    near *= residuals.weight[order][:, None]
    table = np.empty((len(distance), len(level), len(PROBABILITIES)))
    for i in range(len(distance)):
        for j in range(len(level)):
            weight = near[:, i] * high[:, j]
            if weight.sum() < _FEWEST_A_NODE / 4:
                weight = near[:, i] + 1e-9  # a corner that hardly occurs takes its distance's shape
            table[i, j] = recentred(weighted_quantiles(ordered, weight, PROBABILITIES))
    return Calibration(distance, level, table, reach_km=calibrated_reach(residuals, distance))


def calibrated_reach(residuals: Residuals, nodes: NDArray[np.float64]) -> float | None:
    """Return the distance in km up to which a table was measured; None where its residuals stand at no distance.

    The last of several nodes, which has enough places round it. A table of one node pools all distances: then it is how
    far half of the places were seen from, at the far end of what each was seen from.
    """
    if len(nodes) > 1:
        return float(nodes[-1])
    of_place = (residuals.distance_km[residuals.place == place] for place in np.unique(residuals.place))
    reach = float(np.median([np.percentile(km, _OUTERMOST[1]) for km in of_place]))
    return reach if reach > 0 else None


def inflate_training_residuals(residuals: Residuals) -> Residuals:
    """Return the residuals, those of training stations widened where they are smaller than those of stations unseen."""
    wider = training_factor(residuals)
    return replace(residuals, standard=np.where(residuals.trained, wider, 1.0) * residuals.standard)


def training_factor(residuals: Residuals) -> float:
    """Return by how much residuals of training stations are to be widened: see `widening`."""
    learnt, unseen = (_mean_squares(residuals, residuals.trained == known) for known in (True, False))
    return widening(learnt, unseen)


def _mean_squares(residuals: Residuals, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean square of the chosen residuals at each of their places."""
    _, place = np.unique(residuals.place[chosen], return_inverse=True)
    return np.asarray(np.bincount(place, residuals.standard[chosen] ** 2) / np.maximum(np.bincount(place), 1))


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
