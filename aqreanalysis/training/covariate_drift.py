"""Learning the drift on covariates: the regression of readings on what is known everywhere, before any kriging.

Stations stand in towns, and what lies beyond them is known from a chemistry model's field, the weather and the land.
The network starts from kriging of what a regression on these leaves (residual kriging) and learns on from there. What a
model says and what the wind brings of sources add up in the air, so their sum enters as one field more: fields that
stand alone in logarithms would multiply, and leave too little where there is little of one. What sources take from the
air, as their NO takes O3, is subtracted alike. How much of each is in the sum is fitted in logarithms too, where an
error of a tenth counts the same in clean air and in dirty. The regression is about each hour's own mean over the towns,
since kriging knows the hour's level; a town's stations share a vote. Its slopes follow the clock by a wave of a day. As
with the drift on height and population, it must earn its place at towns that it was not fitted to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from aqreanalysis.model import Scaling
from aqreanalysis.model.network.covariate_effects import MOST_TAKEN, CovariateDrift
from aqreanalysis.model.network.scaling import BACKGROUND, UPWIND, FieldScaling
from aqreanalysis.splits import town_numbers
from aqreanalysis.training.drift import hour_stride

Floats = NDArray[np.float64]

_FOLDS = 10
# A fold needs a town, and a slope is the difference between towns.
_FEWEST_TOWNS = 5
# As shares of the sum of squares of a standardised field.
_PENALTIES = (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0)
# Share of the variance within the hours that must be explained at towns left out.
_LEAST_EXPLAINED = 0.03
# Hours that the amounts of what adds up are fitted to: each of some dozens of steps goes through all.
_MIXTURE_HOURS = 500
# Logarithms of the least and the largest amount, in units of what is in the air anyway: beyond, nothing changes.
_AMOUNTS = (-7.0, 5.0)
# The same of what is taken from the air, where the search begins: of all that can be taken none tells its amount.
_TAKEN_AT_FIRST = -3.0


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
    hours: NDArray[np.int64],
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
    hours : int64 (hour,)
        Stamps, hours since 1970-01-01.
    places : tuple of float64 (station,)
        Latitudes and longitudes in degrees.
    scalings : dict
        Of the inputs, in their order.
    scaling : FieldScaling
        Of the fields.
    """
    stride = hour_stride(len(readings))
    z, x = readings[::stride].astype(np.float64), np.nan_to_num(fields[::stride]).astype(np.float64)
    angle = 2 * np.pi * (hours[::stride] % 24) / 24
    waves = np.stack((np.ones(len(angle)), np.cos(angle), np.sin(angle)), axis=-1)
    town = town_numbers(*places)
    inputs = readings.shape[-1]
    amounts, explained = np.zeros((x.shape[-1], inputs)), np.zeros(inputs)
    slopes = np.zeros((3, x.shape[-1] + 1, inputs))  # the last of the sum, in turn usual, by cosine and by sine
    if len(np.unique(town)) >= _FEWEST_TOWNS:
        for i, (key, own) in enumerate(scalings.items()):
            weight = _town_votes(np.isfinite(z[..., i]), town)
            adding = _adding(key, scaling)
            others = [j for j in range(x.shape[-1]) if j not in adding]
            amount, total = _mixture(z[..., i], x, weight, adding)
            regressors = np.concatenate((x[..., others], total[..., None] / own.std), axis=-1)
            by_clock = (regressors[:, :, None] * waves[:, None, :, None]).reshape(*total.shape, -1)
            coefficients, explained[i] = _slopes(_sums_of_towns(z[..., i], by_clock, weight, town))
            slopes[:, [*others, -1], i] = coefficients.reshape(3, -1)
            slopes[:, -1, i] /= own.std
            amounts[:, i] = amount
    flat = x.reshape(-1, x.shape[-1])
    bounds = flat.min(axis=0).astype(np.float32), flat.max(axis=0).astype(np.float32)
    usual, share, clock = (part.astype(np.float32) for part in (slopes[0, :-1], slopes[0, -1], slopes[1:]))
    return CovariateDrift(usual, amounts.astype(np.float32), share, clock, *bounds, explained)


def _adding(key: str, scaling: FieldScaling) -> dict[int, tuple[float, float, float, bool]]:
    """Return, of the fields that add up to a pollutant in the air, offset, mean and standard deviation by position, and
    whether it is what the wind brings of sources."""
    return {
        i: (scaling.offset[i] or 0.0, scaling.mean[i], scaling.std[i], name.endswith(UPWIND))
        for i, name in enumerate(scaling.names)
        if name == key + BACKGROUND or name.endswith(UPWIND)
    }


