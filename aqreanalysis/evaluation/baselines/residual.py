"""Residual kriging: a regression on the covariates, and kriging of what it leaves, as the EEA maps Europe.

The slopes are pooled over hours, each hour has its own constant, and stations that stand together share their weight:
towns hold most of the stations and little of the map. How hard the slopes are held near zero (ridge), whether
concentrations or logarithms are regressed, and the variogram of what is left are chosen at left-out visible stations,
whose own readings the slopes are not fitted to. Horalek et al. (ETC/ACM Technical Papers) describe the method for the
European maps: linear regression of the logarithm on a chemistry model's, altitude and weather, then ordinary kriging.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.base import TUNING_HOURS, Baseline, Floats, StationField
from aqreanalysis.evaluation.baselines.kriging import Distances, back, forward, krige_hours, offsets
from aqreanalysis.evaluation.baselines.regressors import Regressors
from aqreanalysis.evaluation.baselines.spread import KrigingSpread, distribution, fit_kriging_spread, hour_scale
from aqreanalysis.evaluation.distributions import CensoredNormal, ShiftedLogNormal
from aqreanalysis.geostatistics.kriging import LeftOut, leave_out, share_votes
from aqreanalysis.geostatistics.variogram import FAMILIES, Variogram, empirical_variogram, fit_variogram

#: How hard slopes are held near zero, in stations that say nothing.
PENALTIES = (0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
#: With which the variogram of what the regression leaves is fitted, before the best penalty is known.
FIRST_PENALTY = 3.0
#: Hours that slopes are fitted to, and those on which offset and family are chosen.
SLOPE_HOURS, CHOICE_HOURS = 240, 16

_FOLDS = 10


@dataclass(frozen=True)
class RegressionSample:
    """Hours at the visible stations that the regression is tuned on, and how it may be checked.

    Attributes
    ----------
    field : StationField
        The stations and hours.
    covariates : ndarray, shape (T, station, field)
        Theirs, NaN where missing.
    fields : tuple of str
        Names of the covariates.
    km : ndarray, shape (station, station)
        Distances.
    weight : ndarray, shape (station,)
        Each station's vote.
    fold : ndarray of int, shape (station,)
        Stations of one fold are those whose left-out estimates rest on slopes from the other folds.
    """

    field: StationField
    covariates: Floats
    fields: tuple[str, ...]
    km: Floats
    weight: npt.NDArray[np.float64]
    fold: npt.NDArray[np.int64]

    @classmethod
    def of(cls, field: StationField) -> RegressionSample:
        """Return the sample of at most `SLOPE_HOURS` hours."""
        sample = field.tuning_sample(SLOPE_HOURS)
        covariates = sample.covariates_at(sample.lat, sample.lon)
        assert sample.covariates is not None
        km = Distances.of(sample).among
        numbers, group = np.unique(field.groups, return_inverse=True)
        fold = np.random.default_rng(0).permutation(len(numbers)) % _FOLDS
        return cls(sample, covariates, tuple(sample.covariates.fields), km, share_votes(km), fold[group])

    def few(self, hours: int) -> tuple[StationField, npt.NDArray[np.int64]]:
        """Return fewer hours, spread evenly, and their rows."""
        few = self.field.tuning_sample(hours)
        assert self.field.hours is not None and few.hours is not None
        return few, np.searchsorted(self.field.hours, few.hours)


def ridge_slopes(z: Floats, x: Floats, weight: Floats, penalties: tuple[float, ...]) -> Floats:
    """Return the slopes of z on x within hours, pooled over hours, shape (penalty, regressor).

    Parameters
    ----------
    z : ndarray, shape (T, station)
        Readings or their logarithms, NaN where missing.
    x : ndarray, shape (T, station, regressor)
        Standardised.
    weight : ndarray, shape (station,)
        Votes; zero leaves a station out.
    penalties : tuple of float
        In stations of weight one.
    """
    w = np.where(np.isfinite(z), weight, 0.0)
    total = w.sum(axis=1)
    some = total > 0
    w, z, x, total = w[some], np.nan_to_num(z[some]), x[some], total[some]
    # An hour's constant is whatever fits it best: both sides are taken relative to their means of the hour.
    z = z - (w * z).sum(axis=1, keepdims=True) / total[:, None]
    x = x - np.einsum("ts,tsq->tq", w, x)[:, None] / total[:, None, None]
    flat, weighted = (part.reshape(z.size, x.shape[-1]) for part in (x, w[..., None] * x))
    squares, products = weighted.T @ flat / max(len(z), 1), weighted.T @ z.ravel() / max(len(z), 1)
    return np.stack([np.linalg.solve(squares + p * np.eye(len(squares)), products) for p in penalties])


@dataclass(frozen=True)
class Residuals:
    """A regression and the variogram of what it leaves, chosen together.

    Attributes
    ----------
    offset : float or None
        What is added before the logarithm; None where concentrations are regressed.
    regressors : Regressors
        From covariates to regressors.
    slopes : ndarray, shape (regressor,)
        Of the standardised regressors, fitted to all visible stations.
    penalty : float
        Of the ridge.
    variogram : Variogram
        Of what is left.
    left_out_mae : float
        Mean absolute error at left-out stations, in units.
    """

    offset: float | None
    regressors: Regressors
    slopes: npt.NDArray[np.float64]
    penalty: float
    variogram: Variogram
    left_out_mae: float


def left_out_with_slopes(
    z: Floats, x: Floats, sample: RegressionSample, variogram: Variogram, slopes: Floats
) -> tuple[Floats, Floats]:
    """Return what regression and kriging say at left-out stations (penalty, T, station), and the variance (T, station).

    Kriging is linear in what it is given, so readings and regressors are left out once, each by itself, and any slopes
    can be tried: what is said of a station is the kriged reading, plus slopes times what its regressors differ from
    the kriged ones.

    Parameters
    ----------
    z, x : ndarray, shapes (T, station) and (T, station, regressor)
        At the hours that count.
    sample : RegressionSample
        The stations, their groups and folds.
    variogram : Variogram
        Of what is left.
    slopes : ndarray, shape (fold, penalty, regressor)
        Fitted without the stations of each fold.
    """
    series = np.concatenate([z[..., None], np.where(np.isfinite(z)[..., None], x, np.nan)], axis=-1)
    left_out = leave_out(series, sample.km, variogram, sample.field.groups)
    apart = x - left_out.estimate[..., 1:]
    kriged = left_out.estimate[None, ..., 0] + np.einsum("tsq,spq->pts", apart, slopes[sample.fold])
    return kriged, left_out.variance


def fit_residuals(sample: RegressionSample) -> tuple[Residuals, LeftOut]:
    """Return the regression with the least error at left-out stations, and what it says there at the hours of tuning.

    Raises
    ------
    ObservationsError
        If no visible station can be left out.
    """
    best: Residuals | None = None
    for offset in (*offsets(sample.field), None):
        families = FAMILIES if best is None else (best.variogram.family,)
        best = min((x for x in (best, _fit_in_space(sample, offset, families)) if x is not None), key=_error)
    assert best is not None
    if not np.isfinite(best.left_out_mae):
        raise ObservationsError(
            "residual kriging: no visible station can be left out; hide fewer stations or bring more"
        )
    return _choose_penalty(sample, best)


def _error(residuals: Residuals) -> float:
    return residuals.left_out_mae


def _fit_in_space(sample: RegressionSample, offset: float | None, families: tuple[str, ...]) -> Residuals:
    """Return the regression in logarithms, or of concentrations, with the best of `families`."""
    regressors = Regressors.fit(sample.covariates, sample.fields, offset is not None)
    z, x = forward(sample.field.values, offset), regressors.of(sample.covariates)
    slopes = ridge_slopes(z, x, sample.weight, (FIRST_PENALTY,))[0]
    apart = _slopes_apart(z, x, sample, (FIRST_PENALTY,))
    data = empirical_variogram(z - x @ slopes, sample.km)
    few, rows = sample.few(CHOICE_HOURS)
    tried = []
    for family in families:
        variogram = fit_variogram(family, data)
        kriged, _ = left_out_with_slopes(z[rows], x[rows], sample, variogram, apart)
        tried.append(
            Residuals(
                offset, regressors, slopes, FIRST_PENALTY, variogram, error_in_units(kriged[0], offset, few.values)
            )
        )
    return min(tried, key=_error)


def _choose_penalty(sample: RegressionSample, first: Residuals) -> tuple[Residuals, LeftOut]:
    z, x = forward(sample.field.values, first.offset), first.regressors.of(sample.covariates)
    few, rows = sample.few(TUNING_HOURS)
    kriged, variance = left_out_with_slopes(
        z[rows], x[rows], sample, first.variogram, _slopes_apart(z, x, sample, PENALTIES)
    )
    errors = [error_in_units(one, first.offset, few.values) for one in kriged]
    best = int(np.argmin(errors))
    slopes = ridge_slopes(z, x, sample.weight, (PENALTIES[best],))[0]
    chosen = Residuals(first.offset, first.regressors, slopes, PENALTIES[best], first.variogram, errors[best])
    return chosen, LeftOut(kriged[best], variance)


def _slopes_apart(z: Floats, x: Floats, sample: RegressionSample, penalties: tuple[float, ...]) -> Floats:
    """Return the slopes fitted without each fold, shape (fold, penalty, regressor)."""
    return np.stack(
        [ridge_slopes(z, x, np.where(sample.fold == f, 0.0, sample.weight), penalties) for f in range(_FOLDS)]
    )


def error_in_units(z: Floats, offset: float | None, observed: Floats) -> float:
    """Return the mean absolute error of left-out estimates in `forward`'s space; infinite without any."""
    errors = np.abs(back(z, offset) - observed)
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf


