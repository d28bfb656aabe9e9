"""Time on circles: hour of day, day of week, day of year as sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_HOURS_OF_YEAR = 365.2425 * 24
# 1970-01-01, hour zero of the clock, was a Thursday: three days into an ISO week.
_WEEK_OFFSET = 3 * 24


class CyclicEncoding(nn.Module):
    """Hours since 1970-01-01 00:00 UTC -> six numbers on three circles, so that 23:00 lies beside 00:00."""

    width = 6

    def forward(self, hours: Tensor) -> Tensor:
        """Return float32 (..., 6) for integer hours (...)."""
        # Reduced in float64 before the circle: float32 holds whole hours of this century only to 1/16 h of phase.
        exact = hours.to(torch.float64)
        day = exact % 24 / 24
        week = (exact + _WEEK_OFFSET) % 168 / 168
        year = exact % _HOURS_OF_YEAR / _HOURS_OF_YEAR
        angle = 2 * math.pi * torch.stack((day, week, year), dim=-1)
        return torch.cat((angle.sin(), angle.cos()), dim=-1).to(torch.float32)
