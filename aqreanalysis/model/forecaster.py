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
# The straight path is taken in logarithms, in roots and in concentrations (Box and Cox 1964): a polluted hour decays
# too fast in logarithms and too slowly in concentrations, and which is nearer changes with the lead.
POWERS = (0.0, 0.5, 1.0)
# A concentration forecast below this share of a typical one is taken for it, since its logarithm is wanted.
_LEAST_SHARE = 0.05
# What a lead's location is mixed from: the straight paths, and the means of the last hours read, so many each.
_RECENT_HOURS = (1, 3, 24, 336)
_ANCHORS = len(POWERS) + len(_RECENT_HOURS)


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
        self.straight = nn.ModuleList(nn.Linear(self.straight_width(), len(targets) * self.leads) for _ in POWERS)
        self.from_state = nn.Linear(width + 1, head)
        self.from_clock = nn.Linear(self.clock.width, head)
        self.from_level = nn.Linear(_ANCHORS, head)
        self.of_lead = nn.Parameter(0.1 * torch.randn(len(targets), self.leads, head))
        self.inner = nn.Linear(head, head)
        self.out = nn.Linear(head, 2 + _ANCHORS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # Standard deviation of the inputs' logarithms: what takes a standardised logarithm to concentrations and back.
        self.deviation: Tensor
        self.register_buffer("deviation", torch.ones(inputs))
        # How each lead mixes its anchors, by how much it moves the outcome, and the spread, as stretches left out of
        # the straight path's fit tell; then how far the network is believed against that, and how much wider the
        # spread must be.
        self.mix: Tensor
        self.register_buffer("mix", torch.zeros(len(targets), self.leads, _ANCHORS))
        self.shift: Tensor
        self.spread: Tensor
        self.trust: Tensor
        self.widening: Tensor
        for name, start in (("shift", 0.0), ("spread", 1.0), ("trust", 1.0), ("widening", 1.0)):
            self.register_buffer(name, torch.full((len(targets), self.leads), start))

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

    def straight_features(self, history: History, origin: Tensor, power: float) -> Tensor:
        """Return what the straight path of `power` reads (sequence, feature): recent hours, then days, the clock."""
        kernels = 1 + self.config.kernels
        values = history.values.unflatten(2, (self.inputs, kernels))
        values = powered(values, self.deviation[:, None], power)
        parts = []
        for i in range(self.inputs):
            end = values.shape[1]
            for count, hours in self._steps(i in self.targets):
                piece = values[:, end - count * hours : end, i]
                parts.append(piece.unflatten(1, (count, hours)).mean(dim=2).flatten(1))
                end -= count * hours
        clock = self.clock(origin)
        return torch.cat((*parts, clock, self.clock(2 * origin)), dim=-1)

    def straight_paths(self, history: History, origin: Tensor) -> Tensor:
        """Return what each straight path forecasts, in standardised logs (sequence, target, lead, power)."""
        found = []
        for power, path in zip(POWERS, self.straight, strict=True):
            answer = path(self.straight_features(history, origin, power)).unflatten(-1, (-1, self.leads))
            found.append(logarithm(answer, self.deviation[self.targets, None], power))
        return torch.stack(found, dim=-1)

    def levels(self, history: History) -> Tensor:
        """Return the levels of the last hours in standardised logs (sequence, target, level)."""
        own = history.values.unflatten(2, (self.inputs, -1))[:, :, self.targets, 0]
        return torch.stack([own[:, -hours:].mean(dim=1) for hours in _RECENT_HOURS], dim=-1)

    def mixed(self, anchors: Tensor, mix: Tensor) -> Tensor:
        """Return the mean of `anchors` (sequence, target, lead, anchor) as concentrations, again in standardised logs.

        Parameters
        ----------
        anchors : Tensor
            In standardised logs.
        mix : Tensor
            Logarithms of the weights, not yet summing to one, of a shape that goes with the anchors'.
        """
        deviation = self.deviation[self.targets, None]
        weighted = torch.log_softmax(mix, dim=-1) + deviation[..., None] * anchors
        return torch.logsumexp(weighted, dim=-1) / deviation

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
        share = history.observed[..., 0].mean(dim=1, keepdim=True)
        # Nothing here knows one place from another but by what it reads.
        straight = self.straight_paths(history, origin)[:, :, leads]
        levels = self.levels(history)[:, :, None].expand(-1, -1, len(leads), -1)
        anchors = torch.cat((straight, levels), dim=-1)
        told = self.from_state(torch.cat((self.drop(state), share), dim=-1))[:, None, None]
        clock = self.from_clock(self.clock(self._valid(origin)[:, leads]))[:, None]
        hidden = F.silu(told + clock + self.of_lead[:, leads] + self.from_level(anchors))
        out = self.out(self.drop(F.silu(self.inner(hidden))))
        start = self.mixed(anchors, self.mix[:, leads])
        corrected = self.mixed(anchors, self.mix[:, leads] + out[..., 2:]) + out[..., 0]
        location = start + self.shift[:, leads] + self.trust[:, leads] * (corrected - start)
        widen = self.widening[:, leads] * torch.exp(out[..., 1].clamp(-2.0, 2.0))
        return location, self.spread[:, leads] * widen

    def _valid(self, origin: Tensor) -> Tensor:
        """Return the stamp of each lead (sequence, lead), that of a daily mean at its middle."""
        ahead = torch.arange(1, self.config.lead_hours + 1, device=origin.device)
        middle = 12 + 24 * torch.arange(self.days, device=origin.device)
        return origin[:, None] + torch.cat((ahead, middle))


def powered(values: Tensor, deviation: Tensor, power: float) -> Tensor:
    """Return standardised logs as the Box-Cox transform of their concentrations, of the same size near zero."""
    return torch.expm1(power * deviation * values) / (power * deviation) if power else values


def logarithm(values: Tensor, deviation: Tensor, power: float) -> Tensor:
    """Return standardised logs from what `powered` returns; what is below a small concentration becomes it."""
    if not power:
        return values
    return torch.log((1 + power * deviation * values).clamp(min=_LEAST_SHARE**power)) / (power * deviation)