class ResidualKriging(Baseline):
    """Ridge regression on the covariates, and ordinary kriging of what it leaves."""

    name = "residual-kriging"
    title = "residual kriging"
    needs_covariates = True

    def __init__(self) -> None:
        super().__init__()
        self._residuals: Residuals | None = None
        self._spread: KrigingSpread | None = None

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = RegressionSample.of(field)
        self._residuals, left_out = fit_residuals(sample)
        residuals = self._residuals
        few, rows = sample.few(TUNING_HOURS)
        left = (
            forward(few.values, residuals.offset) - residuals.regressors.of(sample.covariates[rows]) @ residuals.slopes
        )
        size = hour_scale(left, sample.km, residuals.variogram)
        self._spread, answer = fit_kriging_spread(left_out, size, few.values, residuals.offset)
        self._keep_left_out(answer, few.values)
        return {
            "left_out_mae": residuals.left_out_mae,
            "regressed": "concentrations" if residuals.offset is None else "logarithms",
            "offset": residuals.offset or 0.0,
            "penalty": residuals.penalty,
            "slopes": dict(zip(residuals.regressors.names, residuals.slopes.tolist(), strict=True)),
            **vars(residuals.variogram),
            "spread": vars(self._spread),
        }

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> CensoredNormal | ShiftedLogNormal:
        assert self._residuals is not None and self._spread is not None, "tune() comes first"
        residuals, places = self._residuals, Distances.of(field, lat, lon)
        here, there = (
            residuals.regressors.of(field.covariates_at(*where)) @ residuals.slopes
            for where in ((field.lat, field.lon), (lat, lon))
        )
        left = forward(field.values, residuals.offset) - here
        estimate, variance = krige_hours(left, places, residuals.variogram, None, progress, self.title)
        estimate += there
        scale = self._spread.scale(variance, hour_scale(left, places.among, residuals.variogram), estimate)
        return distribution(estimate, scale, residuals.offset)
