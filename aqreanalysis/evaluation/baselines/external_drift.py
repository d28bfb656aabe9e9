"""Kriging with external drift: universal kriging, whose mean is a sum of covariates fitted anew in every hour.

What residual kriging does in two steps, with slopes pooled over hours, this does in one, with slopes of the hour (Hengl
et al. 2003; Wackernagel 2003, chapter 37). An hour's readings tell few slopes, so the covariates are taken one by one,
as long as one more lessens the error at left-out visible stations. Offset and first variogram are those of residual
kriging; the variogram is fitted again to what the chosen covariates leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.progress import Progress
from aqreanalysis.evaluation.baselines.base import TUNING_HOURS, Baseline, Floats, StationField
from aqreanalysis.evaluation.baselines.kriging import Distances, forward, krige_hours
from aqreanalysis.evaluation.baselines.regressors import Regressors
from aqreanalysis.evaluation.baselines.residual import (
    CHOICE_HOURS,
    RegressionSample,
    error_in_units,
    fit_residuals,
    ridge_slopes,
)
from aqreanalysis.evaluation.baselines.spread import KrigingSpread, distribution, fit_kriging_spread, hour_scale
from aqreanalysis.evaluation.distributions import CensoredNormal, ShiftedLogNormal
from aqreanalysis.geostatistics.kriging import LeftOut, leave_out, share_votes
from aqreanalysis.geostatistics.variogram import FAMILIES, Variogram, empirical_variogram, fit_variogram

#: One more covariate must lessen the error by this share.
_LEAST_GAIN = 0.002
#: Readings of a usual hour that each slope needs.
_READINGS_PER_SLOPE = 5
#: Kriging variance as a multiple of the field's, beyond which the drift tells nothing of a place.
_MOST_SILLS = 4.0
#: In stations: enough to solve for slopes that the stations do not tell, too little to move the others.
_NO_PENALTY = 1e-3


@dataclass(frozen=True)
class _Drift:
    """What the mean is made of, and the variogram about it.

    Attributes
    ----------
    offset : float or None
        What is added before the logarithm; None where concentrations are kriged.
    regressors : Regressors
        From covariates to regressors.
    chosen : tuple of int
        The regressors that the mean is made of.
    variogram : Variogram
        Of what they leave.
    left_out_mae : float
        In units.
    """

    offset: float | None
    regressors: Regressors
    chosen: tuple[int, ...]
    variogram: Variogram
    left_out_mae: float

    def fields(self, covariates: Floats, z: Floats) -> Floats:
        """Return the drift's fields (T, place, field) of covariates; zero, which is none, where `z` is read too little.

        Parameters
        ----------
        covariates : ndarray, shape (T, place, field)
            At stations or points.
        z : ndarray, shape (T, station)
            What the stations say, NaN where missing: an hour without some readings for each slope has no drift.
        """
        enough = np.isfinite(z).sum(axis=1) >= _READINGS_PER_SLOPE * (1 + len(self.chosen))
        return np.where(enough[:, None, None], self.regressors.of(covariates)[..., list(self.chosen)], 0.0)


class ExternalDriftKriging(Baseline):
    """Universal kriging of the hour with the covariates as drift."""

    name = "external-drift-kriging"
    title = "kriging with external drift"
    needs_covariates = True

    def __init__(self) -> None:
        super().__init__()
        self._drift: _Drift | None = None
        self._spread: KrigingSpread | None = None

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = RegressionSample.of(field)
        residuals, _ = fit_residuals(sample)
        first = _Drift(residuals.offset, residuals.regressors, (), residuals.variogram, np.inf)
        self._drift = drift = _refit(sample, _choose(sample, first))
        few, rows = sample.few(TUNING_HOURS)
        z = forward(few.values, drift.offset)
        fields = drift.fields(sample.covariates[rows], z)
        left_out = _left_out(z, fields, sample, drift.variogram)
        size = hour_scale(_detrended(z, fields, sample.weight), sample.km, drift.variogram)
        self._spread, answer = fit_kriging_spread(left_out, size, few.values, drift.offset)
        self._keep_left_out(answer, few.values)
        return {
            "left_out_mae": drift.left_out_mae,
            "drift": [drift.regressors.names[i] for i in drift.chosen],
            "kriged": "concentrations" if drift.offset is None else "logarithms",
            "offset": drift.offset or 0.0,
            **vars(drift.variogram),
            "spread": vars(self._spread),
        }

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> CensoredNormal | ShiftedLogNormal:
        assert self._drift is not None and self._spread is not None, "tune() comes first"
        drift, places = self._drift, Distances.of(field, lat, lon)
        z = forward(field.values, drift.offset)
        here, there = (drift.fields(field.covariates_at(*at), z) for at in ((field.lat, field.lon), (lat, lon)))
        there = _within_the_hour(there, here, np.isfinite(z))
        estimate, variance = krige_hours(z, places, drift.variogram, (here, there), progress, self.title)
        size = hour_scale(_detrended(z, here, share_votes(places.among)), places.among, drift.variogram)
        return distribution(estimate, self._spread.scale(_limited(variance, drift), size, estimate), drift.offset)


def _choose(sample: RegressionSample, drift: _Drift) -> _Drift:
    """Return the drift with the covariates that lessen the error at left-out stations, the best first."""
    few, rows = sample.few(CHOICE_HOURS)
    z = forward(few.values, drift.offset)
    most = int(np.median(np.isfinite(z).sum(axis=1))) // _READINGS_PER_SLOPE - 1

    def tried(chosen: tuple[int, ...]) -> _Drift:
        one = replace(drift, chosen=chosen)
        left_out = _left_out(z, one.fields(sample.covariates[rows], z), sample, drift.variogram)
        return replace(one, left_out_mae=error_in_units(left_out.estimate, drift.offset, few.values))

    best = tried(())
    while len(best.chosen) < most:
        rest = [i for i in range(len(drift.regressors.names)) if i not in best.chosen]
        candidate = min((tried((*best.chosen, i)) for i in rest), key=lambda one: one.left_out_mae, default=best)
        if not candidate.left_out_mae < (1 - _LEAST_GAIN) * best.left_out_mae:
            break
        best = candidate
    return best


def _refit(sample: RegressionSample, drift: _Drift) -> _Drift:
    """Return the drift with the best variogram of what its covariates leave."""
    z = forward(sample.field.values, drift.offset)
    fields = drift.fields(sample.covariates, z)
    data = empirical_variogram(_detrended(z, fields, sample.weight), sample.km)
    few, rows = sample.few(CHOICE_HOURS)
    best = drift
    for family in FAMILIES:
        variogram = fit_variogram(family, data)
        left_out = _left_out(z[rows], fields[rows], sample, variogram)
        error = error_in_units(left_out.estimate, drift.offset, few.values)
        if error < best.left_out_mae:
            best = replace(drift, variogram=variogram, left_out_mae=error)
    return best


def _left_out(z: Floats, fields: Floats, sample: RegressionSample, variogram: Variogram) -> LeftOut:
    """Return what kriging with the drift says of left-out stations; without it where the others do not tell it.

    A station that alone has a field (rain at one place) would else drop out of the error that the field is chosen by.
    """
    groups = sample.field.groups
    with_drift = leave_out(z, sample.km, variogram, groups, fields)
    plain = leave_out(z, sample.km, variogram, groups)
    known = np.isfinite(with_drift.estimate) & (with_drift.variance < _MOST_SILLS * variogram.sill)
    estimate = np.where(known, with_drift.estimate, plain.estimate)
    return LeftOut(estimate, np.where(known, with_drift.variance, plain.variance))


def _limited(variance: Floats, drift: _Drift) -> Floats:
    return np.minimum(variance, _MOST_SILLS * drift.variogram.sill)


def _within_the_hour(there: Floats, here: Floats, reporting: npt.NDArray[np.bool_]) -> Floats:
    """Return the fields at points (T, point, field) held within what the reporting stations have in the hour.

    An hour's slopes are known within that alone: where no station has rain, rain at a point is beyond them.
    """
    known = reporting[..., None]
    low, high = (f(np.where(known, here, e), axis=1)[:, None] for f, e in ((np.min, np.inf), (np.max, -np.inf)))
    return np.clip(there, low, np.maximum(low, high))


def _detrended(z: Floats, fields: Floats, weight: Floats) -> Floats:
    """Return what each hour's own regression leaves, shape of `z`."""
    left = z.copy()
    for t in range(len(z)):
        left[t] -= fields[t] @ ridge_slopes(z[t : t + 1], fields[t : t + 1], weight, (_NO_PENALTY,))[0]
    return left
