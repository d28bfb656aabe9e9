"""Learning what kerbs, works and cheap sensors differ by from what the background stations say at their places.

All in standardised logarithms, where a factor is a difference. A reading of a group is taken as background air, plus
what its station lastingly differs by, plus what stations of the group near each other are off by together in that hour
(damp air in cheap sensors, the rush hour at kerbs), plus noise. Background stations krige their air to the place; the
kriging says how far it may be off, so that a station far from all others is mostly taken to be as its group is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.background_air.groups import groups_of, has_groups
from aqreanalysis.background_air.kriging import air_covariance, distances, left_out_errors, noise_covariance
from aqreanalysis.common.hours import even_step
from aqreanalysis.geostatistics.kriging import leave_out, ordinary_kriging
from aqreanalysis.geostatistics.variogram import Variogram, empirical_variogram, fit_variogram
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.station_groups import AirCovariance, GroupErrors, StationGroups
from aqreanalysis.observations import Observations
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split

Floats = NDArray[np.floating[Any]]

# Hours that differences are learned from, spread over the record, and those at which stations are left out.
_MOST_HOURS, _GATE_HOURS = 480, 48
# Stations of background air under which nothing can be said of others, and hours under which nothing of a station.
_FEWEST_STATIONS, _FEWEST_HOURS = 6, 24
# Before anything is seen: variance of a group's lasting difference, and of its stations' about it, which counts as
# much as two stations do. In standardised units: a difference of a third of the spread of all readings is usual.
_MEAN_PRIOR, _SPREAD_PRIOR, _PRIOR_STATIONS = 1.0, 0.1, 2.0
# A station's hours are worth as many independent ones as there are spells of this length.
_SPELL_HOURS = 12.0
# Stations are near each other below, and far from each other above, of the larger of which `shared_km` is told.
_NEAR_KM = 25.0
_SHARED_KM = 50.0, 2000.0
_MOST_PAIRED = 80
# Noise that is tried: the field's covariance is only nearly right, and too much noise costs less than too little.
_NOISE_FACTORS = (1.0, 3.0, 10.0)


@dataclass(frozen=True)
class _Scaled:
    """Standardised readings (hour, station), hours between them, distances in km, and the background stations."""

    z: Floats
    step: float
    km: Floats
    background: NDArray[np.intp]
    group: NDArray[np.str_]


def learn_visible_groups(
    observations: Observations, split: Split, scaling: Mapping[str, Scaling]
) -> StationGroups | None:
    """Return what is learned of groups where a split hides stations and hours; None for a record without groups."""
    if not has_groups(observations):
        return None
    hidden = set(np.array(split.stations)[split.where(HIDDEN_TENTH, HIDDEN_CITY)].tolist())
    seen = [station for station in observations.stations if station not in hidden]
    last = pd.Timestamp(split.unseen_from) - pd.Timedelta(hours=1)
    return learn_groups(observations.select(stations=seen, end=min(last, observations.times[-1])), scaling)


def learn_groups(observations: Observations, scaling: Mapping[str, Scaling]) -> StationGroups:
    """Return what the stations of a record that are not of background air differ by.

    Parameters
    ----------
    observations : Observations
        Stations and hours that the model may see, those of background air among them.
    scaling : mapping
        Pollutant -> its scaling.
    """
    group = groups_of(observations)
    known = StationGroups()
    if (group == "").all():
        return known
    km = distances(observations.lat, observations.lon)
    stride = even_step(-(-len(observations.times) // _MOST_HOURS))
    for key in observations.species:
        if key not in scaling:
            continue
        z = scaling[key].forward(observations.values(key)[::stride]).astype(np.float64)
        reports = (np.isfinite(z).sum(axis=0) >= _FEWEST_HOURS) & (group == "")
        data = _Scaled(z, float(stride), km, np.flatnonzero(reports), group)
        if len(data.background) < _FEWEST_STATIONS:
            continue
        known.air[key] = fit_air(data.z[:, data.background], data.km[np.ix_(data.background, data.background)])
        known.groups[key], offsets = _learn_pollutant(data, known.air[key])
        known.offsets[key] = {observations.stations[i]: round(x, 6) for i, x in offsets.items()}
    places = zip(observations.stations, observations.lat.tolist(), observations.lon.tolist(), strict=True)
    known.places.update({station: (lat, lon) for station, lat, lon in places})
    return known


def fit_air(z: Floats, km: Floats) -> AirCovariance:
    """Return how background air goes together, from standardised readings (hour, station) and distances."""
    enough = np.isfinite(z).sum(axis=1) >= _FEWEST_STATIONS
    variance = max(float(np.nanmean(np.nanvar(z[enough], axis=1))) if enough.any() else 1.0, 1e-6)
    data = empirical_variogram(z, km)
    if len(data.km) >= 3:
        fitted = fit_variogram("exponential", data)
    else:  # too few pairs for a curve: as far as the stations reach, a tenth of it the places' own
        fitted = Variogram("exponential", 0.1, (0.9,), (float(km.max()) / 2,))
    air = AirCovariance(variance, fitted.nugget, fitted.sills[0], fitted.ranges[0], 1.0)
    out = leave_out(z, km, fitted, np.arange(len(km)))
    answered = np.isfinite(out.estimate)
    count = answered.sum(axis=0)
    missed = np.where(answered, z - out.estimate, 0.0).sum(axis=0) / np.maximum(count, 1)
    expected = variance * np.where(answered, out.variance, 0.0).sum(axis=0) / np.maximum(count, 1)
    lasting = float((missed**2).sum() / max(expected[count > 0].sum(), 1e-9))
    return replace(air, lasting=float(np.clip(lasting, 0.02, 1.0)))


def _learn_pollutant(data: _Scaled, air: AirCovariance) -> tuple[dict[str, GroupErrors], dict[int, float]]:
    """Return the errors of each group, and by index the lasting difference of each of their stations."""
    groups: dict[str, GroupErrors] = {}
    offsets: dict[int, float] = {}
    for name in np.unique(data.group[data.group != ""]).tolist():
        some = np.flatnonzero(data.group == name)
        residual, variance = from_background(data.z, data.km, air, data.background, some)
        enough = np.isfinite(residual).sum(axis=0) >= _FEWEST_HOURS
        if not enough.any():
            continue
        some, residual, variance = some[enough], residual[:, enough], variance[:, enough]
        first = GroupErrors(0.0, _SPREAD_PRIOR, 0.0, 0.0, _SHARED_KM[1], len(some), True)
        errors, lasting = lasting_differences(residual, variance, air, first, data.step)
        errors = _hourly_errors(residual - lasting, data, air, some, errors)
        groups[name] = _as_far_as_it_helps(data, air, some, errors, lasting)
        offsets |= dict(zip(some.tolist(), lasting.tolist(), strict=True))
    return groups, offsets


def from_background(
    z: Floats, km: Floats, air: AirCovariance, background: NDArray[np.intp], some: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return how far stations read from what background stations krige there, and the variance of that kriging.

    Each (hour, station of `some`), NaN where a reading is missing or fewer than `_FEWEST_STATIONS` others report.
    """
    covariance = air_covariance(air, km)
    residual, variance = np.full((2, len(z), len(some)), np.nan)
    for row, hour in enumerate(z):
        at = background[np.isfinite(hour[background])]
        if len(at) < _FEWEST_STATIONS:
            continue
        sill = air.variance * (air.nugget + air.sill)
        estimate, spread = ordinary_kriging(covariance[np.ix_(at, at)], covariance[np.ix_(at, some)], hour[at], sill)
        residual[row] = hour[some] - estimate
        variance[row] = np.where(np.isfinite(residual[row]), spread, np.nan)
    return residual, variance