def _mixture(
    z: Floats, x: Floats, weight: Floats, adding: Mapping[int, tuple[float, float, float, bool]]
) -> tuple[Floats, Floats]:
    """Return how much of each field (field,) is in the readings, as multiples of what is in the air anyway, and the
    logarithm of their sum with it (hour, station).

    None is below zero, or what the wind brings is below zero alone: whichever fits better.

    Least squares of the readings' logarithm about each hour's mean on the logarithm of the sum, with the slopes of the
    sum and of the fields that do not add up (variable projection: for given amounts they follow, so only amounts are
    searched, Golub and Pereyra 1973, doi 10.1137/0710036).

    Parameters
    ----------
    z : ndarray (hour, station)
        Standardised logarithms of concentrations, NaN where missing.
    x : ndarray (hour, station, field)
        Standardised fields.
    weight : ndarray (hour, station)
        Votes; zero where there is no reading.
    adding : dict
        As `_adding` gives.
    """
    amounts = np.zeros(x.shape[-1])
    if not adding:
        return amounts, np.zeros(z.shape)
    parts = [np.maximum(np.exp(x[..., i] * std + mean) - offset, 0.0) for i, (offset, mean, std, _) in adding.items()]
    concentrations = np.stack(parts, axis=-1)
    typical = np.maximum(concentrations.mean(axis=(0, 1)), 1e-12)
    concentrations /= typical
    others = [i for i in range(x.shape[-1]) if i not in adding]
    few = slice(None, None, max(1, len(z) // _MIXTURE_HOURS))
    fits = []
    for brought in (1.0, -1.0):
        sign = np.array([brought if upwind else 1.0 for *_, upwind in adding.values()])
        fit = _SumInLogarithms(np.nan_to_num(z[few]), sign * concentrations[few], x[few][..., others], weight[few])
        start = np.where(sign > 0, 0.0, _TAKEN_AT_FIRST)
        search = minimize(fit, start, jac=True, method="L-BFGS-B", bounds=[_AMOUNTS] * len(adding))
        fits.append((float(search.fun), sign * np.exp(search.x)))
    _, amount = min(fits, key=lambda fit: fit[0])
    amounts[list(adding)] = amount / typical
    return amounts, np.log1p(np.maximum(concentrations @ amount, -MOST_TAKEN))


class _SumInLogarithms:
    """What the amounts of concentrations leave of the readings' variance, and how that changes with their logarithms.

    Parameters
    ----------
    z : ndarray (hour, station)
    concentrations : ndarray (hour, station, part)
    others : ndarray (hour, station, field)
    weight : ndarray (hour, station)
    """

    def __init__(self, z: Floats, concentrations: Floats, others: Floats, weight: Floats) -> None:
        self._concentrations, self._weight, self._root = concentrations, weight, np.sqrt(weight)
        self._total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        columns = np.empty((z.size, others.shape[-1]))
        for i in range(others.shape[-1]):
            columns[:, i] = self._centred(others[..., i])
        # Fields that repeat each other must not spoil the basis: its columns are those that carry something.
        base, size, _ = np.linalg.svd(columns, full_matrices=False)
        self._others = base[:, size > 1e-6 * max(float(size.max(initial=0.0)), 1e-9)]
        self._readings = self._rid(self._centred(z))

    def __call__(self, logarithm: Floats) -> tuple[float, Floats]:
        """Return the share left and its derivatives by the amounts' logarithms (part,)."""
        added = self._concentrations * np.exp(logarithm)
        whole = np.maximum(1.0 + added.sum(axis=-1), 1.0 - MOST_TAKEN)
        total = self._rid(self._centred(np.log(whole)))
        slope = total @ self._readings / max(float(total @ total), 1e-12)
        left, all_of_it = self._readings - slope * total, float(self._readings @ self._readings)
        shares = np.where(whole > 1.0 - MOST_TAKEN, np.moveaxis(added, -1, 0) / whole, 0.0)
        change = [-2.0 * slope * (left @ self._centred(share)) for share in shares]
        return float(left @ left) / max(all_of_it, 1e-12), np.asarray(change) / max(all_of_it, 1e-12)

    def _centred(self, values: Floats) -> Floats:
        """Return values (hour, station) about their hour's mean, as the votes weigh them, in a row."""
        middle = (self._weight * values).sum(axis=1, keepdims=True) / self._total
        return np.asarray((self._root * (values - middle)).ravel())

    def _rid(self, values: Floats) -> Floats:
        """Return what the other fields do not explain."""
        return np.asarray(values - self._others @ (self._others.T @ values))


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
