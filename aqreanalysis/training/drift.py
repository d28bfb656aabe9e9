"""Learning the external drift: kriging leaves each station out, and what it misses is laid to height and population.

Stations are left out twice, alone and with all others of their town, since cells of a grid lie at both distances. A
slope must earn its place at towns that it was not learned at, else the pollutant has none: of six pollutants in North
China PM2.5, PM10 and NO2 keep theirs (benchmarks/skill.md).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.geography import FIELDS, describe
from aqreanalysis.geostatistics.kriging import leave_out
from aqreanalysis.geostatistics.variogram import Variogram, empirical_variogram, fit_variogram
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.splits import clusters

Floats = NDArray[np.float64]

# A station's lasting bias is what counts, and some four hours a month tell it; more cost time and change nothing.
_MOST_HOURS = 96
# A long record is not read whole to find those.
_ENOUGH_HOURS = 2000
# Kriging's systems grow with the cube of the stations.
_MOST_STATIONS = 500
# With fewer towns a slope is the difference between two of them.
_FEWEST_TOWNS, _FOLDS = 20, 10
_TOWN_KM = 25.0
_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Share of the stations' lasting misses that must be explained at towns left out.
_LEAST_EXPLAINED = 0.03
# Moves co-located instruments apart: at distance zero two rows of the kriging matrix would be equal.
_APART_KM = 1e-3


@dataclass(frozen=True)
class _Missed:
    """What kriging misses of stations left out, two rows a station: mean residual, fields less what the others say of
    them, weight, town."""

    residual: Floats
    fields: Floats
    weight: Floats
    town: NDArray[np.int64]


def hour_stride(count: int) -> int:
    """Return a step by which a record of `count` hours is thinned to some two thousand, of every hour of day."""
    return next(step for step in itertools.count(max(1, count // _ENOUGH_HOURS)) if math.gcd(step, 24) == 1)


def fit_drift(
    values: NDArray[np.float32],
    scaling: Mapping[str, Scaling],
    lat: Floats,
    lon: Floats,
) -> Drift | None:
    """Return the drift of each pollutant; None where the stations stand in too few towns to tell, or none has any.

    Parameters
    ----------
    values : float32 (hour, station, input)
        Concentrations at the training stations, NaN where missing.
    scaling : dict
        Of the inputs, in their order.
    lat, lon : float64 (station,)
        Degrees.
    """
    chosen = np.unique(np.linspace(0, len(lat) - 1, min(len(lat), _MOST_STATIONS)).astype(int))
    lat, lon = lat[chosen], lon[chosen]
    names = clusters([str(i).zfill(6) for i in range(len(lat))], lat, lon, _TOWN_KM)
    town = np.unique(names, return_inverse=True)[1].astype(np.int64)
    if len(np.unique(town)) < _FEWEST_TOWNS:
        return None
    fields = describe(lat, lon)
    middle, spread = fields.mean(axis=0), np.maximum(fields.std(axis=0), 1e-6)
    km = np.linalg.norm(relative_position(lat[:, None], lon[:, None], lat[None], lon[None]), axis=-1)
    km += _APART_KM * (1 - np.eye(len(km)))
    slopes = {}
    for i, (key, one) in enumerate(scaling.items()):
        readings = values[:, :, i][:, chosen]
        missed = _missed(one, readings, (fields - middle) / spread, km, town)
        slopes[key] = tuple(float(x) for x in _slopes(missed) / spread)
    if not any(any(x) for x in slopes.values()):
        return None
    bounds = (fields.min(axis=0), middle, fields.max(axis=0))
    return Drift(slopes, *(tuple(float(x) for x in bound) for bound in bounds))


def _missed(
    scaling: Scaling, readings: NDArray[np.float32], fields: Floats, km: Floats, town: NDArray[np.int64]
) -> _Missed | None:
    """Return what kriging of the standardised logarithm misses; None if too little is read to tell."""
    full = np.flatnonzero(np.isfinite(readings).mean(axis=1) > 0.5)
    if len(full) < _MOST_HOURS // 4:
        return None
    hours = full[np.unique(np.linspace(0, len(full) - 1, _MOST_HOURS).astype(int))]
    z = scaling.forward(readings[hours]).astype(np.float64)
    data = empirical_variogram(z, km)
    if len(data.km) < 6:
        return None
    variogram: Variogram = fit_variogram("two exponentials", data)
    alone = np.arange(len(km))
    parts = []
    for groups in (alone, town):
        estimate = leave_out(z, km, variogram, groups).estimate
        # By concentration: an error of a tenth counts for more where there is much.
        weight = np.where(np.isfinite(estimate), np.exp(np.nan_to_num(estimate) * scaling.std), 0.0)
        total = weight.sum(axis=0)
        mean = (weight * np.nan_to_num(z - estimate)).sum(axis=0) / np.maximum(total, 1e-9)
        neighbourhood = leave_out(np.ascontiguousarray(fields.T), km, variogram, groups).estimate.T
        known = (total > 0) & np.isfinite(neighbourhood).all(axis=1)
        parts.append((mean[known], (fields - neighbourhood)[known], total[known] / total[known].mean(), town[known]))
    return _Missed(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _slopes(missed: _Missed | None) -> Floats:
    """Return the slopes on the fields by ridge regression, its penalty chosen at towns left out; zeros if none pays."""
    nothing = np.zeros(len(FIELDS))
    if missed is None:
        return nothing
    towns = np.unique(missed.town)
    fold = (np.random.default_rng(0).permutation(len(towns)) % _FOLDS)[np.searchsorted(towns, missed.town)]
    error = np.zeros(len(_PENALTIES))
    for number in range(_FOLDS):
        away, here = fold != number, fold == number
        for i, penalty in enumerate(_PENALTIES):
            guess = missed.fields[here] @ _ridge(missed, away, penalty)
            error[i] += (missed.weight[here] * (missed.residual[here] - guess) ** 2).sum()
    without = (missed.weight * missed.residual**2).sum()
    best = int(error.argmin())
    if error[best] > (1 - _LEAST_EXPLAINED) * without:
        return nothing
    return _ridge(missed, np.ones(len(fold), dtype=bool), _PENALTIES[best])


def _ridge(missed: _Missed, rows: NDArray[np.bool_], penalty: float) -> Floats:
    # Without a constant: kriging takes it off with the mean.
    ridge = Ridge(alpha=penalty, fit_intercept=False)
    ridge.fit(missed.fields[rows], missed.residual[rows], missed.weight[rows])
    return np.asarray(ridge.coef_, np.float64)
