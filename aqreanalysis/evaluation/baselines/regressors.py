"""Covariates as a regression reads them, and covariates that were read once for all who ask again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.base import Floats
from aqreanalysis.geography import FIELDS, describe
from aqreanalysis.model.network.scaling import BACKGROUND, WIND, FieldSource, log_offset

Hours = npt.NDArray[np.int64]

WIND_SPEED = "wind speed"
#: A field that hardly varies at the stations may not blow up elsewhere.
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class ReadOnce:
    """Covariates at some places and hours, in memory: a `FieldSource` for those alone.

    Every baseline, pollutant and tuning asks for the same places, and files are slow.

    Attributes
    ----------
    fields, hourly : tuple of str
        As of `FieldSource`.
    source : str
        Digest of what was read.
    place : dict of (float, float) to int
        Column of each place, by latitude and longitude.
    stamps : ndarray of int64, shape (T,)
        Hours since 1970-01-01, increasing.
    values : ndarray of float32, shape (T, place, field)
        NaN where missing.
    """

    fields: tuple[str, ...]
    hourly: tuple[str, ...]
    source: str
    place: dict[tuple[float, float], int]
    stamps: Hours
    values: npt.NDArray[np.float32]

    @classmethod
    def of(cls, source: FieldSource, lat: Floats, lon: Floats, hours: Hours, ground: bool = False) -> ReadOnce:
        """Return what `source` holds at places and hours, and with `ground` the height and population there.

        A model with a drift (`model.geography`) knows these two of every place, so baselines beside it may as well.
        """
        place = {pair: i for i, pair in enumerate(dict.fromkeys(zip(lat.tolist(), lon.tolist(), strict=True)))}
        where = np.array(list(place), np.float64)
        stamps = np.unique(hours)
        values = source.at(where[:, 0], where[:, 1], stamps)
        if not ground:
            return cls(source.fields, source.hourly, source.digest(), place, stamps, values)
        fields = (*source.fields, *(f"{name} (built-in)" for name in FIELDS))
        known = np.broadcast_to(describe(where[:, 0], where[:, 1]), (*values.shape[:2], len(FIELDS)))
        joined = np.concatenate([values, known.astype(np.float32)], axis=-1)
        return cls(fields, source.hourly, f"{source.digest()}|ground", place, stamps, joined)

    def at(self, lat: Floats, lon: Floats, hours: Hours) -> npt.NDArray[np.float32]:
        """Return float32 (hour, place, field) at places and hours that were read; any other is an error."""
        column = [self.place[pair] for pair in zip(lat.tolist(), lon.tolist(), strict=True)]
        row = np.searchsorted(self.stamps, hours)
        if (row == len(self.stamps)).any() or (self.stamps[row] != hours).any():
            raise KeyError("an hour was asked for that was not read")
        return self.values[row][:, column]

    def hours(self, key: str) -> Hours:
        """Return the hours since 1970-01-01 that a field has anywhere, ascending."""
        return self.stamps[np.isfinite(self.values[..., self.fields.index(key)]).any(axis=1)]

    def select(self, fields: Sequence[str]) -> ReadOnce:
        """Return the same with these fields in this order."""
        chosen = tuple(fields)
        values = self.values[..., [self.fields.index(name) for name in chosen]]
        return replace(self, fields=chosen, hourly=tuple(k for k in chosen if k in self.hourly), values=values)

    def digest(self) -> str:
        """Return the digest of what was read."""
        return f"{self.source}|{','.join(self.fields)}"


@dataclass(frozen=True)
class Regressors:
    """How covariates become the regressors of a concentration or of its logarithm.

    A field whose logarithm tells (rain, the boundary layer) enters as that; a chemistry model's concentration does
    where the reading does. Wind also enters by its speed. All are standardised over the stations. A value that is
    missing counts as the stations' mean, and one beyond what the stations have as the outermost of theirs: a slope is
    known within them alone.

    Attributes
    ----------
    names : tuple of str
        Of the regressors, the covariates first.
    offset : tuple of float or None
        What is added to each covariate before its logarithm; None where it stays as it is.
    middle, spread, low, high : ndarray, shape (regressor,)
        Mean and standard deviation over stations and hours; the least and the greatest, standardised.
    """

    names: tuple[str, ...]
    offset: tuple[float | None, ...]
    middle: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, covariates: Floats, fields: Sequence[str], logarithm: bool) -> Regressors:
        """Return the regressors of covariates at the stations (T, station, field).

        Parameters
        ----------
        covariates, fields
            Values at the stations, NaN where missing, and their names.
        logarithm : bool
            Whether the readings are regressed by their logarithms.

        Raises
        ------
        ObservationsError
            If no covariate has a value at the stations.
        """
        with_values = np.isfinite(covariates).any(axis=(0, 1))
        if not with_values.any():
            raise ObservationsError(
                f"none of the covariates ({', '.join(fields)}) has a value at the visible stations in these hours: "
                "give files that cover them"
            )
        values = np.asarray(covariates, np.float64)
        seen = [values[..., i][np.isfinite(values[..., i])] for i in range(len(fields))]
        offset = tuple(
            log_offset(name, one) if one.size and (logarithm or not name.endswith(BACKGROUND)) else None
            for name, one in zip(fields, seen, strict=True)
        )
        names = (*fields, WIND_SPEED) if set(WIND) <= set(fields) else tuple(fields)
        plain = cls(names, offset, *(np.full(len(names), x) for x in (0.0, 1.0, -np.inf, np.inf)))
        raw = plain._transformed(covariates).reshape(-1, len(names))
        known = np.isfinite(raw).any(axis=0)
        middle, spread = np.zeros(len(names)), np.ones(len(names))
        middle[known] = np.nanmean(raw[:, known], axis=0)
        spread[known] = np.maximum(np.nanstd(raw[:, known], axis=0), _LEAST_SPREAD)
        low, high = np.zeros(len(names)), np.zeros(len(names))
        scaled = (raw[:, known] - middle[known]) / spread[known]
        low[known], high[known] = np.nanmin(scaled, axis=0), np.nanmax(scaled, axis=0)
        return cls(names, offset, middle, spread, low, high)

    def of(self, covariates: Floats) -> Floats:
        """Return the regressors of covariates (T, place, field), float64 (T, place, regressor), nothing missing."""
        scaled = (self._transformed(covariates) - self.middle) / self.spread
        return np.clip(np.nan_to_num(scaled, nan=0.0), self.low, self.high)

    def _transformed(self, covariates: Floats) -> Floats:
        out = np.empty((*covariates.shape[:-1], len(self.names)))
        for i, plus in enumerate(self.offset):
            x = covariates[..., i]
            out[..., i] = x if plus is None else np.log(np.maximum(x, 0.0) + plus)
        if self.names[-1] == WIND_SPEED:
            u, v = (covariates[..., self.names.index(name)] for name in WIND)
            out[..., -1] = np.hypot(u, v)
        return out
