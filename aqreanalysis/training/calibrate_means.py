"""Calibration of daily, monthly and annual means: how long errors last, and by how much such means were off.

At the calibration stations, as `calibrate` sees them, the hourly errors give the covariance over the lag; the means
that the stations observed give the shape. A daily mean is met often enough for a table by distance and level; a monthly
or annual one is not, so each table is drawn towards a plainer one as far as it rests on few independent means, and in
the end towards what the covariance says by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtri

from aqreanalysis.model import AnalysisPredictor, Bundle
from aqreanalysis.model.distribution.period_means import (
    MEAN_DAYS,
    PROBABILITIES,
    AccumulatedHours,
    ErrorAutocovariance,
    MeansCalibration,
    MeanTable,
    accumulate_hours,
    lognormal_from_moments,
    mean_distance,
)
from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64
from aqreanalysis.training.left_out import StationRecords, in_their_towns
from aqreanalysis.training.weighted_quantiles import independent_means, recentred

# Neighbourhoods around the calibration stations that are left out in turn: cells stand farther away than stations do.
# Two, and not the four of the hourly calibration: with those, three of four means were seen from afar and the nodes of
# the table stood there, so intervals near stations were too wide; and a year of each costs as much as the training.
_LEFT_OUT_KM = (0.0, 40.0)
# All seasons once; in a run, because a month is one.
_MOST_DAYS = 366
# Days encoded at a time: bounds the memory.
_DAYS_AT_ONCE = 4
# Parts that are left out in turn, where every station may be: of a small network all, so that each of its stations
# tells, of a larger one a few small ones.
_SMALL, _PARTS_OF_SMALL = 64, (5, 5)
_PARTS_OF_LARGE = 10, 2
# Share of a period's hours that must be observed at a station for its mean to count.
COMPLETE = 0.75
# Time scales of the covariance, hours: noise, two within the day, two of the weather, the season, a place's own bias.
_SCALES = np.array([0.0, 2.0, 8.0, 30.0, 120.0, 480.0, np.inf])
_LAGS = np.array([*range(25), *range(30, 73, 6), *range(84, 169, 12), *range(192, 721, 24)])
_DISTANCE_NODES, _LEVEL_NODES = 4, 3
# Fewer independent means than this a node make a table of noise.
_MEANS_A_DISTANCE, _MEANS_A_LEVEL = 40, 60
# So many independent means weigh as much as the plainer table that a table is drawn towards.
_PRIOR_MEANS = 15.0
_NORMAL = ndtri(PROBABILITIES)


@dataclass(frozen=True)
class HourlyErrors:
    """What the model said and what was observed at the calibration stations, with one neighbourhood left out.

    Attributes
    ----------
    mean, standard_error : float32 (hour, station)
        Of the hourly distributions, in the pollutant's units; whole days.
    observed : float32 (hour, station)
        NaN where missing.
    nearest_km : float32 (hour, station), or (station,) where it does not change
        Distance to the nearest station that was left and reports.
    station : int64 (station,)
        Whose they are, numbers of the records.
    """

    mean: NDArray[np.float32]
    standard_error: NDArray[np.float32]
    observed: NDArray[np.float32]
    nearest_km: NDArray[np.float32]
    station: NDArray[np.int64]


@dataclass(frozen=True)
class MeanErrors:
    """Standardised errors of observed means, each (mean,).

    Attributes
    ----------
    distance_km, level : float64
        What they are sorted by.
    standard : float64
        ``(log(observed + offset) - location) / scale``.
    station : int64
        Whose they are: means of one station err together.
    """

    distance_km: NDArray[np.float64]
    level: NDArray[np.float64]
    standard: NDArray[np.float64]
    station: NDArray[np.int64]


def calibrate_means(bundle: Bundle, records: StationRecords, device: str) -> dict[str, MeansCalibration]:
    """Return each pollutant's calibration of means, measured at the calibration stations from the training stations.

    The hourly calibration must be in the bundle: it is the hourly distributions that are averaged.
    """
    predictor = AnalysisPredictor(bundle, device, records.fields)
    hourly_errors: dict[str, list[HourlyErrors]] = {key: [] for key in predictor.species}
    for radius in _LEFT_OUT_KM:
        for key, errors in _hourly_errors(predictor, records, radius):
            hourly_errors[key].append(errors)
    return {key: fit_means(errors, float(bundle.scaling[key].offset)) for key, errors in hourly_errors.items()}


def calibrate_means_in_turn(bundle: Bundle, records: StationRecords, device: str) -> dict[str, MeansCalibration]:
    """Return each pollutant's calibration of means, every station in sight left out in one of some parts.

    For weights that never saw the network: there every station is what the calibration stations of a training are.
    """
    predictor = AnalysisPredictor(bundle, device, records.fields)
    hourly_errors: dict[str, list[HourlyErrors]] = {key: [] for key in predictor.species}
    among = np.flatnonzero(records.training)
    parts, used = _PARTS_OF_SMALL if len(among) <= _SMALL else _PARTS_OF_LARGE
    part = np.random.default_rng(bundle.config.split.seed).permutation(len(among)) % parts
    for number in range(used):
        left_out = np.zeros(len(records.training), dtype=bool)
        left_out[among[part == number]] = True
        turn = replace(records, training=records.training & ~left_out, calibration=left_out)
        for key, errors in _hourly_errors(predictor, turn, 0.0):
            hourly_errors[key].append(errors)
    return {key: fit_means(errors, float(bundle.scaling[key].offset)) for key, errors in hourly_errors.items()}


def fit_means(errors: list[HourlyErrors], offset: float) -> MeansCalibration:
    """Return the calibration of one pollutant.

    Parameters
    ----------
    errors : list of HourlyErrors
        One for each neighbourhood that was left out.
    offset : float
        Added before the logarithm, in the pollutant's units.
    """
    autocovariance = fit_autocovariance(errors)
    tables = {}
    for frequency, days in MEAN_DAYS.items():
        span = max((len(e.mean) // 24 for e in errors), default=0)
        # Less than a year of records still tells more of an annual mean than a month would.
        length = days if span >= days else span if span >= 3 * days // 4 else 0
        means = _mean_errors(errors, autocovariance, offset, length) if length else None
        tables[frequency] = fit_mean_table(means, length)
    return MeansCalibration(offset, autocovariance, tables)


def fit_autocovariance(errors: list[HourlyErrors]) -> ErrorAutocovariance:
    """Return the covariance of hourly errors in units of their standard error, fitted to all lags up to a month.

    Weights of fixed time scales by non-negative least squares: whatever comes out is a covariance.
    """
    standard = [(e.observed - e.mean) / np.maximum(e.standard_error, 1e-6) for e in errors]
    lags, values = [], []
    for lag in _LAGS:
        products = [(u[lag:] * u[: len(u) - lag]).ravel() for u in standard if lag < len(u)]
        together = np.concatenate(products) if products else np.empty(0)
        together = together[np.isfinite(together)]
        if len(together) >= 100:
            lags.append(lag)
            values.append(float(together.mean(dtype=np.float64)))
    if not lags:
        # Nothing was observed: the most careful covariance, errors that last for ever.
        return ErrorAutocovariance(np.array([np.inf]), np.array([1.0]))
    alone = [
        ErrorAutocovariance(_SCALES[i : i + 1], np.ones(1)).covariance(np.array(lags)) for i in range(len(_SCALES))
    ]
    # Long lags are many and close in value: by the root of the step to the next they count as the logarithm of the lag.
    share = np.sqrt(np.gradient(np.log1p(np.array(lags, dtype=np.float64)))) if len(lags) > 1 else np.ones(1)
    weights, _ = nnls(np.stack(alone, axis=1) * share[:, None], np.array(values) * share)
    if weights.sum() <= 0:
        return ErrorAutocovariance(np.array([np.inf]), np.array([max(values[0], 1e-6)]))
    counted = weights > 1e-6
    return ErrorAutocovariance(_SCALES[counted], weights[counted])


def fit_mean_table(errors: MeanErrors | None, days: int) -> MeanTable:
    """Return the table of standardised errors of means over `days`, as plain as their number asks for.

    Three steps, each as strong as the independent means behind it: the normal shape that the covariance implies, the
    shape of all means together, the shape round each node of distance and level.
    """
    if errors is None or len(errors.standard) < 3:
        return MeanTable(np.zeros(1), np.zeros(1), _NORMAL[None, None, :].copy(), days, 0, 0)
    stations = len(np.unique(errors.station))
    near_x = np.log1p(errors.distance_km)
    everything = np.ones(len(errors.standard))
    independent = int(independent_means(errors.standard, errors.station, everything))
    near_nodes = _nodes(near_x, min(max(1, independent // _MEANS_A_DISTANCE), _DISTANCE_NODES))
    level_nodes = _nodes(errors.level, min(max(1, independent // _MEANS_A_LEVEL), _LEVEL_NODES))
    all_together = shrunk_quantiles(errors, everything, _NORMAL)
    near, high = smoothstep_weights_f64(near_x, near_nodes), smoothstep_weights_f64(errors.level, level_nodes)
    table = np.empty((len(near_nodes), len(level_nodes), len(PROBABILITIES)))
    for i in range(len(near_nodes)):
        at_distance = shrunk_quantiles(errors, near[:, i], all_together)
        for j in range(len(level_nodes)):
            table[i, j] = shrunk_quantiles(errors, near[:, i] * high[:, j], at_distance)
    return MeanTable(np.expm1(near_nodes), level_nodes, table, days, len(errors.standard), stations)


def shrunk_quantiles(
    errors: MeanErrors, weight: NDArray[np.float64], plain: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted quantiles, drawn towards the `plain` ones as far as they rest on few independent means."""
    inside = weight > 1e-9
    if inside.sum() < 3:
        return plain
    count = independent_means(errors.standard[inside], errors.station[inside], weight[inside])
    order = np.argsort(errors.standard[inside])
    ordered, share = errors.standard[inside][order], weight[inside][order]
    cumulated = (np.cumsum(share) - share / 2) / share.sum()
    # Split conformal prediction: with n independent errors the (n + 1) p smallest covers p of what comes next.
    wanted = 0.5 + (PROBABILITIES - 0.5) * (count + 1) / count
    # The median stays where the hourly estimates put it: a shift would be the mean of the stations' own biases.
    own = recentred(np.interp(np.clip(wanted, 0, 1), cumulated, ordered), 0.0)
    # Beyond the outermost of them they can only say that it is farther out.
    own = np.where(wanted < 0, np.minimum(own, plain), np.where(wanted > 1, np.maximum(own, plain), own))
    trust = count / (count + _PRIOR_MEANS)
    return np.asarray(trust * own + (1 - trust) * plain)


