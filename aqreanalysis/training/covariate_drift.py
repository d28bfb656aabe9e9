"""Learning the drift on covariates: the regression of readings on what is known everywhere, before any kriging.

Stations stand in towns, and what lies beyond them is known from a chemistry model's field, the weather and the land.
The network starts from kriging of what a regression on these leaves (residual kriging) and learns on from there. What a
model says and what the wind brings of sources add up in the air, so their sum enters as one field more: fields that
stand alone in logarithms would multiply, and leave too little where there is little of one. The regression is about
each hour's own mean over the towns, since kriging knows the hour's level; a town's stations share a vote. As with the
drift on height and population, it must earn its place at towns that it was not fitted to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from aqreanalysis.model import Scaling
from aqreanalysis.model.network.covariate_effects import CovariateDrift
from aqreanalysis.model.network.scaling import BACKGROUND, UPWIND, FieldScaling
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
# What is in the air whatever the fields say, as a share of the level.
_LEAST_BASE = 0.05


@dataclass(frozen=True)
class _Sums:
    """Weighted sums of squares and products of each town: of fields (town, field, field), of fields and readings (town,
    field), and of the readings of all."""

    fields: Floats
    product: Floats
    readings: float


def fit_covariate_drift(
    readings: NDArray[np.float32],
    fields: NDArray[np.float32],
    places: tuple[Floats, Floats],
    scalings: Mapping[str, Scaling],
    scaling: FieldScaling,
) -> CovariateDrift:
    """Return the drift of each input; it is zero where towns left out do not bear one out.

    Parameters
    ----------
    readings : float32 (hour, station, input)
        Standardised logarithms at the training stations, NaN where missing.
    fields : float32 (hour, station, field)
        Standardised covariates of the same hours, NaN where missing.
    places : tuple of float64 (station,)
        Latitudes and longitudes in degrees.
    scalings : dict
        Of the inputs, in their order.
    scaling : FieldScaling
        Of the fields.
    """
    stride = max(1, len(readings) // _ENOUGH_HOURS)
    stride += stride % 2 == 0  # of every hour of day
    z, x = readings[::stride].astype(np.float64), np.nan_to_num(fields[::stride]).astype(np.float64)
    names = clusters([str(i).zfill(6) for i in range(len(places[0]))], *places, _TOWN_KM)
    town = np.unique(names, return_inverse=True)[1].astype(np.int64)
    slopes, amounts = np.zeros((2, x.shape[-1], readings.shape[-1]))
    share, explained = np.zeros((2, readings.shape[-1]))
    if len(np.unique(town)) >= _FEWEST_TOWNS:
        for i, (key, own) in enumerate(scalings.items()):
            weight = _town_votes(np.isfinite(z[..., i]), town)
            amount, total = _mixture(np.exp(z[..., i] * own.std), x, weight, _adding(key, scaling))
            sums = _sums_of_towns(z[..., i], np.concatenate((x, total[..., None] / own.std), axis=-1), weight, town)
            coefficients, explained[i] = _slopes(sums)
            slopes[:, i], share[i] = coefficients[:-1], coefficients[-1] / own.std
            amounts[:, i] = amount
    flat = x.reshape(-1, x.shape[-1])
    bounds = flat.min(axis=0).astype(np.float32), flat.max(axis=0).astype(np.float32)
    numbers = slopes.astype(np.float32), amounts.astype(np.float32), share.astype(np.float32)
    return CovariateDrift(*numbers, *bounds, explained)


def _adding(key: str, scaling: FieldScaling) -> dict[int, tuple[float, float, float]]:
    """Return, of the fields that add up to a pollutant in the air, offset, mean and standard deviation by position."""
    return {
        i: (scaling.offset[i] or 0.0, scaling.mean[i], scaling.std[i])
        for i, name in enumerate(scaling.names)
        if name == key + BACKGROUND or name.endswith(UPWIND)
    }


def _mixture(
    y: Floats, x: Floats, weight: Floats, adding: Mapping[int, tuple[float, float, float]]
) -> tuple[Floats, Floats]:
    """Return how much of each field (field,) is in the readings, none below zero, as multiples of what is in the air
    anyway, and the logarithm of their sum with it (hour, station).

    Parameters
    ----------
    y : ndarray (hour, station)
        Concentrations in units of their geometric mean, NaN where missing.
    x : ndarray (hour, station, field)
        Standardised fields.
    weight : ndarray (hour, station)
        Votes; zero where there is no reading.
    adding : dict
        As `_adding` gives.
    """
    amounts = np.zeros(x.shape[-1])
    if not adding:
        return amounts, np.zeros(y.shape)
    parts = [np.maximum(np.exp(x[..., i] * std + mean) - offset, 0.0) for i, (offset, mean, std) in adding.items()]
    concentrations = np.stack(parts, axis=-1)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    filled = np.nan_to_num(y)
    level = np.maximum((weight * filled).sum(axis=1, keepdims=True) / total, 1e-6)
    middle = (weight[..., None] * concentrations).sum(axis=1, keepdims=True) / total[..., None]
    # About its mean, and each hour in units of its own level: an error of a tenth counts the same in all.
    root = np.sqrt(weight)
    left = (root[..., None] * (concentrations - middle) / level[..., None]).reshape(-1, len(adding))
    size = np.maximum(np.linalg.norm(left, axis=0), 1e-12)
    amount = nnls(left / size, (root * (filled - level) / level).ravel())[0] / size
    rest = level[:, 0] - middle[:, 0] @ amount
    amount /= max(float(np.median(rest)), _LEAST_BASE * float(np.median(level)))
    amounts[list(adding)] = amount
    return amounts, np.log1p(concentrations @ amount)


def _town_votes(known: NDArray[np.bool_], town: NDArray[np.int64]) -> Floats:
    """Return weights (hour, station): in each hour the stations of a town that report share one vote."""
    member = (town[:, None] == np.unique(town)).astype(np.float64)  # (station, town)
    return np.asarray(known / np.maximum((known @ member) @ member.T, 1))


def _sums_of_towns(z: Floats, x: Floats, weight: Floats, town: NDArray[np.int64]) -> _Sums:
    """Return each town's sums of readings (hour, station) and fields (hour, station, field) about their hour's mean."""
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    z = np.where(np.isfinite(z), z - (weight * np.nan_to_num(z)).sum(axis=1, keepdims=True) / total, 0.0)
    x = x - (weight[..., None] * x).sum(axis=1, keepdims=True) / total[..., None]
    fields, product = [], []
    for own in (town == number for number in np.unique(town)):
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
