"""The long forecast: AQ-Net's parts over two weeks of history, a straight path, and a distribution for every lead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.configs import ForecastConfig
from aqreanalysis.model.cyclic import CyclicEncoding
from aqreanalysis.model.geometry import Geometry
from aqreanalysis.model.knn import NeuralKNN
from aqreanalysis.model.temporal import TemporalEncoder

# Steps of the straight path, from the origin backwards: (how many, hours each).
_OWN_STEPS = ((12, 1), (6, 6), (12, 24))
_OTHER_STEPS = ((3, 4), (3, 12), (3, 24))
# Where little of the neighbourhood reports, its mean is drawn towards nothing known (zero, the mean of the training).
_FEWEST_SHARE = 0.02
_CLOCK = 6


@dataclass(frozen=True)
class History:
    """What a place and the stations around it read up to the origin, in standardised logs.

    Attributes
    ----------
    values : Tensor
        The place's own readings, where it has none the neighbours', where they have none zero; then what the
        neighbours have by each covariance model (sequence, hour, input * (1 + kernel)).
    observed : Tensor
        One where the place itself read, zero elsewhere; then the share of the neighbours' weight that reported.
    """

    values: Tensor
    observed: Tensor


class Forecaster(nn.Module):
    """All lead hours at once, at stations and at places without one. It knows tensors only.

    Parameters
    ----------
    inputs : int
        Pollutants read.
    targets : list of int
        Which of the inputs are forecast.
    config : ForecastConfig
        Sizes and hours.
    """

    def __init__(self, inputs: int, targets: list[int], config: ForecastConfig) -> None:
        super().__init__()
        self.inputs, self.targets, self.config = inputs, list(targets), config
        self.days = config.lead_hours // 24
        self.leads = config.lead_hours + self.days
        width, head = config.state_width, config.head_width
        patch = config.patch_hours * inputs * (1 + config.kernels)
        self.clock = CyclicEncoding()
        # Wide apart: one model hears the nearest stations, the last one the whole network.
        self.knn = NeuralKNN(config.kernels, 30.0, 400.0)
        self.temporal = TemporalEncoder(patch, self.clock.width, width, config.attention_heads, config.dropout)
        self.drop = nn.Dropout(config.dropout)
        self.straight = nn.Linear(self.straight_width(), len(targets) * self.leads)
        self.from_state = nn.Linear(width + 1, head)
        self.from_clock = nn.Linear(self.clock.width, head)
        self.from_level = nn.Linear(2, head)
        self.of_lead = nn.Parameter(0.1 * torch.randn(len(targets), self.leads, head))
        self.inner = nn.Linear(head, head)
        self.out = nn.Linear(head, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # Standard deviation of the straight path's errors: the spread starts from it.
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(len(targets), self.leads))

    def straight_width(self) -> int:
        """Return the number of features of the straight path."""
        own = sum(count for count, _ in _OWN_STEPS)
        other = sum(count for count, _ in _OTHER_STEPS)
        kernels = 1 + self.config.kernels
        return len(self.targets) * own * kernels + (self.inputs - len(self.targets)) * other * kernels + 2 * _CLOCK

    def history(self, own: Tensor, stations: Tensor, around: Geometry) -> History:
        """Return the histories of places (window * place, hour, ...), time never shifted by a gap.

        Parameters
        ----------
        own : Tensor
            Readings of the places themselves, NaN where there is none (window, hour, place, input).
        stations : Tensor
            Readings of the stations that the places may hear (window, hour, station, input).
        around : Geometry
            Which stations, and where.
        """
        windows, hours, places, inputs = own.shape
        weights = self._weights(around, stations.shape[2])
        seen = torch.isfinite(stations)
        heard = torch.einsum("kps,whsi->kwhpi", weights, seen.to(own.dtype))
        said = torch.einsum("kps,whsi->kwhpi", weights, torch.nan_to_num(stations))
        near = said / heard.clamp(min=_FEWEST_SHARE)
        here = torch.isfinite(own)
        filled = torch.where(here, torch.nan_to_num(own), near.mean(dim=0))
        values = torch.cat((filled[None], near)).permute(1, 3, 2, 4, 0)
        observed = torch.cat((here[None].to(own.dtype), heard)).permute(1, 3, 2, 4, 0)
        shape = (windows * places, hours, inputs * (1 + self.config.kernels))
        return History(values.reshape(shape), observed.reshape(shape))

    def _weights(self, around: Geometry, stations: int) -> Tensor:
        """Return the neural kNN's weights, none negative, each kernel's and place's summing to one."""
        kriging, _ = self.knn(around.position, around.reach_km)
        positive = F.relu(kriging) + 1e-4
        positive = positive / positive.sum(dim=-1, keepdim=True)
        index = around.index.expand_as(positive)
        return torch.zeros(*positive.shape[:2], stations, device=positive.device).scatter_add(2, index, positive)

    def straight_features(self, history: History, origin: Tensor) -> Tensor:
        """Return what the straight path reads (sequence, feature): recent hours, then days, and the clock."""
        kernels = 1 + self.config.kernels
        values = history.values.unflatten(2, (self.inputs, kernels))
        parts = []
        for i in range(self.inputs):
            steps = _OWN_STEPS if i in self.targets else _OTHER_STEPS
            end = values.shape[1]
            for count, hours in steps:
                piece = values[:, end - count * hours : end, i]
                parts.append(piece.unflatten(1, (count, hours)).mean(dim=2).flatten(1))
                end -= count * hours
        clock = self.clock(origin)
        return torch.cat((*parts, clock, self.clock(2 * origin)), dim=-1)

    def forward(self, history: History, origin: Tensor, leads: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return location and scale in standardised logs, each (sequence, target, lead): hours, then daily means.

        Parameters
        ----------
        history : History
            Of `sequence` windows and places.
        origin : Tensor
            Stamp of the last hour read, in hours since 1970-01-01 (sequence,).
        leads : Tensor, optional
            Which leads are wanted; all where it is not given.
        """
        leads = torch.arange(self.leads, device=origin.device) if leads is None else leads
        patch = self.config.patch_hours
        hours = history.values.shape[1]
        values = history.values.unflatten(1, (hours // patch, patch)).flatten(2)
        observed = history.observed.unflatten(1, (hours // patch, patch)).flatten(2)
        back = torch.arange(hours // patch - 1, -1, -1, device=origin.device) * patch
        clock = self.clock(origin[:, None] - back)
        last = values.shape[1]
        state = self.temporal(values, observed, clock, last - 1, last)[:, 0]
        straight = self.straight(self.straight_features(history, origin)).unflatten(1, (-1, self.leads))
        share = history.observed[..., 0].mean(dim=1, keepdim=True)
        # Nothing here knows one place from another but what it reads: the week's level, each lead's own, the state.
        level = torch.stack((straight, straight.mean(dim=-1, keepdim=True).expand_as(straight)), dim=-1)[:, :, leads]
        told = self.from_state(torch.cat((self.drop(state), share), dim=-1))[:, None, None]
        clock = self.from_clock(self.clock(self._valid(origin)[:, leads]))[:, None]
        hidden = F.silu(told + clock + self.of_lead[:, leads] + self.from_level(level))
        shift, widen = self.out(self.drop(F.silu(self.inner(hidden)))).unbind(dim=-1)
        scale = self.spread[:, leads] * torch.exp(widen.clamp(-2.0, 2.0))
        return straight[:, :, leads] + shift, scale

    def _valid(self, origin: Tensor) -> Tensor:
        """Return the stamp of each lead (sequence, lead), that of a daily mean at its middle."""
        ahead = torch.arange(1, self.config.lead_hours + 1, device=origin.device)
        middle = 12 + 24 * torch.arange(self.days, device=origin.device)
        return origin[:, None] + torch.cat((ahead, middle))
