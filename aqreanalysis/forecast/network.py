"""The long forecast: AQ-Net's parts over two weeks of history, a linear path, and a distribution for every lead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.configs import ForecastConfig
from aqreanalysis.model.network.neighbours import Geometry
from aqreanalysis.model.network.neural_knn import NeuralKNN
from aqreanalysis.model.network.temporal_encoder import CyclicEncoding, TemporalEncoder

# Steps of the linear path, from the origin backwards (how many, hours each): of what is forecast, of the other
# pollutants, of covariates. Single days from the third on are worth no coefficient of their own: some four hundred
# independent episodes are all that a record of three years holds.
_OWN_STEPS = ((6, 1), (1, 6), (1, 12), (2, 24), (1, 48), (1, 72), (1, 144))
_OTHER_STEPS = ((1, 3), (1, 9), (1, 12), (1, 24), (1, 48))
_FIELD_STEPS = ((1, 3), (1, 9), (1, 12), (1, 24))
# Levels of the last hours that the hour of day changes the worth of.
_HOURLY_LEVELS = (1, 12, 24)
# By how much more than a step of what is forecast one of another pollutant is shrunk.
_OTHER_PENALTY = 10.0
# Where little of the neighbourhood reports, its mean is drawn towards nothing known (zero, the mean of the training).
_FEWEST_SHARE = 0.02
# How long a station that falls silent is taken to stand as far from its neighbours as it did.
_MEMORY_HOURS = 24.0
_CLOCK = 6
# The linear paths: autoregressions in logarithms, roots or concentrations (Box and Cox 1964). A polluted hour decays
# too fast in logarithms and too slowly in concentrations, and which is nearer changes with the lead.
BOX_COX_LAMBDAS = (0.0, 0.5, 0.0, 1.0)
# Whether the path is fitted to the absolute error of concentrations (its forecast is a median) or to the squared error
# of its own scale. Clean air comes suddenly, so that the logarithms' mean lies well below their median.
FITTED_TO_ABSOLUTE_ERROR = (True, True, False, False)
# A concentration forecast below this share of a typical one is taken for it, since its logarithm is wanted.
_LEAST_SHARE = 0.05
# What a lead's location is mixed from: the linear paths, and the means of the last hours read, so many each.
_RECENT_HOURS = (1, 3, 24, 336)
_COMPONENTS = len(BOX_COX_LAMBDAS) + len(_RECENT_HOURS)
# Linear paths and mix are of two kinds: of places that read what is forecast in at least this share of the last
# hours, and of places that did not. An own reading that may be a neighbour's would be believed too little.
_PLACE_KINDS = ("read", "not read")
_RECENT, _ENOUGH = 24, 0.5


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
    fields : Tensor
        Standardised covariates of the place, NaN where missing (sequence, hour, field).
    """

    values: Tensor
    observed: Tensor
    fields: Tensor

    def of(self, sequences: Tensor) -> History:
        """Return the histories of some sequences."""
        return History(self.values[sequences], self.observed[sequences], self.fields[sequences])


