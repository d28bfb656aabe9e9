"""Fit of a covariance model to stations by restricted maximum likelihood, each hour of a size of its own.

A variogram of a dozen stations is mostly chance: pairs that share a station are not independent, and the bins near the
origin, which decide how much a neighbour is believed, hold a handful of them. The likelihood weighs all readings of an
hour together, and of hours there are hundreds. At hidden stations of nature runs with 20, 40 and 80 stations (three
seeds each) bands kriged so err by 1.000, 0.997 and 0.994 of the best of four interpolations, where with models fitted
to variograms it was 1.018, 0.999 and 0.991.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from aqreanalysis.model.network.neural_knn import CovarianceModel

Floats = npt.NDArray[np.floating[Any]]

#: Fewer readings of an hour say nothing of a covariance once their mean and their size are free.
FEWEST_READINGS = 3
# Stations whose readings are weighed together; of more the likelihood is that of several groups, as if they knew
# nothing of each other: with their cube grows what a fit takes.
_MOST_TOGETHER = 64
# Systems that a step of the fit inverts: an hour of a group is one.
_MOST_SYSTEMS = 500
_MOST_STEPS = 60
# Standard deviation of what is known beforehand of the logarithms of ranges and nugget, and of the share's logit: it
# decides where stations are few and hours too.
_PRIOR = 0.6
# Farther than this from what is usual no parameter is looked for.
_FARTHEST = 8.0
_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class _Group:
    """Readings (hour, station) of some stations, zero where missing, which those are, and the stations' distances."""

    values: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_]
    km: npt.NDArray[np.float64]


def most_likely_covariance(fields: Sequence[Floats], km: Floats, usual: CovarianceModel) -> CovarianceModel:
    """Return the covariance under which the readings are most likely; the usual one where no hour has enough of them.

    The mean of each hour is unknown (Patterson and Thompson 1971, doi:10.1093/biomet/58.3.545) and so is its size, as
    of hazy and clean ones: an hour's likelihood is taken at the size that fits it best.

    Parameters
    ----------
    fields : sequence of ndarray, shape (T, station)
        Readings, NaN where missing; of several, such as pollutants, the product of likelihoods is taken.
    km : ndarray, shape (station, station)
        Distances.
    usual : CovarianceModel
        What is known beforehand, and where the search begins.
    """
    groups = [group for values in fields for group in _groups(values, km)]
    systems = sum(len(group.values) for group in groups)
    if not systems:
        return usual
    step = -(-systems // _MOST_SYSTEMS)
    groups = [_Group(group.values[::step], group.known[::step], group.km) for group in groups]
    before = _free(usual)

    def cost(p: Floats) -> tuple[float, Floats]:
        parts = [_cost(group, _of_free(p)) for group in groups]
        away = (p - before) / _PRIOR
        total = sum(part[0] for part in parts) + 0.5 * float(away @ away)
        return total, sum(part[1] for part in parts) + away / _PRIOR

    bounds = [(value - _FARTHEST, value + _FARTHEST) for value in before]
    options = {"maxiter": _MOST_STEPS}
    fitted = scipy.optimize.minimize(cost, before, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return _of_free(fitted.x)


def _groups(values: Floats, km: Floats) -> list[_Group]:
    """Return groups of stations that stand among each other, with the hours that have enough readings of them."""
    count = -(-values.shape[1] // _MOST_TOGETHER)
    groups = []
    for first in range(count):
        own = np.arange(first, values.shape[1], count)
        known = np.isfinite(values[:, own])
        # Nor does an hour in which all read the same, whose size would be none.
        high, low = (np.where(known, values[:, own], end) for end in (-np.inf, np.inf))
        rows = (known.sum(axis=1) >= FEWEST_READINGS) & (high.max(axis=1) > low.min(axis=1))
        some = values[np.ix_(rows, own)].astype(np.float64)
        groups.append(_Group(np.where(known[rows], some, 0.0), known[rows], km[np.ix_(own, own)]))
    return groups


def _cost(group: _Group, model: CovarianceModel) -> tuple[float, Floats]:
    """Return minus the restricted log-likelihood of a group, and its gradient by the free parameters (4,)."""
    covariance, slopes = _with_gradient(model, group.km)
    masks, member = np.unique(group.known, axis=0, return_inverse=True)
    both = masks[:, :, None] & masks[:, None, :]
    systems = np.where(both, covariance, np.eye(len(covariance)))
    logs = np.linalg.slogdet(systems)[1]
    inverse = np.where(both, np.linalg.inv(systems), 0.0)
    rows = inverse.sum(axis=2)
    total = rows.sum(axis=1)
    # The inverse less what an unknown mean takes: also what the determinant changes by.
    projected = inverse - rows[:, :, None] * rows[:, None, :] / total[:, None, None]
    hours = np.bincount(member.ravel(), minlength=len(masks))
    weighed = np.einsum("tij,tj->ti", projected[member.ravel()], group.values)
    size = np.maximum((weighed * group.values).sum(axis=1), np.finfo(np.float64).tiny)
    free = group.known.sum(axis=1) - 1
    cost = 0.5 * float(hours @ (logs + np.log(total)) + free @ np.log(size))
    outer = (weighed * (free / size)[:, None]).T @ weighed
    gradient = 0.5 * (np.einsum("u,uij->ij", hours.astype(np.float64), projected) - outer)
    return cost, np.einsum("ij,kij->k", gradient, slopes)


def _free(model: CovarianceModel) -> npt.NDArray[np.float64]:
    """Return the parameters as numbers without bounds: logarithms, and the share's logit."""
    share = np.log(model.long_share / (1 - model.long_share))
    return np.array([np.log(model.short_km), np.log(model.long_km), share, np.log(model.nugget)])


def _of_free(p: Floats) -> CovarianceModel:
    near, far, share, nugget = p.tolist()
    return CovarianceModel(
        float(np.exp(near)), float(np.exp(far)), float(1 / (1 + np.exp(-share))), float(np.exp(nugget))
    )


def _with_gradient(model: CovarianceModel, km: Floats) -> tuple[Floats, Floats]:
    """Return the covariance of stations (station, station), and its change with each of `_free` (4, ...)."""
    near, far, share, alone = km / model.short_km, km / model.long_km, model.long_share, np.eye(len(km))
    short, long, own = np.exp(-near), np.exp(-far), alone * model.nugget
    covariance = (1 - share) * short + share * long + own + alone * _LEAST_NOISE
    return covariance, np.stack(
        ((1 - share) * short * near, share * long * far, share * (1 - share) * (long - short), own)
    )
