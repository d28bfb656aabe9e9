"""The whole timeline resident on the device; windows are views of it, never copies kept a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.memory import zeros_mapped
from aqreanalysis.configs import WindowConfig
from aqreanalysis.model import Scaling
from aqreanalysis.training.fields import TimelineFields

# Hours that are standardised together.
_PART_HOURS = 2400


@dataclass(frozen=True)
class Timeline:
    """Readings of every station over whole UTC days, padded by the window on both sides.

    Attributes
    ----------
    scaled : Tensor
        Standardised readings, NaN where missing (history + hours + lookahead, station, input).
    shifted : Tensor
        Readings of the targets plus the scaling's offset, in their units, NaN where missing (hours, station, target).
    hours : Tensor
        Hours since 1970-01-01 of `scaled`'s stamps.
    window : WindowConfig
        What surrounds a day.
    days : int
        Whole days.
    fields : TimelineFields or None
        Covariates of the same hours, where the model has them.
    drift : Tensor or None
        What was taken off the readings of the targets, standardised log units (station, target).
    """

    scaled: Tensor
    shifted: Tensor
    hours: Tensor
    window: WindowConfig
    days: int
    fields: TimelineFields | None = None
    drift: Tensor | None = None

    @classmethod
    def build(
        cls,
        values: NDArray[np.float32],
        first_hour: int,
        scalings: list[Scaling],
        targets: list[int],
        window: WindowConfig,
        drift: NDArray[np.float32] | None = None,
    ) -> Timeline:
        """Return the timeline of `values` (hour, station, input), which begin at a day's 01:00 and hold whole days.

        With `drift`, in standardised log units (station, input), readings are those of a world without it; truths stay
        what was measured.
        """
        hours, stations, inputs = values.shape
        if hours % 24 or first_hour % 24 != 1:
            raise ValueError("a timeline is whole UTC days from 01:00 on")
        before, after = window.history_hours, window.lookahead_hours
        # Long records do not fit into memory (see `zeros_mapped`), so neither may what is made of them on the way.
        scaled = zeros_mapped((before + hours + after, stations, inputs), np.float32)
        shifted = zeros_mapped((hours, stations, len(targets)), np.float32)
        scaled[:before], scaled[before + hours :] = np.nan, np.nan
        for begin in range(0, hours, _PART_HOURS):
            part = values[begin : begin + _PART_HOURS]
            rows = slice(begin, begin + len(part))
            for i, scaling in enumerate(scalings):
                scaled[before + rows.start : before + rows.stop, :, i] = scaling.forward(part[..., i])
            if drift is not None:
                scaled[before + rows.start : before + rows.stop] -= drift
            for j, i in enumerate(targets):
                shifted[rows, :, j] = np.maximum(part[..., i], 0) + np.float32(scalings[i].offset)
        stamps = np.arange(first_hour - before, first_hour + hours + after, dtype=np.int64)
        return cls(
            torch.from_numpy(scaled),
            torch.from_numpy(shifted),
            torch.from_numpy(stamps),
            window,
            hours // 24,
            drift=None if drift is None else torch.from_numpy(drift[:, targets]),
        )

    def to(self, device: torch.device) -> Timeline:
        """Return the same timeline on `device`."""
        fields = None if self.fields is None else self.fields.to(device)
        parts = (self.scaled.to(device), self.shifted.to(device), self.hours.to(device))
        drift = None if self.drift is None else self.drift.to(device)
        return Timeline(*parts, self.window, self.days, fields, drift)

    def cut(self, days: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return windows (day, hour, station, input), their hours (day, hour), and truths (24 * day, station, target).

        Parameters
        ----------
        days : Tensor
            Indices of days, int64 (day,), on the timeline's device.
        """
        length = self.window.history_hours + 24 + self.window.lookahead_hours
        steps = days[:, None] * 24 + torch.arange(length, device=days.device)
        centre = days[:, None] * 24 + torch.arange(24, device=days.device)
        return self.scaled[steps], self.hours[steps], self.shifted[centre].flatten(0, 1)