class LeadAttention(nn.Module):
    """What each lead day looks for in the history: multi-head attention over its steps, a query a lead day."""

    def __init__(self, days: int, width: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(0.1 * torch.randn(days, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each lead day has read (sequence, day, width), and with what weights (sequence, day, step)."""
        query = states[:, -1:] + self.query
        attended, weights = self.attention(query, states, states)
        return self.norm(query + attended), weights


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
    fields : int
        Covariates read beside them, over the same hours.
    """

    def __init__(self, inputs: int, targets: list[int], config: ForecastConfig, fields: int = 0) -> None:
        super().__init__()
        self.inputs, self.targets, self.config, self.fields = inputs, list(targets), config, fields
        self.days = config.lead_hours // 24
        self.leads = config.lead_hours + self.days
        width, head = config.state_width, config.head_width
        patch = config.patch_hours * inputs * (1 + config.kernels)
        self.clock = CyclicEncoding()
        # Wide apart: one model hears the nearest stations, the last one the whole network.
        self.knn = NeuralKNN(config.kernels, 30.0, 400.0)
        self.temporal = TemporalEncoder(patch + fields, self.clock.width, width, config.attention_heads, config.dropout)
        self.by_lead_day = LeadAttention(self.days, width, config.attention_heads)
        self.drop = nn.Dropout(config.dropout)
        shape = (len(_PLACE_KINDS), len(targets), self.leads)
        # The linear paths, by the name that bundles have for them.
        self.straight = nn.ModuleList(nn.Linear(self.linear_width(), math.prod(shape)) for _ in BOX_COX_LAMBDAS)
        self.from_state = nn.Linear(width + 1, head)
        self.from_clock = nn.Linear(self.clock.width, head)
        self.from_level = nn.Linear(_COMPONENTS, head)
        self.of_lead = nn.Parameter(0.1 * torch.randn(len(targets), self.leads, head))
        self.inner = nn.Linear(head, head)
        self.out = nn.Linear(head, 2 + _COMPONENTS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # Standard deviation of the inputs' logarithms: what takes a standardised logarithm to concentrations and back.
        self.deviation: Tensor
        self.register_buffer("deviation", torch.ones(inputs))
        # How each lead mixes its components, by how much it moves the outcome, and the spread, as stretches left out of
        # the linear path's fit tell; then how far the network is believed against that.
        self.mix: Tensor
        self.register_buffer("mix", torch.zeros(*shape, _COMPONENTS))
        self.shift: Tensor
        self.spread: Tensor
        self.trust: Tensor
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))
        self.register_buffer("trust", torch.ones(shape[1:]))

    def _steps(self, steps: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        """Return those of the linear path's steps (how many, hours each) that the history holds."""
        fitting, left = [], self.config.history_hours
        for count, hours in steps:
            left -= count * hours
            if left >= 0:
                fitting.append((count, hours))
        return fitting

    def _read_steps(self) -> list[tuple[int, list[int], list[tuple[int, int]]]]:
        """Return which inputs the linear path reads: the input, whose readings, in which steps.

        Of what is forecast the place's own and those of its neighbourhoods, of the others the widest neighbourhood's.
        """
        own = list(range(1 + self.config.kernels)), self._steps(_OWN_STEPS)
        other = [self.config.kernels], self._steps(_OTHER_STEPS)
        return [(i, *(own if i in self.targets else other)) for i in range(self.inputs)]

    def linear_width(self) -> int:
        """Return the number of features of the linear path."""
        return len(self.linear_penalty())

    def linear_penalty(self) -> Tensor:
        """Return by how much each feature of the linear path is shrunk, in units of the penalty (feature,)."""
        parts = []
        for i, whose, steps in self._read_steps():
            width = len(whose) * sum(count for count, _ in steps)
            parts.append(torch.full((width,), 1.0 if i in self.targets else _OTHER_PENALTY))
        width = self.fields * sum(count for count, _ in self._steps(_FIELD_STEPS)) + 2 * _CLOCK
        width += 4 * (len(_HOURLY_LEVELS) * len(self.targets) + 2)
        return torch.cat((*parts, torch.ones(width)))

    def history(self, own: Tensor, stations: Tensor, around: Geometry, fields: Tensor | None = None) -> History:
        """Return the histories of places (window * place, hour, ...), time never shifted by a gap.

        Parameters
        ----------
        own : Tensor
            Readings of the places themselves, NaN where there is none (window, hour, place, input).
        stations : Tensor
            Readings of the stations that the places may hear (window, hour, station, input).
        around : Geometry
            Which stations, and where.
        fields : Tensor, optional
            Standardised covariates of the places, NaN where missing (window, hour, place, field).
        """
        windows, hours, places, inputs = own.shape
        fields = own.new_empty((*own.shape[:3], 0)) if fields is None else fields
        weights = self._weights(around, stations.shape[2])
        seen = torch.isfinite(stations)
        available = torch.einsum("kps,whsi->kwhpi", weights, seen.to(own.dtype))
        total = torch.einsum("kps,whsi->kwhpi", weights, torch.nan_to_num(stations))
        near = total / available.clamp(min=_FEWEST_SHARE)
        nearby_mean = near.mean(dim=0)
        here = torch.isfinite(own)
        filled = torch.where(here, torch.nan_to_num(own), nearby_mean + _remembered(own - nearby_mean))
        values = torch.cat((filled[None], near)).permute(1, 3, 2, 4, 0)
        observed = torch.cat((here[None].to(own.dtype), available)).permute(1, 3, 2, 4, 0)
        shape = (windows * places, hours, inputs * (1 + self.config.kernels))
        beside = fields.transpose(1, 2).flatten(0, 1)
        return History(values.reshape(shape), observed.reshape(shape), beside)

    def _weights(self, around: Geometry, stations: int) -> Tensor:
        """Return the neural kNN's weights, none negative, each kernel's and place's summing to one."""
        kriging, _ = self.knn(around.position, around.reach_km)
        positive = F.relu(kriging) + 1e-4
        positive = positive / positive.sum(dim=-1, keepdim=True)
        index = around.index.expand_as(positive)
        return torch.zeros(*positive.shape[:2], stations, device=positive.device).scatter_add(2, index, positive)

    def linear_features(self, history: History, origin: Tensor, exponent: float) -> Tensor:
        """Return what the linear path of `exponent` reads (sequence, feature): recent hours, then days, the clock."""
        values = history.values.unflatten(2, (self.inputs, 1 + self.config.kernels))
        values = box_cox(values, self.deviation[:, None], exponent)
        parts = [_step_means(values[:, :, i, whose], steps) for i, whose, steps in self._read_steps()]
        parts.append(_step_means(torch.nan_to_num(history.fields), self._steps(_FIELD_STEPS)))
        once, twice = self.clock(origin), self.clock(2 * origin)
        # Sines of day, week and year come first, then their cosines.
        hour, season = torch.cat((once[:, [0, 3]], twice[:, [0, 3]]), dim=-1), once[:, [2, 5]]
        # How a level goes on depends on the hour: in the morning a clean one ends, in the afternoon a polluted one.
        own = values[:, :, self.targets, 0]
        levels = [own[:, -hours:].mean(dim=1) for hours in _HOURLY_LEVELS]
        turning = torch.cat((*levels, season), dim=-1)
        turned = (hour[:, :, None] * turning[:, None]).flatten(1)
        return torch.cat((*parts, once, twice, turned), dim=-1)

    def linear_forecasts(self, history: History, origin: Tensor) -> Tensor:
        """Return what each linear path forecasts, in standardised logs (sequence, target, lead, exponent)."""
        paths, kind = [], self.place_kinds(history)
        each = torch.arange(len(kind), device=kind.device)
        for exponent, path in zip(BOX_COX_LAMBDAS, self.straight, strict=True):
            answer = path(self.linear_features(history, origin, exponent))
            answer = answer.unflatten(-1, (len(_PLACE_KINDS), -1, self.leads))[each, kind]
            paths.append(from_box_cox(answer, self.deviation[self.targets, None], exponent))
        return torch.stack(paths, dim=-1)

    def place_kinds(self, history: History) -> Tensor:
        """Return, as the position in `_PLACE_KINDS`, whether the place read enough of what is forecast (sequence,)."""
        own = history.observed.unflatten(2, (self.inputs, -1))[:, -_RECENT:, self.targets, 0]
        return (own.mean(dim=(1, 2)) < _ENOUGH).long()

    def levels(self, history: History) -> Tensor:
        """Return the levels of the last hours in standardised logs (sequence, target, level)."""
        own = history.values.unflatten(2, (self.inputs, -1))[:, :, self.targets, 0]
        return torch.stack([own[:, -hours:].mean(dim=1) for hours in _RECENT_HOURS], dim=-1)

    def mixed(self, components: Tensor, mix: Tensor) -> Tensor:
        """Return the mean as concentrations of `components` (sequence, target, lead, component), in standardised logs.

        Parameters
        ----------
        components : Tensor
            In standardised logs.
        mix : Tensor
            Logarithms of the weights, not yet summing to one, of a shape that goes with the components'.
        """
        deviation = self.deviation[self.targets, None]
        weighted = torch.log_softmax(mix, dim=-1) + deviation[..., None] * components
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
        state, _ = self.by_lead_day(self._encoded(history, origin))
        share = history.observed[..., 0].mean(dim=1, keepdim=True)
        # Nothing here knows one place from another but by what it reads.
        straight = self.linear_forecasts(history, origin)[:, :, leads]
        levels = self.levels(history)[:, :, None].expand(-1, -1, len(leads), -1)
        components = torch.cat((straight, levels), dim=-1)
        share = share[:, None].expand(-1, self.days, -1)
        read = self.from_state(torch.cat((self.drop(state), share), dim=-1))[:, None, self._day_of(leads)]
        clock = self.from_clock(self.clock(self._valid(origin)[:, leads]))[:, None]
        hidden = F.silu(read + clock + self.of_lead[:, leads] + self.from_level(components))
        out = self.out(self.drop(F.silu(self.inner(hidden))))
        kind = self.place_kinds(history)
        mix = self.mix[:, :, leads][kind]
        start = self.mixed(components, mix)
        corrected = self.mixed(components, mix + out[..., 2:]) + out[..., 0]
        location = start + self.shift[:, :, leads][kind] + self.trust[:, leads] * (corrected - start)
        return location, self.spread[:, :, leads][kind] * torch.exp(out[..., 1].clamp(-2.0, 2.0))

    def attention(self, history: History, origin: Tensor) -> Tensor:
        """Return how each lead day attends to the steps of the history, in the order of time (sequence, day, step)."""
        _, weights = self.by_lead_day(self._encoded(history, origin))
        return weights

    def _encoded(self, history: History, origin: Tensor) -> Tensor:
        """Return the states of the history's steps (sequence, step, width)."""
        patch, hours = self.config.patch_hours, history.values.shape[1]
        pieces = hours // patch, patch
        values = history.values.unflatten(1, pieces).flatten(2)
        observed = history.observed.unflatten(1, pieces).flatten(2)
        beside = history.fields.unflatten(1, pieces)
        values = torch.cat((values, torch.nan_to_num(beside).mean(dim=2)), dim=-1)
        observed = torch.cat((observed, torch.isfinite(beside).to(observed.dtype).mean(dim=2)), dim=-1)
        back = torch.arange(hours // patch - 1, -1, -1, device=origin.device) * patch
        clock = self.clock(origin[:, None] - back)
        states: Tensor = self.temporal(values, observed, clock, 0, hours // patch)
        return states

    def _day_of(self, leads: Tensor) -> Tensor:
        """Return which lead day each lead is of (lead,)."""
        lead = self.config.lead_hours
        return torch.where(leads < lead, leads // 24, leads - lead)

    def _valid(self, origin: Tensor) -> Tensor:
        """Return the stamp of each lead (sequence, lead), that of a daily mean at its middle."""
        ahead = torch.arange(1, self.config.lead_hours + 1, device=origin.device)
        middle = 12 + 24 * torch.arange(self.days, device=origin.device)
        return origin[:, None] + torch.cat((ahead, middle))


def _remembered(apart: Tensor) -> Tensor:
    """Return `apart` (window, hour, ...) with each gap at the last value before it, fading; zero before the first.

    A station that stands above its neighbours does so in the hours that it does not tell, too.
    """
    hours = torch.arange(apart.shape[1], device=apart.device).view(1, -1, *[1] * (apart.dim() - 2))
    last = torch.where(torch.isfinite(apart), hours, -1).cummax(dim=1).values
    before = torch.nan_to_num(apart).gather(1, last.clamp(min=0))
    return torch.where(last < 0, 0.0, before * torch.exp((last - hours) / _MEMORY_HOURS))


def _step_means(values: Tensor, steps: list[tuple[int, int]]) -> Tensor:
    """Return means of `values` (sequence, hour, ...) over steps from the last hour backwards (sequence, feature)."""
    parts, end = [values.new_empty((len(values), 0))], values.shape[1]
    for count, hours in steps:
        piece = values[:, end - count * hours : end]
        parts.append(piece.unflatten(1, (count, hours)).mean(dim=2).flatten(1))
        end -= count * hours
    return torch.cat(parts, dim=1)


def box_cox(values: Tensor, deviation: Tensor, exponent: float) -> Tensor:
    """Return standardised logs as the Box-Cox transform of their concentrations, of the same size near zero."""
    return torch.expm1(exponent * deviation * values) / (exponent * deviation) if exponent else values


def from_box_cox(values: Tensor, deviation: Tensor, exponent: float) -> Tensor:
    """Return standardised logs from what `box_cox` returns; what is below a small concentration becomes it."""
    if not exponent:
        return values
    return torch.log((1 + exponent * deviation * values).clamp(min=_LEAST_SHARE**exponent)) / (exponent * deviation)
