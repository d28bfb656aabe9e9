"""Covariates of a training: read once at every station, standardised, and cut into windows beside the readings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config, WindowConfig
from aqreanalysis.model.network.covariate_effects import CovariateDrift
from aqreanalysis.model.network.scaling import FieldScaling, field_reach, window_parts

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates

Degrees = NDArray[np.float64]

# Hours read at a time, which bounds what the reader holds beside the answer.
_SLAB_HOURS = 24 * 31


@dataclass(frozen=True)
class ReadFields:
    """Covariates at stations, in memory; a `FieldSource` for those places and hours.

    Attributes
    ----------
    fields : tuple of str
        Names along the last axis.
    values : float32 (hour, station, field)
        In their units, NaN where missing.
    first_hour : int
        Stamp of the first row, hours since 1970-01-01.
    lat, lon : float64 (station,)
        Degrees.
    scaling : FieldScaling
        Fitted to the training stations.
    """

    fields: tuple[str, ...]
    values: NDArray[np.float32]
    first_hour: int
    lat: Degrees
    lon: Degrees
    scaling: FieldScaling

    @property
    def hourly(self) -> tuple[str, ...]:
        """Fields that change by the hour."""
        return tuple(name for name in self.fields if name in self.scaling.names[: self.scaling.hourly])

    def hours(self, key: str) -> NDArray[np.int64]:
        """Return the hours that have a value of a field anywhere."""
        there = np.isfinite(self.values[..., self.fields.index(key)]).any(axis=1)
        return self.first_hour + np.flatnonzero(there)

    def at(self, lat: Degrees, lon: Degrees, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 (hour, place, field) at stations that were read; NaN at hours that were not."""
        rows = {place: i for i, place in enumerate(zip(self.lat.tolist(), self.lon.tolist(), strict=True))}
        index = [rows[place] for place in zip(lat.tolist(), lon.tolist(), strict=True)]
        out = np.full((len(hours), len(index), len(self.fields)), np.nan, np.float32)
        row = hours - self.first_hour
        inside = (row >= 0) & (row < len(self.values))
        out[inside] = self.values[row[inside]][:, index]
        return out

    def select(self, fields: Sequence[str]) -> ReadFields:
        """Return the same with these fields in this order."""
        index = [self.fields.index(name) for name in fields]
        return replace(self, fields=tuple(fields), values=self.values[..., index])

    def digest(self) -> str:
        """Return the sha256 of the values."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()

    def missing(self) -> dict[str, float]:
        """Return, by field, the share of station-hours that have no value; none that have all."""
        share = np.isnan(self.values).mean(axis=(0, 1))
        return {name: round(float(s), 4) for name, s in zip(self.fields, share, strict=True) if s > 0}


def read_fields(
    covariates: Covariates,
    places: tuple[Degrees, Degrees],
    span: tuple[int, int],
    training: NDArray[np.bool_],
    progress: Progress | None = None,
) -> ReadFields:
    """Return the covariates at all stations.

    Parameters
    ----------
    covariates : Covariates
        The fields to use, in their order.
    places : tuple of float64 (station,)
        Latitudes and longitudes in degrees.
    span : tuple of int
        First stamp (hours since 1970-01-01) and number of hours.
    training : bool (station,)
        Stations that the standardisation is fitted to.
    progress : callable, optional
        Called as ``progress(hours done, hours, note)``.

    Raises
    ------
    CovariatesError
        If a file cannot be read or holds values that cannot be.
    ModelError
        If a field has no value at any training station.
    """
    lat, lon = places
    first, count = span
    values = np.empty((count, len(lat), len(covariates.fields)), np.float32)
    for begin in range(0, count, _SLAB_HOURS):
        end = min(begin + _SLAB_HOURS, count)
        values[begin:end] = covariates.at(lat, lon, np.arange(first + begin, first + end, dtype=np.int64))
        if progress is not None:
            progress(end, count, "covariates at the stations")
    scaling = FieldScaling.fit(values[:, training], covariates.fields, covariates.units, len(covariates.hourly))
    return ReadFields(covariates.fields, values, first, lat, lon, scaling)


def with_fields(config: Config, covariates: Covariates | ReadFields | None) -> Config:
    """Return `config` with the fields that the model reads filled in, in their order."""
    if covariates is None:
        return config
    fields = config.covariates.model_copy(update={"fields": list(covariates.fields)})
    return config.model_copy(update={"covariates": fields})


def covariates_provenance(covariates: Covariates | None, read: ReadFields | None) -> dict[str, Any]:
    """Return what a bundle says of the covariates that it was trained with; nothing without any."""
    if covariates is None or read is None:
        return {}
    return {"covariates_digest": covariates.digest(), "covariates_missing": read.missing()}


@dataclass(frozen=True)
class TimelineFields:
    """Standardised covariates of a timeline, on the device.

    Attributes
    ----------
    scaled : Tensor
        NaN where missing (before + hours + after, station, field), see `field_reach`.
    scaling : FieldScaling
        How they were standardised.
    window : WindowConfig
        What surrounds a day.
    drift : CovariateDrift
        The regression that a network starts from.
    """

    scaled: Tensor
    scaling: FieldScaling
    window: WindowConfig
    drift: CovariateDrift

    def to(self, device: torch.device) -> TimelineFields:
        """Return the same on `device`."""
        return replace(self, scaled=self.scaled.to(device))

    def cut(self, days: Tensor) -> Tensor:
        """Return the hours round some days (day, before + 24 + after, station, field)."""
        before, after = field_reach(self.window)
        steps = torch.arange(before + 24 + after, device=days.device)
        return self.scaled[days[:, None] * 24 + steps]

    def parts(self, cut: Tensor) -> tuple[Tensor, Tensor]:
        """Return the window of the encoder, and the hours that describe surroundings, of what `cut` gave."""
        return window_parts(cut, self.window)


def drift_explained(fields: TimelineFields, inputs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return what a bundle's metrics say of the drift on covariates: the share of each input that it explains."""
    explained = zip(inputs, fields.drift.explained.tolist(), strict=True)
    return {"covariate_drift_explained": {key: round(share, 4) for key, share in explained}}


def mask_fields(cut: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return `cut` (window, hour, station, field) with a share of window-fields missing at every station."""
    draw = torch.rand(len(cut), 1, 1, cut.shape[-1], generator=generator, device=cut.device)
    return cut.masked_fill(draw < share, float("nan"))
