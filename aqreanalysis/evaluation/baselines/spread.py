"""From the kriging variance to the size of the error: what both kinds of kriging tune on left-out stations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from aqreanalysis.evaluation.baselines.base import Floats, subsample
from aqreanalysis.evaluation.distributions import CensoredNormal, ShiftedLogNormal
from aqreanalysis.geostatistics.kriging import LeftOut

_NEIGHBOURS = 4


@dataclass(frozen=True)
class KrigingSpread:
    """How the kriging variance becomes the error's: fitted exponents and a factor.

    ``scale^2 = factor * kriging variance * (hour's scale)^hour * (typical scale)^(1 - hour) * (level)^(2 * level)``
    """

    factor: float
    hour: float
    level: float
    typical: float
    mean_level: float

    def scale(self, variance: Floats, hours: Floats, estimate: Floats) -> Floats:
        """Return the standard deviation, shape (T, point), from the kriging variance (T, point) and scale (T, 1)."""
        size = np.maximum(hours, 1e-9) ** self.hour * self.typical ** (1 - self.hour)
        level = (np.maximum(estimate, 0.02 * self.mean_level) / self.mean_level) ** (2 * self.level)
        return np.asarray(np.sqrt(self.factor * np.maximum(variance, 1e-9) * size * level))


def fit_kriging_spread(
    left_out: LeftOut, hours: Floats, observed: Floats, offset: float | None
) -> tuple[KrigingSpread, CensoredNormal | ShiftedLogNormal]:
    """Return the spread with the least mean CRPS at the left-out stations, and the distributions there.

    Parameters
    ----------
    left_out : LeftOut
        In logarithms where there is an offset.
    hours : ndarray, shape (T, 1)
        From `hour_scale`.
    observed : ndarray, shape (T, station)
        Readings, in units.
    offset : float or None
        What was added before the logarithm was taken; None where concentrations themselves are kriged.
    """
    known = np.isfinite(left_out.estimate) & np.isfinite(observed)
    few = subsample(known)
    e, v, o = left_out.estimate[few], left_out.variance[few], observed[few]
    h = np.broadcast_to(hours, few.shape)[few]
    typical, mean_level = float(np.median(h)), float(np.mean(np.abs(e))) + 1e-9

    def spread(p: Floats) -> KrigingSpread:
        # The logarithm's error is already relative to the level.
        level = float(p[2]) if offset is None else 0.0
        return KrigingSpread(float(np.exp(p[0])), float(p[1]), level, typical, mean_level)

    def cost(p: Floats) -> float:
        return float(distribution(e, spread(p).scale(v, h, e), offset).crps(o).mean())

    start = np.array([0.0, 0.5, 0.5])
    fitted = spread(scipy.optimize.minimize(cost, start, method="Nelder-Mead", options={"maxiter": 120}).x)
    scale = fitted.scale(left_out.variance, hours, left_out.estimate)
    return fitted, distribution(left_out.estimate, scale, offset)


def distribution(estimate: Floats, scale: Floats, offset: float | None) -> CensoredNormal | ShiftedLogNormal:
    """Return the predictive distribution of kriging: normal, or log-normal where there is an offset."""
    return CensoredNormal(estimate, scale) if offset is None else ShiftedLogNormal(estimate, scale, offset)


def hour_scale(z: Floats, km: Floats, variogram: Callable[[Floats], Floats]) -> Floats:
    """Return by how much an hour varies more than the pooled variogram says, shape (T, 1).

    The mean over pairs of near stations of their half squared difference over the model's semivariance.
    """
    near = np.argsort(km, axis=1, kind="stable")[:, 1 : 1 + _NEIGHBOURS]
    gamma = np.maximum(variogram(np.take_along_axis(km, near, axis=1)), 1e-12)
    scale = np.full((len(z), 1), np.nan)
    for t, hour in enumerate(z):
        ratio = 0.5 * (hour[:, None] - hour[near]) ** 2 / gamma
        if np.isfinite(ratio).any():
            scale[t, 0] = np.nanmean(ratio)
    known = np.isfinite(scale)
    return np.where(known, scale, np.median(scale[known]) if known.any() else 1.0)
