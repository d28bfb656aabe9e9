"""What a station's own history says: time on circles, LSTM, multi-head self-attention, pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.errors import ConfigError
from aqreanalysis.model.kernels import attention

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


class WindowAttention(nn.MultiheadAttention):
    """The same attention, on the CPU in compiled loops where nothing is learned and no weights are wanted."""

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *more: Any, **given: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Return as its parent, whose arguments these are: here all (sequence, hour, width), and `key` is `value`."""
        plain = not more and given == {"need_weights": False} and key is value and query.dtype == torch.float32
        if torch.is_grad_enabled() or query.device.type != "cpu" or not plain:
            return super().forward(query, key, value, *more, **given)
        sizes = self.embed_dim, 2 * self.embed_dim
        (weight, others), (bias, rest) = self.in_proj_weight.split(sizes), self.in_proj_bias.split(sizes)
        queries, key_value = F.linear(query, weight, bias), F.linear(key, others, rest)
        attended = np.empty(query.shape, np.float32)
        attention(queries.numpy(), key_value.numpy(), self.num_heads, attended)
        return self.out_proj(torch.from_numpy(attended)), None


class TemporalEncoder(nn.Module):
    """Window of one station -> a state for each hour of the window's day.

    Time steps are real hours. A missing reading is a zero with its mask at zero, never a step left out, so gaps do not
    shift time.

    Parameters
    ----------
    inputs : int
        Pollutants read.
    clock : int
        Width of the cyclic time encoding.
    width : int
        Width of the state.
    heads : int
        Attention heads; divides `width`.
    dropout : float
        Share of features dropped in training.
    """

    def __init__(self, inputs: int, clock: int, width: int, heads: int, dropout: float) -> None:
        if width % 2 or width % heads:
            raise ConfigError(
                f"model.state_width {width} is no multiple of 2 and of model.attention_heads {heads}: both directions "
                "and all heads take the same share of it"
            )
        super().__init__()
        self.embed = nn.Linear(2 * inputs + clock, width)
        # Both directions: a reanalysis knows the hours after the one it estimates.
        self.lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)
        self.attention = WindowAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.pool_score = nn.Linear(width, 1)
        self.merge = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))
        self.norm_out = nn.LayerNorm(width)

    def forward(
        self, values: Tensor, observed: Tensor, clock: Tensor, first: int, last: int, covariates: Tensor | None = None
    ) -> Tensor:
        """Return states (sequence, last - first, width).

        Parameters
        ----------
        values : Tensor
            Standardised readings (sequence, hour, input), zero where missing.
        observed : Tensor
            One where there is a reading, zero elsewhere, same shape.
        clock : Tensor
            Cyclic encoding (sequence, hour, clock).
        first, last : int
            The hours of the window whose states are wanted, as a half-open range.
        covariates : Tensor, optional
            What joins each embedded step (sequence, hour, width): covariates.
        """
        steps = self.embed(torch.cat((values, observed, clock), dim=-1))
        if covariates is not None:
            steps = steps + covariates
        memory, _ = self.lstm(torch.relu(steps))
        memory = memory + steps
        query = memory[:, first:last]
        attended = self.norm(query + self.attention(query, memory, memory, need_weights=False)[0])
        # Pooling: one summary of the window, weighted by what the network finds telling.
        share = torch.softmax(self.pool_score(memory), dim=1)
        pooled = (share * memory).sum(dim=1, keepdim=True).expand_as(attended)
        return self.norm_out(attended + self.merge(torch.cat((attended, pooled), dim=-1)))
