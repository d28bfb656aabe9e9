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

# Steps of the straight path over the last two days, from the origin backwards (how many, hours each): of what is
# forecast, and of the other pollutants. Days follow, as many of them as the history holds and these at the most.
_STEPS = {True: ((12, 1), (6, 6)), False: ((3, 4), (3, 12))}
_MOST_DAYS = {True: 12, False: 3}
# Where little of the neighbourhood reports, its mean is drawn towards nothing known (zero, the mean of the training).
_FEWEST_SHARE = 0.02
_CLOCK = 6
# What a lead's location is mixed from: the straight path, and the means of the last hours read, so many each.
_RECENT_HOURS = (1, 3, 24, 336)
_ANCHORS = 1 + len(_RECENT_HOURS)


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
        self.from_level = nn.Linear(_ANCHORS, head)
        self.of_lead = nn.Parameter(0.1 * torch.randn(len(targets), self.leads, head))
        self.inner = nn.Linear(head, head)
        self.out = nn.Linear(head, 2 + _ANCHORS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # How each lead mixes its anchors before the head has its say: at first the straight path and little else. A
        # parameter of its own, since an hour ahead is the last reading and a week ahead is not, whatever was read.
        self.mix = nn.Parameter(torch.tensor([2.0] + [0.0] * len(_RECENT_HOURS)).repeat(len(targets), self.leads, 1))
        # Standard deviation of the straight path's errors, from which the spread starts; how far the network is
        # believed against the straight path, and how much wider the spread must be, as weeks held out tell.
        self.spread: Tensor
        self.trust: Tensor
        self.widening: Tensor
        for name in ("spread", "trust", "widening"):
            self.register_buffer(name, torch.ones(len(targets), self.leads))

    def _steps(self, target: bool) -> list[tuple[int, int]]:
        """Return the straight path's steps (how many, hours each) for what is forecast, or for the others."""
        days = min(_MOST_DAYS[target], self.config.history_hours // 24 - 2)
        return [*_STEPS[target], *([(days, 24)] if days else [])]

    def straight_width(self) -> int:
        """Return the number of features of the straight path."""
        own, other = (sum(count for count, _ in self._steps(target)) for target in (True, False))
        kernels = 1 + self.config.kernels
        return kernels * (len(self.targets) * own + (self.inputs - len(self.targets)) * other) + 2 * _CLOCK

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
            end = values.shape[1]
            for count, hours in self._steps(i in self.targets):
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
        # Nothing here knows one place from another but by what it reads.
        anchors = self._anchors(history, straight)[:, :, leads]
        told = self.from_state(torch.cat((self.drop(state), share), dim=-1))[:, None, None]
        clock = self.from_clock(self.clock(self._valid(origin)[:, leads]))[:, None]
        hidden = F.silu(told + clock + self.of_lead[:, leads] + self.from_level(anchors))
        out = self.out(self.drop(F.silu(self.inner(hidden))))
        mixed = (torch.softmax(self.mix[:, leads] + out[..., 2:], dim=-1) * anchors).sum(dim=-1)
        straight = straight[:, :, leads]
        location = straight + self.trust[:, leads] * (mixed + out[..., 0] - straight)
        widen = self.widening[:, leads] * torch.exp(out[..., 1].clamp(-2.0, 2.0))
        return location, self.spread[:, leads] * widen

    def _anchors(self, history: History, straight: Tensor) -> Tensor:
        """Return (sequence, target, lead, anchor): the straight path, and the levels of the last hours."""
        own = history.values.unflatten(2, (self.inputs, -1))[:, :, self.targets, 0]
        recent = torch.stack([own[:, -hours:].mean(dim=1) for hours in _RECENT_HOURS], dim=-1)
        return torch.cat((straight[..., None], recent[:, :, None].expand(-1, -1, self.leads, -1)), dim=-1)

    def _valid(self, origin: Tensor) -> Tensor:
        """Return the stamp of each lead (sequence, lead), that of a daily mean at its middle."""
        ahead = torch.arange(1, self.config.lead_hours + 1, device=origin.device)
        middle = 12 + 24 * torch.arange(self.days, device=origin.device)
        return origin[:, None] + torch.cat((ahead, middle))
