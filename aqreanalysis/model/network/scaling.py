"""Readings and covariates as the network reads them: standardised, and the covariates in one order and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.configs import WindowConfig
from aqreanalysis.errors import ModelError
from aqreanalysis.model.network.temporal_filters import REACH_HOURS

Degrees = NDArray[np.float64]

WIND = ("u10", "v10")
# Fields whose logarithm tells, with what is added to them first, in their units: dilution goes with the ratio of two
# boundary layers, and most hours have no rain. Concentrations of a model get a tenth of their mean.
_LOGARITHMIC = {"blh": 50.0, "tp": 0.1}
BACKGROUND, UPWIND = "_background", "_upwind"
_BACKGROUND_OFFSET_SHARE = 0.1
# A field that hardly varies in training may not blow up elsewhere.
_SMALLEST_STD = 1e-3
_LARGEST = 8.0
# Shares of the median that may be added before the logarithm. The least of them: near zero, instruments count noise,
# and a plain logarithm would make of it the largest signal there is. More where the logarithms are still skew to the
# left, as those of O3 are where towns take it away by night: it goes with what is taken, which adds and does not
# multiply. With ten medians it is as good as linear.
_OFFSET_SHARES = (0.1, 1.0, 10.0)
_LEAST_SKEWNESS = -0.5


@dataclass(frozen=True)
class Scaling:
    """``(log(x + offset) - mean) / std`` for one pollutant; `offset` in its units.

    Attributes
    ----------
    offset, mean, std : float
        Of the training readings.
    typical_error : float
        Mean absolute deviation from the median, in the pollutant's units: what makes scores of several comparable.
    """

    offset: float
    mean: float
    std: float
    typical_error: float

    @classmethod
    def fit(cls, values: NDArray[np.float32]) -> Scaling:
        """Return the scaling of the finite `values`, which must hold at least two different readings."""
        finite = values[np.isfinite(values)].astype(np.float64)
        median = float(np.median(finite)) if finite.size else 0.0
        if finite.size < 2 or np.ptp(finite) == 0:
            raise ValueError("a scaling needs at least two different readings")
        typical = median if median > 0 else float(finite.mean())
        for share in _OFFSET_SHARES:
            offset = share * typical
            logs = np.log(np.maximum(finite, 0.0) + offset)
            if np.mean((logs - logs.mean()) ** 3) >= _LEAST_SKEWNESS * logs.std() ** 3:
                break
        return cls(offset, float(logs.mean()), float(logs.std()), float(np.abs(finite - median).mean()))

    def forward(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return standardised logs of concentrations; NaN stays NaN, small negative readings count as zero."""
        return ((np.log(np.maximum(values, 0.0) + self.offset) - self.mean) / self.std).astype(np.float32)

    def backward(self, standardised: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the concentrations of standardised logs, none below zero; NaN stays NaN."""
        return np.maximum(np.exp(standardised * self.std + self.mean) - self.offset, 0.0).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the four numbers by name."""
        return asdict(self)


def scale_inputs(
    values: NDArray[np.float32], inputs: Sequence[str], scaling: Mapping[str, Scaling]
) -> NDArray[np.float32]:
    """Return concentrations (..., input) in their units as the standardised logarithms that every member reads."""
    return np.stack([scaling[key].forward(values[..., i]) for i, key in enumerate(inputs)], axis=-1)


#: Of files that are still to be opened.
Paths: TypeAlias = str | Path | Sequence[str | Path]


class FieldSource(Protocol):
    """Where fields come from; `aqreanalysis.covariates.Covariates` offers it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names along the last axis of what `at` returns."""

    @property
    def hourly(self) -> tuple[str, ...]:
        """Those of `fields` that change by the hour."""

    def hours(self, key: str) -> NDArray[np.int64]:
        """Return the hours since 1970-01-01 that a field has, ascending."""

    def at(self, lat: Degrees, lon: Degrees, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 (hour, place, field), NaN where missing; hours since 1970, stamps at the END of the hour."""

    def select(self, fields: Sequence[str]) -> FieldSource:
        """Return the same with these fields in this order, or refuse and name all that are missing."""

    def digest(self) -> str:
        """Return the sha256 of what is read, and how."""


@dataclass(frozen=True)
class FieldScaling:
    """The fields of a model: order, units, and how each is standardised.

    Attributes
    ----------
    names, units : tuple of str
        Fields that change by the hour first, then static ones.
    hourly : int
        How many of them change by the hour.
    offset : tuple of float or None
        What is added before the logarithm, in the field's units; None where the field stays as it is.
    mean, std : tuple of float
        Of what the offset leaves, over the training stations.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    hourly: int
    offset: tuple[float | None, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def fit(
        cls, values: NDArray[np.float32], names: tuple[str, ...], units: tuple[str, ...], hourly: int
    ) -> FieldScaling:
        """Return the scaling of `values` (..., field).

        Raises
        ------
        ModelError
            If a field has no value at all.
        """
        flat = values.reshape(-1, len(names)).astype(np.float64)
        empty = [name for i, name in enumerate(names) if not np.isfinite(flat[:, i]).any()]
        if empty:
            raise ModelError(
                f"covariates: no value of {', '.join(empty)} at the training stations in the hours of training; "
                "give files that cover them, or leave the field out with covariates.fields"
            )
        offset, mean, std = [], [], []
        for i, name in enumerate(names):
            seen = flat[np.isfinite(flat[:, i]), i]
            plus = log_offset(name, seen)
            seen = seen if plus is None else np.log(np.maximum(seen, 0.0) + plus)
            offset.append(plus)
            mean.append(float(seen.mean()))
            std.append(max(float(seen.std()), _SMALLEST_STD))
        return cls(names, units, hourly, tuple(offset), tuple(mean), tuple(std))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> FieldScaling:
        """Return the scaling from what `to_dict` gave."""
        read: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return cls(**read)

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def wind(self) -> tuple[int, int] | None:
        """Positions of the eastward and northward wind, or None where the model has no wind."""
        if not set(WIND) <= set(self.names[: self.hourly]):
            return None
        return self.names.index(WIND[0]), self.names.index(WIND[1])

    def forward(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return standardised fields (..., field); NaN stays NaN."""
        out = np.empty(values.shape, np.float32)
        for i in range(len(self.names)):
            self._standardise(i, values[..., i], out[..., i])
        return out

    def hourly_of(
        self, source: FieldSource, lat: Degrees, lon: Degrees, hours: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the standardised fields of a source that change by the hour, (field, place, hour), NaN where
        missing."""
        names = self.names[: self.hourly]
        if not names:
            return np.empty((0, len(lat), len(hours)), np.float32)
        # `Covariates` puts them into this order in memory: then nothing is copied.
        values = np.ascontiguousarray(source.select(names).at(lat, lon, hours).transpose(2, 1, 0))
        series = np.empty(values.shape, np.float32)
        for i, row in enumerate(values):
            self._standardise(i, row, series[i])
        return series

    def static_of(self, source: FieldSource, lat: Degrees, lon: Degrees) -> NDArray[np.float32]:
        """Return the standardised fields of a source that do not change, (place, field), NaN where missing."""
        names = self.names[self.hourly :]
        if not names:
            return np.empty((len(lat), 0), np.float32)
        # At an hour that the source has: one that is in memory knows no other.
        hours = source.hours(self.names[0])[:1] if self.hourly else np.zeros(1, np.int64)
        values = source.select(names).at(lat, lon, hours)[0]
        static = np.empty(values.shape, np.float32)
        for i, column in enumerate(values.T):
            self._standardise(self.hourly + i, column, static[:, i])
        return static

    def _standardise(self, field: int, values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        plus = self.offset[field]
        if plus is None:
            np.subtract(values, np.float32(self.mean[field]), out=out)
        else:
            np.maximum(values, np.float32(0.0), out=out)
            out += np.float32(plus)
            np.log(out, out=out)
            out -= np.float32(self.mean[field])
        out /= np.float32(self.std[field])
        np.clip(out, -_LARGEST, _LARGEST, out=out)

    def check(self, source: FieldSource | None) -> FieldSource:
        """Return `source` with the fields of the model, in their order.

        Raises
        ------
        ModelError
            If there is none, or it lacks a field; all that are missing are named.
        """
        have = source.fields if source is not None else ()
        absent = [name for name in self.names if name not in have]
        if source is None or absent:
            given = f"; the covariates given have {', '.join(have)}" if have else ""
            named = ", ".join(absent)
            raise ModelError(
                f"the model was trained with covariates and does not run without them: {named} "
                f"{'is' if len(absent) == 1 else 'are'} missing{given}; give the files with --covariates"
            )
        return source.select(self.names)


def is_concentration(name: str) -> bool:
    """Tell whether a field adds up with others in the air: a model's concentration, or what the wind brings."""
    return name.endswith((BACKGROUND, UPWIND))


def log_offset(name: str, seen: NDArray[np.float64]) -> float | None:
    """Return what is added to values `seen` of a field before their logarithm, in its units; None where it has none."""
    if is_concentration(name):
        return _BACKGROUND_OFFSET_SHARE * max(float(seen.mean()), 1e-6)
    return _LOGARITHMIC.get(name)


def field_reach(window: WindowConfig) -> tuple[int, int]:
    """Return how many hours of covariates are read before a UTC day and after it."""
    return max(window.history_hours, REACH_HOURS), max(window.lookahead_hours, REACH_HOURS)


def window_parts(cut: Tensor, window: WindowConfig) -> tuple[Tensor, Tensor]:
    """Return (day, history + 24 + lookahead, ...) and (day, 24 + 2 reach, ...) of (day, before + 24 + after, ...)."""
    before, _ = field_reach(window)
    first = before - window.history_hours
    encoder = cut[:, first : first + window.history_hours + 24 + window.lookahead_hours]
    return encoder, cut[:, before - REACH_HOURS : before + 24 + REACH_HOURS]
