"""Learning the drift on covariates: the regression of readings on what is known everywhere, before any kriging.

Stations stand in towns, and what lies beyond them is known from a chemistry model's field, the weather and the land.
The network starts from kriging of what a regression on these leaves (residual kriging) and learns on from there. The
regression is about each hour's own mean over the towns, since kriging knows the hour's level; a town's stations share a
vote. As with the drift on height and population, it must earn its place at towns that it was not fitted to.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.network.covariate_effects import CovariateDrift
from aqreanalysis.splits import clusters

Floats = NDArray[np.float64]

# Hours beyond these tell nothing new about a slope.
_ENOUGH_HOURS = 2000
_TOWN_KM = 25.0
_FOLDS = 10
# A fold needs a town, and a slope is the difference between towns.
_FEWEST_TOWNS = 5
# As shares of the sum of squares of a standardised field.
_PENALTIES = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)
# Share of the variance within the hours that must be explained at towns left out.
_LEAST_EXPLAINED = 0.03


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of squares and products of each town: of fields (town, field, field), of fields and readings (town,
    field), and of the readings of all."""

    fields: Floats
    product: Floats
    readings: float


def fit_covariate_drift(
    readings: NDArray[np.float32], fields: NDArray[np.float32], lat: Floats, lon: Floats
) -> CovariateDrift:
    """Return the drift of each input; slopes are zero where towns left out do not bear one out.

    Parameters
    ----------
    readings : float32 (hour, station, input)
        Standardised logarithms at the training stations, NaN where missing.
    fields : float32 (hour, station, field)
        Standardised covariates of the same hours, NaN where missing.
    lat, lon : float64 (station,)
        Degrees.
    """
    stride = max(1, len(readings) // _ENOUGH_HOURS)
    stride += stride % 2 == 0  # of every hour of day
    x = np.nan_to_num(fields[::stride]).astype(np.float64)
    names = clusters([str(i).zfill(6) for i in range(len(lat))], lat, lon, _TOWN_KM)
    town = np.unique(names, return_inverse=True)[1].astype(np.int64)
    slopes, explained = np.zeros((x.shape[-1], readings.shape[-1])), np.zeros(readings.shape[-1])
    if len(np.unique(town)) >= _FEWEST_TOWNS:
        for i in range(readings.shape[-1]):
            sums = _sums_of_towns(readings[::stride, :, i].astype(np.float64), x, town)
            slopes[:, i], explained[i] = _slopes(sums)
    flat = x.reshape(-1, x.shape[-1])
    low, high = flat.min(axis=0).astype(np.float32), flat.max(axis=0).astype(np.float32)
    return CovariateDrift(slopes.astype(np.float32), low, high, explained)


def _sums_of_towns(z: Floats, x: Floats, town: NDArray[np.int64]) -> _Sums:
    """Return each town's sums, of readings (hour, station) and fields (hour, station, field) about their hour's mean.

    In each hour the stations of a town that report share one vote.
    """
    known, towns = np.isfinite(z), np.unique(town)
    member = town[:, None] == towns  # (station, town)
    weight = known / np.maximum((known @ member) @ member.T, 1)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    z = np.where(known, z - (weight * np.nan_to_num(z)).sum(axis=1, keepdims=True) / total, 0.0)
    x = x - (weight[..., None] * x).sum(axis=1, keepdims=True) / total[..., None]
    fields, product = [], []
    for own in member.T:
        weighted = weight[:, own, None] * x[:, own]
        fields.append(np.einsum("hsf,hsg->fg", weighted, x[:, own], optimize=True))
        product.append(np.einsum("hsf,hs->f", weighted, z[:, own], optimize=True))
    return _Sums(np.stack(fields), np.stack(product), float((weight * z**2).sum()))


def _slopes(sums: _Sums) -> tuple[Floats, float]:
    """Return slopes (field,) by ridge regression, its penalty chosen at towns left out, and the share of the readings'
    variance that is explained there; zeros if none pays."""
    towns = len(sums.fields)
    fold = np.random.default_rng(0).permutation(towns) % min(_FOLDS, towns)
    error = np.full(len(_PENALTIES), sums.readings)
    for number, (i, penalty) in itertools.product(range(fold.max() + 1), enumerate(_PENALTIES)):
        away, here = fold != number, fold == number
        slope = _ridge(sums.fields[away].sum(axis=0), sums.product[away].sum(axis=0), penalty)
        error[i] += slope @ sums.fields[here].sum(axis=0) @ slope - 2 * slope @ sums.product[here].sum(axis=0)
    best = int(error.argmin())
    explained = 1 - float(error[best]) / max(sums.readings, 1e-9)
    if explained < _LEAST_EXPLAINED:
        return np.zeros(sums.product.shape[1]), 0.0
    return _ridge(sums.fields.sum(axis=0), sums.product.sum(axis=0), _PENALTIES[best]), explained


def _ridge(fields: Floats, product: Floats, penalty: float) -> Floats:
    typical = max(float(np.trace(fields)) / len(fields), 1e-9)
    return np.asarray(np.linalg.solve(fields + penalty * typical * np.eye(len(fields)), product))
