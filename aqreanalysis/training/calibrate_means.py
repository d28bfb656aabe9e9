"""Calibration of daily, monthly and annual means: how long errors last, and by how much such means were off.

At the calibration stations, and at training stations left out in turn, by themselves and by neighbourhoods, the hourly
errors give the covariance over the lag; the means that the stations observed give the shape. A daily mean is met often
enough for a table by distance and level; a monthly or annual one is not, so each table is drawn towards a plainer one
as far as it rests on few independent means, and in the end towards what the covariance says by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

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
from aqreanalysis.training.weighted_quantiles import equal_shares, independent_means, recentred, widening

# Passes through the record: a year of each costs as much as the training.
_PASSES = 2
# Days that share a draw of what is left out, so that what lasts can be told from what decays; and the fewest draws of a
# pass, for they decide how many places are seen.
_DAYS_A_VIEW, _FEWEST_VIEWS = 49, 4
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
# Standard errors by which training stations must err less than others to be widened.
_DOUBT = 1.0
# Standard errors beyond which an error says no more of the covariance: a few readings would decide it, and the shape of
# the tails is the table's.
_FARTHEST = 5.0


@dataclass(frozen=True)
class HourlyErrors:
    """What the model said and what was observed at stations left out, on days in a run.

    Attributes
    ----------
    mean, standard_error : float32 (hour, station)
        Of the hourly distributions, in the pollutant's units; whole days.
    observed : float32 (hour, station)
        NaN where missing.
    nearest_km : float32 (hour, station), or (station,) where it does not change
        Distance to the nearest station that was left and reports.
    station : int64 (station,)
        Their numbers.
    trained : bool (station,)
        Whether the network was trained at it.
    """

    mean: NDArray[np.float32]
    standard_error: NDArray[np.float32]
    observed: NDArray[np.float32]
    nearest_km: NDArray[np.float32]
    station: NDArray[np.int64]
    trained: NDArray[np.bool_]

    @property
    def standardised(self) -> NDArray[np.float64]:
        """The errors in units of their standard errors (hour, station), the rarest drawn in; NaN where missing."""
        error = (self.observed - self.mean).astype(np.float64) / np.maximum(self.standard_error, 1e-6)
        return np.clip(error, -_FARTHEST, _FARTHEST)

    def only(self, chosen: NDArray[np.bool_]) -> HourlyErrors:
        """Return those of some stations."""
        return HourlyErrors(*(getattr(self, f.name)[..., chosen] for f in fields(self)))

    @classmethod
    def in_a_row(cls, parts: list[HourlyErrors]) -> HourlyErrors:
        """Return those of the same stations on days that follow each other."""
        hourly = ("mean", "standard_error", "observed", "nearest_km")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in hourly}
        return replace(parts[0], **joined)


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
    """Return each pollutant's calibration of means, measured at stations left out, in the hours that training saw.

    The hourly calibration must be in the bundle: it is the hourly distributions that are averaged.
    """
    predictor = AnalysisPredictor(bundle, device, records.fields)
    rng = np.random.default_rng(bundle.config.split.seed)
    hourly_errors: dict[str, list[HourlyErrors]] = {key: [] for key in predictor.species}
    for _ in range(_PASSES):
        always: dict[str, list[HourlyErrors]] = {key: [] for key in predictor.species}
        for days in view_days(predictor, records):
            visible = records.sample_visible_stations(predictor.config.training.neighbourhood_km, rng)
            for key, errors in _hourly_errors(predictor, records, visible, days):
                seldom = np.isin(errors.station, np.flatnonzero(records.training))
                hourly_errors[key].append(errors.only(seldom))
                always[key].append(errors.only(~seldom))
        for key, parts in always.items():
            hourly_errors[key].append(HourlyErrors.in_a_row(parts))
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
    days = view_days(predictor, records)
    for number in range(used):
        left_out = np.zeros(len(records.training), dtype=bool)
        left_out[among[part == number]] = True
        turn = replace(records, training=records.training & ~left_out, calibration=left_out)
        for key, errors in _hourly_errors(predictor, turn, turn.training, range(days[0].start, days[-1].stop)):
            hourly_errors[key].append(errors)
    return {key: fit_means(errors, float(bundle.scaling[key].offset)) for key, errors in hourly_errors.items()}


def view_days(predictor: AnalysisPredictor, records: StationRecords) -> list[range]:
    """Return the days of each draw of a pass, counted from the first whose readings are whole."""
    days = (len(records.hours) - predictor.history_hours - predictor.lookahead_hours) // 24
    first = max(0, days - _MOST_DAYS)
    count = min(max(_FEWEST_VIEWS, round((days - first) / _DAYS_A_VIEW)), days - first)
    edges = np.linspace(first, days, count + 1).round().astype(int).tolist()
    return [range(begin, end) for begin, end in pairwise(edges)]


def fit_means(errors: list[HourlyErrors], offset: float) -> MeansCalibration:
    """Return the calibration of one pollutant.

    Parameters
    ----------
    errors : list of HourlyErrors
        Of the stations left out on some days.
    offset : float
        Added before the logarithm, in the pollutant's units.
    """
    errors = widen_training_errors(errors)
    autocovariance = fit_autocovariance(errors)
    tables = {}
    for frequency, days in MEAN_DAYS.items():
        span = max((len(e.mean) // 24 for e in errors), default=0)
        # Less than a year of records still tells more of an annual mean than a month would.
        length = days if span >= days else span if span >= 3 * days // 4 else 0
        means = _mean_errors(errors, autocovariance, offset, length) if length else None
        tables[frequency] = fit_mean_table(means, length)
    return MeansCalibration(offset, autocovariance, tables)


def widen_training_errors(errors: list[HourlyErrors]) -> list[HourlyErrors]:
    """Return the errors, those at training stations widened where they are smaller than at stations unseen.

    By `widening`, of the mean squares of the standardised hourly errors. Less doubt than for hours: what a network has
    learnt of a place lasts, and is left in a mean where the rest of the error is averaged out.
    """
    stations = 1 + max((int(e.station.max(initial=0)) for e in errors), default=0)
    sums, counts = np.zeros(stations), np.zeros(stations)
    trained = np.zeros(stations, dtype=bool)
    for one in errors:
        square = one.standardised**2
        sums += np.bincount(one.station, np.nansum(square, axis=0), stations)
        counts += np.bincount(one.station, np.isfinite(square).sum(axis=0), stations)
        trained[one.station] = one.trained
    square = sums / np.maximum(counts, 1)
    factor = widening(square[trained & (counts > 0)], square[~trained & (counts > 0)], _DOUBT)
    more = [np.where(one.trained, factor - 1, 0.0).astype(np.float32) for one in errors]
    return [
        replace(e, observed=e.observed + share * (e.observed - e.mean)) for e, share in zip(errors, more, strict=True)
    ]


def fit_autocovariance(errors: list[HourlyErrors]) -> ErrorAutocovariance:
    """Return the covariance of hourly errors in units of their standard error, fitted to all lags up to a month.

    Weights of fixed time scales by non-negative least squares: whatever comes out is a covariance. Every station counts
    the same, those seldom left out somewhat less.
    """
    stations = 1 + max((int(e.station.max(initial=0)) for e in errors), default=0)
    standard = [(e.station, e.standardised) for e in errors]
    lags, values = [], []
    for lag in _LAGS:
        sums, counts = np.zeros(stations), np.zeros(stations)
        for station, u in standard:
            if lag < len(u):
                product = u[lag:] * u[: len(u) - lag]
                sums += np.bincount(station, np.nansum(product, axis=0), stations)
                counts += np.bincount(station, np.isfinite(product).sum(axis=0), stations)
        if counts.sum() >= 100:
            share = np.maximum(counts, np.median(counts[counts > 0]))
            lags.append(lag)
            values.append(float((sums / share).sum() / (counts / share).sum()))
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
    everything = equal_shares(errors.station)
    independent = int(independent_means(errors.standard, errors.station, everything))
    near_nodes = _nodes(near_x, min(max(1, independent // _MEANS_A_DISTANCE), _DISTANCE_NODES))
    level_nodes = _nodes(errors.level, min(max(1, independent // _MEANS_A_LEVEL), _LEVEL_NODES))
    all_together = shrunk_quantiles(errors, everything, _NORMAL)
    near, high = smoothstep_weights_f64(near_x, near_nodes), smoothstep_weights_f64(errors.level, level_nodes)
    near *= everything[:, None]
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
    own = recentred(np.interp(np.clip(wanted, 0, 1), cumulated, ordered))
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
    predictor: AnalysisPredictor, records: StationRecords, visible: NDArray[np.bool_], days: range
) -> Iterator[tuple[str, HourlyErrors]]:
    """Yield each pollutant's errors on some days at the calibration stations and the training stations out of sight."""
    targets = np.flatnonzero(records.calibration | (records.training & ~visible))
    lat, lon = records.seen_from(visible)
    places = in_their_towns(
        predictor, records, predictor.geometry(lat, lon, records.lat[targets], records.lon[targets])
    )
    before, after = predictor.history_hours, predictor.lookahead_hours
    parts: dict[str, list[NDArray[np.float32]]] = {key: [] for key in predictor.species}
    for day in range(days.start, days.stop, _DAYS_AT_ONCE):
        count = 24 * min(_DAYS_AT_ONCE, days.stop - day)
        steps = slice(day * 24, day * 24 + before + count + after)
        encoded = predictor.encode(
            records.readings(records.values[steps], steps, visible), records.hours[steps], lat, lon
        )
        centre = records.values[day * 24 + before : day * 24 + before + count][:, targets]
        for key, predictive in predictor.predict(encoded, places).items():
            observed = centre[..., predictor.inputs.index(key)]
            parts[key].append(np.stack((predictive.mean, predictive.standard_error, observed, predictive.reporting_km)))
    for key, pieces in parts.items():
        trained = records.training[targets] & records.learnt
        mean, error, observed, nearest = np.concatenate(pieces, axis=1)
        yield key, HourlyErrors(mean, error, observed, nearest, targets, trained)
