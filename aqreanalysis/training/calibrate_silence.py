"""Calibration of silence: how much surer the network is beside a station than it may be when that station is silent.

Three things are measured. What scale the network gives at each distance, at points round the stations. How far the
error follows it beside stations that are there but silent. And what is left to say when no station reports, by the
hours to the nearest reading: how much of the estimate is better left to the climatology, and how far it is off.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from aqreanalysis.model import PROBABILITIES, Calibration
from aqreanalysis.model.distribution.silence import (
    SilenceCalibration,
    climate_terms,
    relaxed_scale,
    usual_where_known,
)
from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64
from aqreanalysis.training.left_out import NetworkResiduals
from aqreanalysis.training.weighted_quantiles import equal_shares, independent_means, recentred, weighted_quantiles

Table = NDArray[np.float64]

# Distances at which the scale is read, as far as there are any; beyond them the scale is that of the climatology.
_DISTANCES_KM = np.array([0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0])
_FEWEST_POINTS = 4.0
_FAR_FACTOR = 4.0
# Lengths of gaps, before that of which a window holds no reading.
_GAP_HOURS = np.array([1.0, 3.0, 8.0, 20.0])
# How far the error may follow the scale, and the fewest residuals that say so; with fewer it follows it as it is.
_EXPONENTS = np.linspace(0.0, 2.0, 81)
_FEWEST = 200
# Fewer residuals than this in a gap of some length take the shape of all gaps.
_FEWEST_A_GAP = 100.0
# Days that a record must span to tell the seasons apart; a shorter one knows hours of the day alone.
_DAYS_OF_SEASONS = 240


def fit_silence(
    points: Table,
    silent: NetworkResiduals,
    gaps: NetworkResiduals,
    calibration: Calibration,
    record: tuple[Table, int],
) -> SilenceCalibration:
    """Return how a pollutant's distributions answer to silence.

    Parameters
    ----------
    points : float64 (2, point)
        Distance in km to the nearest station, and logarithm of the network's scale there.
    silent : NetworkResiduals
        Where the nearest station is silent and another reports.
    gaps : NetworkResiduals
        At hours at which no station reports.
    calibration : Calibration
        Of where the nearest station reports.
    record : tuple
        The climatology of the record (`fit_climatology`), and the longest gap of which a window still holds a reading.
    """
    distance_km, log_scale = fit_scale(points)
    exponent = fit_exponent(silent, calibration, distance_km, log_scale)
    if log_scale[-1] < 0:
        # Beyond all that was read: one, the spread of the climatology in the units of the network.
        distance_km = np.append(distance_km, _FAR_FACTOR * max(distance_km[-1], 1.0))
        log_scale = np.append(exponent * log_scale, exponent * log_scale[-1] - log_scale[-1])
    else:
        log_scale = exponent * log_scale
    return SilenceCalibration(distance_km, log_scale, *fit_gaps(gaps, *record), record[0])


def fit_climatology(hours: NDArray[np.int64], mean: Table) -> Table:
    """Return the climatology of hourly means of a network (standardised log units), over `climate_terms`."""
    known = np.isfinite(mean)
    terms = climate_terms(hours)
    if not known.any() or np.ptp(hours[known]) < 24 * _DAYS_OF_SEASONS:
        terms[:, 5:] = 0.0
    coefficients, *_ = np.linalg.lstsq(terms[known], mean[known], rcond=None)
    return np.asarray(coefficients)


def fit_scale(points: Table) -> tuple[Table, Table]:
    """Return distances in km and the mean logarithm of the scale there, not decreasing."""
    if points.shape[1] == 0:
        return np.zeros(1), np.zeros(1)
    nodes = np.log1p(_DISTANCES_KM)
    near = smoothstep_weights_f64(np.log1p(points[0]), nodes)
    mass = near.sum(axis=0)
    enough = mass >= _FEWEST_POINTS
    if not enough.any():
        return np.zeros(1), np.array([points[1].mean()])
    mean = (near * points[1][:, None]).sum(axis=0)[enough] / mass[enough]
    return _DISTANCES_KM[enough], np.maximum.accumulate(mean)


def fit_exponent(silent: NetworkResiduals, calibration: Calibration, distance_km: Table, log_scale: Table) -> float:
    """Return to which power of the scale's own rise with distance the error beside silent stations rises.

    With it the residuals there are in the mean as large as the table has them where the nearest reporting station is
    the nearest.
    """
    nodes = np.log1p(distance_km)
    there, here = (
        smoothstep_weights_f64(np.log1p(km), nodes) @ log_scale for km in (silent.reporting_km, silent.nearest_km)
    )
    rise = there - here
    apart = (rise > 0.05) & np.isfinite(silent.reporting_km)
    if apart.sum() < _FEWEST:
        return 1.0
    rise, weight, size = rise[apart], equal_shares(silent.station[apart]), np.abs(silent.standard[apart])
    near = smoothstep_weights_f64(silent.reporting_km[apart], calibration.distance_km)
    high = smoothstep_weights_f64(silent.level[apart], calibration.level)
    expected = (near[:, :, None] * high[:, None, :] * np.abs(calibration.quantiles).mean(axis=-1)).sum(axis=(1, 2))
    sizes = np.array([(weight * size * np.exp(-power * rise)).sum() for power in _EXPONENTS])
    return float(np.interp(-(weight * expected).sum(), -sizes, _EXPONENTS))


def fit_gaps(gaps: NetworkResiduals, climatology: Table, reach_hours: int) -> tuple[Table, Table, Table]:
    """Return lengths of gaps, the climatology's share in the estimate, and quantiles of the rest (gap, probability).

    The medians stay where they are: a shift would be the weather of the days that were hidden. Those days are few
    where a record is short, and the next ones will be others: quantiles are widened as Student's are.
    """
    normal = Calibration.normal().quantiles[0]
    hours = np.append(_GAP_HOURS[reach_hours > _GAP_HOURS], float(reach_hours + 1))
    if len(gaps.standard) < _FEWEST_A_GAP:
        return hours[-1:], np.ones(1), normal
    usual = climate_terms(gaps.hour) @ climatology
    known = usual_where_known(gaps.hour, gaps.since_hours, gaps.until_hours, climatology)
    truth, estimate = gaps.location + gaps.scale * gaps.standard - usual, gaps.location - known
    near = smoothstep_weights_f64(np.minimum(gaps.gap_hours, hours[-1]), hours)
    mass = near * equal_shares(gaps.station)[:, None]
    regressed = [(w * truth * estimate).sum() / max((w * estimate**2).sum(), 1e-9) for w in mass.T]
    climate = np.maximum.accumulate(1 - np.clip(regressed, 0, 1))
    share = near @ climate
    scale = relaxed_scale(*(torch.from_numpy(part) for part in (gaps.scale, share))).numpy()
    standard = (truth - (1 - share) * estimate) / scale
    days = gaps.hour // 24
    quantiles = []
    for weight in mass.T:
        own = weight if (weight > 0).sum() >= _FEWEST_A_GAP else mass.sum(axis=1)
        quantiles.append(_weather_quantiles(standard, own, days))
    return hours, climate, np.stack(quantiles)


def _weather_quantiles(standard: Table, weight: Table, days: NDArray[np.int64]) -> Table:
    """Return quantiles about zero of residuals that go together on a day, as the next days may have them."""
    some = weight > 0
    standard, weight, days = standard[some], weight[some], days[some]
    order = np.argsort(standard)
    quantiles = weighted_quantiles(standard[order], weight[order], PROBABILITIES)
    independent = max(2.0, independent_means(standard, days, weight))
    wider = stats.t.ppf(0.95, independent - 1) * np.sqrt(1 + 1 / independent) / stats.norm.ppf(0.95)
    return recentred(quantiles) * wider