def lasting_differences(
    residual: Floats, variance: Floats, air: AirCovariance, known: GroupErrors, step: float
) -> tuple[GroupErrors, Floats]:
    """Return a group with its mean and spread, and each station's lasting difference, drawn to the mean.

    Drawn the more, the fewer its hours and the farther the background stations: the part of kriging's error that lasts
    at a place (`AirCovariance.lasting`) no number of hours takes away. A group that is `known` by more stations than
    these keeps its mean and spread.

    Parameters
    ----------
    residual, variance : ndarray, shape (hour, station)
        Of `from_background`.
    air : AirCovariance
    known : GroupErrors
    step : float
        Hours between rows.
    """
    count = np.isfinite(residual).sum(axis=0)
    hours = np.maximum(count, 1)
    mean = np.where(count > 0, np.nansum(residual, axis=0) / hours, 0.0)
    error = np.where(count > 0, np.nansum(variance, axis=0) / hours, np.inf)
    own = np.nansum((residual - mean) ** 2, axis=0) / hours
    spells = np.maximum(count * min(step / _SPELL_HOURS, 1.0), 1.0)
    unsure = np.where(count > 0, air.lasting * error + own / spells, np.inf)
    if len(mean) >= known.stations or known.mean == 0.0:
        known = _fit_mean(mean, unsure, known)
    share = known.spread / (known.spread + unsure)
    return known, np.asarray(known.mean + share * (mean - known.mean))