def _nodes(x: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    nodes = np.unique(np.quantile(x, (np.arange(count) + 0.5) / count).round(3))
    return nodes[np.concatenate(([True], np.diff(nodes) > 0.05))]


def _mean_errors(
    errors: list[HourlyErrors], autocovariance: ErrorAutocovariance, offset: float, days: int
) -> MeanErrors:
    """Return the standardised errors of all observed means over `days` days that are complete enough.

    The estimate is summed over the very hours that were observed, so that a gap is no error.
    """
    rows: list[NDArray[np.float64]] = []
    for one in errors:
        hours = 24 * days
        for begin in range(0, len(one.mean) - hours + 1, hours):
            part = slice(begin, begin + hours)
            seen = np.isfinite(one.observed[part])
            count = seen.sum(axis=0)
            complete = np.flatnonzero(count >= COMPLETE * hours)
            if complete.size == 0:
                continue
            seen, count = seen[:, complete], count[complete]
            sums = _summed(
                np.where(seen, one.mean[part][:, complete], 0),
                np.where(seen, one.standard_error[part][:, complete], 0),
                autocovariance,
            )
            location, scale = lognormal_from_moments(sums.total, sums.variance, count, offset)
            observed = np.where(seen, one.observed[part][:, complete], 0).sum(axis=0, dtype=np.float64) / count
            standard = (np.log(np.maximum(observed, 0) + offset) - location) / np.maximum(scale, 1e-9)
            nearest = mean_distance(np.broadcast_to(one.nearest_km, one.mean.shape)[part][:, complete])
            rows.append(np.stack((nearest, location, standard, one.station[complete])).astype(np.float64))
    distance, level, standard, station = np.concatenate(rows, axis=1) if rows else np.empty((4, 0))
    return MeanErrors(distance, level, standard, station.astype(np.int64))


def _summed(
    mean: NDArray[np.float32], standard_error: NDArray[np.float32], autocovariance: ErrorAutocovariance
) -> AccumulatedHours:
    """Return the sums of whole days, day by day as production sums them."""
    sums: AccumulatedHours | None = None
    for begin in range(0, len(mean), 24):
        day = accumulate_hours(mean[begin : begin + 24], standard_error[begin : begin + 24], autocovariance)
        sums = day if sums is None else sums.joined(day, autocovariance)
    assert sums is not None
    return sums


def _hourly_errors(
    predictor: AnalysisPredictor, records: StationRecords, radius_km: float
) -> Iterator[tuple[str, HourlyErrors]]:
    """Yield each pollutant's errors with training stations nearer than a radius to any calibration station left out."""
    targets, visible = np.flatnonzero(records.calibration), records.exclude_within(radius_km)
    if visible is None:
        return
    lat, lon = records.lat[visible], records.lon[visible]
    places = in_their_towns(
        predictor, records, predictor.geometry(lat, lon, records.lat[targets], records.lon[targets])
    )
    before, after = predictor.history_hours, predictor.lookahead_hours
    days = (len(records.hours) - before - after) // 24
    first = max(0, days - _MOST_DAYS)
    parts: dict[str, list[NDArray[np.float32]]] = {key: [] for key in predictor.species}
    for day in range(first, days, _DAYS_AT_ONCE):
        count = 24 * min(_DAYS_AT_ONCE, days - day)
        steps = slice(day * 24, day * 24 + before + count + after)
        encoded = predictor.encode(records.values[steps][:, visible], records.hours[steps], lat, lon)
        centre = records.values[day * 24 + before : day * 24 + before + count][:, targets]
        for key, predictive in predictor.predict(encoded, places).items():
            observed = centre[..., predictor.inputs.index(key)]
            parts[key].append(np.stack((predictive.mean, predictive.standard_error, observed, predictive.reporting_km)))
    for key, pieces in parts.items():
        mean, error, observed, nearest = np.concatenate(pieces, axis=1)
        yield key, HourlyErrors(mean, error, observed, nearest, targets)
