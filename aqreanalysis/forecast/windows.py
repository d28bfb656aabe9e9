"""Windows of the long forecast: two weeks before an origin, a week after it, and which origins each member may see.

Covariates are read up to the origin, and nothing after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.model import Scaling
from aqreanalysis.model.network.scaling import FieldScaling

# A day's mean needs so many of its hours.
FEWEST_HOURS = 18
# Weeks that one member holds out to stop early lie in stretches of this length, long against an episode. The parts they
# are dealt to are many: what is fitted without one of them should know nearly all winters.
_STRETCH_HOURS = 60 * 24
_FEWEST_PARTS = 8
# Mean and standard deviation of the length of a pair of standard normal numbers (Rayleigh), about.
_LENGTH_MEAN, _LENGTH_STD = 1.25, 0.66


@dataclass(frozen=True)
class Windows:
    """Readings of the hours that training may see, resident as tensors.

    Attributes
    ----------
    scaled : Tensor
        Standardised logs (hour, station, input), NaN where missing.
    shifted : Tensor
        Targets in their units, raised by the scaling's offset (hour, station, target), NaN where missing.
    first_hour : int
        Stamp of the first hour, hours since 1970-01-01.
    history, lead : int
        Hours before and after an origin.
    fields : Tensor or None
        Standardised covariates (hour, station, field), NaN where missing; None without any.
    """

    scaled: Tensor
    shifted: Tensor
    first_hour: int
    history: int
    lead: int
    fields: Tensor | None = None

    @classmethod
    def build(
        cls, values: NDArray[np.float32], first_hour: int, scalings: list[Scaling], targets: list[int], hours: list[int]
    ) -> Windows:
        """Return the windows of `values` (hour, station, input) in their units; `hours` are history and lead."""
        scaled = np.stack([s.forward(values[..., i]) for i, s in enumerate(scalings)], axis=-1)
        shifted = np.stack([np.maximum(values[..., i], 0) + scalings[i].offset for i in targets], axis=-1)
        return cls(torch.from_numpy(scaled), torch.from_numpy(shifted), first_hour, hours[0], hours[1])

    def to(self, device: torch.device) -> Windows:
        """Return the same windows on `device`."""
        fields = None if self.fields is None else self.fields.to(device)
        return replace(self, scaled=self.scaled.to(device), shifted=self.shifted.to(device), fields=fields)

    @property
    def origins(self) -> NDArray[np.int64]:
        """Positions of the last hour read, of all windows that fit."""
        return np.arange(self.history - 1, len(self.scaled) - self.lead, dtype=np.int64)

    def held_out(self, member: int, members: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the origins that a member trains on, and those it stops early by.

        The timeline is cut into stretches, dealt out in turn; no lead hour of a training window lies in
        a stretch held out, and the other way round.
        """
        first, last, parts = self._parts_of_origins(members)
        mine = member % parts
        return self.origins[(first != mine) & (last != mine)], self.origins[(first == mine) & (last == mine)]

    def parts(self, members: int) -> list[NDArray[np.int64]]:
        """Return the origins whose lead hours lie all in one part of the timeline, part by part."""
        first, last, parts = self._parts_of_origins(members)
        return [self.origins[(first == p) & (last == p)] for p in range(parts)]

    def _parts_of_origins(self, members: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Return the part that each origin's first and last lead hour lies in, and how many parts there are."""
        parts = max(members, _FEWEST_PARTS)
        stretch = min(_STRETCH_HOURS, len(self.scaled) // (2 * parts))
        origins = self.origins
        return (origins + 1) // stretch % parts, (origins + self.lead) // stretch % parts, parts

    def batch(self, origins: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return histories (window, hour, station, input), truths (window, station, target, lead), origins' stamps."""
        at = torch.from_numpy(origins).to(self.scaled.device)
        before = self._before(origins)
        after = at[:, None] + torch.arange(1, self.lead + 1, device=at.device)
        truth = self.shifted[after].permute(0, 2, 3, 1)
        return self.scaled[before], torch.cat((truth, daily_means(truth)), dim=-1), at + self.first_hour

    def fields_before(self, origins: NDArray[np.int64]) -> Tensor | None:
        """Return the covariates of the histories (window, hour, station, field); None without any."""
        return None if self.fields is None else self.fields[self._before(origins)]

    def _before(self, origins: NDArray[np.int64]) -> Tensor:
        at = torch.from_numpy(origins).to(self.scaled.device)
        return at[:, None] + torch.arange(1 - self.history, 1, device=at.device)


def daily_means(hourly: Tensor) -> Tensor:
    """Return means (..., day) of each 24 of the last axis; NaN where fewer than `FEWEST_HOURS` were read."""
    days = hourly.unflatten(-1, (-1, 24))
    count = torch.isfinite(days).sum(dim=-1)
    mean = torch.nan_to_num(days).sum(dim=-1) / count.clamp(min=1)
    return torch.where(count >= FEWEST_HOURS, mean, torch.nan)


def history_fields(values: NDArray[np.float32], scaling: FieldScaling) -> NDArray[np.float32]:
    """Return covariates (..., field) in their units standardised, the speed of the wind behind them; NaN stays NaN.

    Means of hours are what is read of them, and from the mean of a wind that turns its speed is not to be had.
    """
    scaled = scaling.forward(values)
    if scaling.wind is None:
        return scaled
    east, north = scaling.wind
    speed = (np.hypot(scaled[..., east], scaled[..., north]) - _LENGTH_MEAN) / _LENGTH_STD
    return np.concatenate((scaled, speed[..., None]), axis=-1)


def history_width(scaling: FieldScaling | None) -> int:
    """Return how many numbers an hour `history_fields` returns."""
    return 0 if scaling is None else len(scaling.names) + (scaling.wind is not None)