def _fit_mean(mean: Floats, unsure: Floats, group: GroupErrors) -> GroupErrors:
    """Return a group with the mean and the spread of its stations' lasting differences."""
    there = np.isfinite(unsure)
    spread, middle = _SPREAD_PRIOR, 0.0
    for _ in range(5):
        weight = 1.0 / (spread + unsure[there])
        middle = float((weight * mean[there]).sum() / (weight.sum() + 1.0 / _MEAN_PRIOR))
        seen = max(float(((mean[there] - middle) ** 2 - unsure[there]).mean()), 0.0)
        count = int(there.sum())
        spread = (count * seen + _PRIOR_STATIONS * _SPREAD_PRIOR) / (count + _PRIOR_STATIONS)
    return replace(group, mean=round(middle, 6), spread=round(spread, 6))


def _hourly_errors(
    residual: Floats, data: _Scaled, air: AirCovariance, some: NDArray[np.intp], group: GroupErrors
) -> GroupErrors:
    """Return a group with its noise, and what its stations are off by together: what is left beside kriging's error."""
    chosen = np.unique(np.linspace(0, len(some) - 1, min(len(some), _MOST_PAIRED)).astype(int))
    residual, some = residual[:, chosen], some[chosen]
    covariance = air_covariance(air, data.km)
    inverse = np.linalg.inv(covariance[np.ix_(data.background, data.background)])
    across = covariance[np.ix_(some, data.background)]
    left = covariance[np.ix_(some, some)] - across @ inverse @ across.T
    known = np.isfinite(residual)
    filled = np.where(known, residual, 0.0)
    products = filled.T @ filled / np.maximum(known.T.astype(float) @ known, 1.0)
    excess = products - left
    pairs = np.triu_indices(len(some), k=1)
    apart, beyond = data.km[np.ix_(some, some)][pairs], excess[pairs]
    near = apart <= _NEAR_KM
    shared, reach = 0.0, _SHARED_KM[1]
    if near.any():
        shared = max(float(beyond[near].mean()), 0.0)
        far = apart > np.median(apart)
        if shared > 0 and far.any() and apart[far].mean() > _NEAR_KM:
            ratio = np.clip(float(beyond[far].mean()) / shared, 1e-6, 0.999)
            reach = float(np.clip(-apart[far].mean() / np.log(ratio), *_SHARED_KM))
    noise = max(float(np.diag(excess).mean()) - shared, 0.01 * air.variance)
    return replace(group, noise=round(noise, 6), shared=round(shared, 6), shared_km=round(reach, 3))


def _as_far_as_it_helps(
    data: _Scaled, air: AirCovariance, some: NDArray[np.intp], errors: GroupErrors, lasting: Floats
) -> GroupErrors:
    """Return a group with the noise at which background stations left out are told best, and whether it helps them."""
    name = str(data.group[some[0]])
    chosen = np.unique(np.linspace(0, len(some) - 1, min(len(some), 4 * _MOST_PAIRED)).astype(int))
    there = np.concatenate([data.background, some[chosen]])
    rows = np.unique(np.linspace(0, len(data.z) - 1, min(len(data.z), _GATE_HOURS)).astype(int))
    z = data.z[np.ix_(rows, there)].copy()
    count = len(data.background)
    z[:, count:] -= lasting[chosen]
    km, judged = data.km[np.ix_(there, there)], np.arange(count)
    covariance = air_covariance(air, km)
    alone = left_out_errors(z[:, :count], covariance[:count, :count], judged)
    best, least = None, float(np.nanmean(np.abs(alone)))
    for factor in _NOISE_FACTORS:
        louder = replace(errors, noise=errors.noise * factor)
        noise = noise_covariance(data.group[there], {name: louder}, km)
        missed = float(np.nanmean(np.abs(left_out_errors(z, covariance + noise, judged))))
        if missed < least:
            best, least = louder, missed
    return replace(errors, helps=False) if best is None else best
