"""The straight paths of the long forecast in closed form, and how they are mixed, judged where they were not fitted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aqreanalysis.model import Scaling, lognormal_crps
from aqreanalysis.model.forecaster import POWERS, Forecaster, logarithm, powered
from aqreanalysis.model.geometry import Geometry
from aqreanalysis.training.loss import normal_crps

_LOG_SHARE = 0.1
_PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
_MIX_STEPS, _MIX_ROWS, _MIX_RATE = 150, 1500, 0.1
# Neighbouring hours are mixed alike: a jump of one in the logarithm of a weight costs as much as a poor mix does.
_MIX_ROUGHNESS = 0.05
_NARROWEST = 0.05


@dataclass(frozen=True)
class Network:
    """The training stations as the loop needs them.

    Attributes
    ----------
    around : Geometry
        Each station's neighbours.
    scalings, input_scalings : list of Scaling
        Of what is forecast, and of all that is read.
    """

    around: Geometry
    scalings: list[Scaling]
    input_scalings: list[Scaling]

    def lead_weights(self, lead: int) -> Tensor:
        """Return how much each lead counts: the first day's hours and the daily means are what is scored."""
        hourly = torch.full((lead,), 0.25)
        hourly[:24] = 1.5
        hourly[:6] = 3.0
        daily = torch.full((lead // 24,), 5.0)
        weights = torch.cat((hourly, daily))
        return weights / weights.sum()

    def standardised(self, shifted: Tensor) -> Tensor:
        """Return raised concentrations (row, target, lead) as standardised logs."""
        return torch.stack([(torch.log(shifted[:, p]) - s.mean) / s.std for p, s in enumerate(self.scalings)], dim=1)

    def loss(self, location: Tensor, scale: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
        """Return the CRPS, in units and a little in logarithms, the leads weighted as they count.

        Parameters
        ----------
        location, scale : Tensor
            In standardised logs (row, target, lead).
        truth : Tensor
            Raised concentrations, NaN where missing (row, target, lead).
        weights : Tensor
            Of the leads.
        """
        loss = truth.new_zeros(())
        for p, scaling in enumerate(self.scalings):
            y = truth[:, p]
            seen = torch.isfinite(y)
            weight = (weights * seen)[seen]
            total = weight.sum().clamp(min=1e-9)
            mu, sigma = location[:, p][seen] * scaling.std + scaling.mean, scale[:, p][seen] * scaling.std
            natural = (weight * lognormal_crps(y[seen], mu, sigma)).sum() / total / scaling.typical_error
            logarithmic = (weight * normal_crps(torch.log(y[seen]) - mu, sigma)).sum() / total / scaling.std
            loss = loss + natural + _LOG_SHARE * logarithmic
        return loss


@dataclass(frozen=True)
class Rows:
    """Windows and places drawn for the straight paths.

    Attributes
    ----------
    features : list of Tensor
        What each path reads, a constant last (row, feature).
    levels : Tensor
        Of the last hours, standardised logs (row, target, level).
    truth : Tensor
        Raised concentrations, NaN where missing (row, target, lead).
    part : Tensor
        Which stretches of the timeline the row lies in (row,).
    """

    features: list[Tensor]
    levels: Tensor
    truth: Tensor
    part: Tensor


def carried(series: Tensor) -> Tensor:
    """Return `series` with each gap of its last axis at the value before it; NaN before the first value."""
    steps = torch.arange(series.shape[-1], device=series.device).expand_as(series)
    last = torch.where(torch.isfinite(series), steps, 0).cummax(dim=-1).values
    return series.gather(-1, last)


def fit_straight(model: Forecaster, rows: Rows, held: int, network: Network) -> None:
    """Fit the straight paths by ridge regression on all parts but `held`, and then mix and spread.

    Each part of the timeline is forecast by paths that were fitted without it. That chooses the penalty of each lead
    and power, and by it the mix is fitted: a path is not believed for having been fitted to what it is judged by.
    """
    y = network.standardised(rows.truth)
    # All leads share one system, so a lead that is missing needs a value: the one before it. A zero would draw every
    # coefficient towards nothing by the share that is missing.
    hourly, daily = y.split(model.config.lead_hours, dim=-1)
    filled = torch.nan_to_num(torch.cat((carried(hourly), carried(daily)), dim=-1))
    deviation = model.deviation[model.targets, None]
    paths = []
    for power, x, path in zip(POWERS, rows.features, model.straight, strict=True):
        assert isinstance(path, torch.nn.Linear)
        aim = powered(filled, deviation, power).flatten(1).double()
        weights, elsewhere = _left_out(x.double(), aim, rows.part, held)
        path.weight.copy_(weights[:-1].T)
        path.bias.copy_(weights[-1])
        paths.append(logarithm(elsewhere.to(filled.dtype).unflatten(1, (-1, model.leads)), deviation, power))
    levels = rows.levels[:, :, None].expand(-1, -1, model.leads, -1)
    _fit_mix(model, torch.cat((torch.stack(paths, dim=-1), levels), dim=-1), rows.truth, network)


def _left_out(x: Tensor, y: Tensor, part: Tensor, held: int) -> tuple[Tensor, Tensor]:
    """Return weights (feature, lead) fitted on all parts but `held`, and forecasts of each row without its part."""
    parts = [int(p) for p in part.unique()]
    sums = {p: (x[part == p].T @ x[part == p], x[part == p].T @ y[part == p]) for p in parts}
    known = [sums[p] for p in parts if p != held]
    gram, right = (torch.stack([s[i] for s in known]).sum(dim=0) for i in (0, 1))
    errors, answers = [], []
    for penalty in _PENALTIES:
        answer = torch.empty_like(y)
        for p in parts:
            less = (gram, right) if p == held or len(known) < 2 else (gram - sums[p][0], right - sums[p][1])
            answer[part == p] = x[part == p] @ _solve(*less, penalty)
        answers.append(answer.float())
        errors.append((answer - y).square().mean(dim=0))
    chosen = torch.stack(errors).argmin(dim=0)
    both = torch.stack([_solve(gram, right, p) for p in _PENALTIES]), torch.stack(answers)
    solved, elsewhere = (t.gather(0, chosen.expand(1, *t.shape[1:])).squeeze(0) for t in both)
    return solved, elsewhere


def _solve(gram: Tensor, right: Tensor, penalty: float) -> Tensor:
    """Return the coefficients, each shrunk in units of its feature's size, the constant (the last) not at all."""
    shrink = penalty * gram.diagonal().clamp(min=1e-9 * float(gram.diagonal().max()))
    shrink[-1] = 0.0
    return torch.linalg.solve(gram + torch.diag(shrink), right)


def _fit_mix(model: Forecaster, anchors: Tensor, truth: Tensor, network: Network) -> None:
    """Fit mix, shift and spread of each lead to the CRPS of `anchors` (row, target, lead, anchor)."""
    shape = truth.shape[1:]
    generator = torch.Generator().manual_seed(0)
    error = network.standardised(truth) - anchors.mean(dim=-1)
    spread = error.square().nanmean(dim=0).sqrt().nan_to_num(nan=1.0).clamp(min=_NARROWEST)
    free = [torch.zeros(*shape, anchors.shape[-1]), torch.zeros(shape), spread.log().cpu()]
    mix, shift, log_spread = (t.to(truth.device).requires_grad_() for t in free)
    optimiser = torch.optim.Adam([mix, shift, log_spread], lr=_MIX_RATE)
    even = torch.ones(shape[-1], device=truth.device)
    with torch.enable_grad():
        for step in range(_MIX_STEPS):
            drawn = torch.randperm(len(truth), generator=generator)[:_MIX_ROWS].to(truth.device)
            location = model.mixed(anchors[drawn], mix) + shift
            rough = sum(f.diff(dim=1).square().mean() for f in mix.split(model.config.lead_hours, dim=1))
            loss = network.loss(location, log_spread.exp().expand_as(location), truth[drawn], even)
            optimiser.param_groups[0]["lr"] = _MIX_RATE * (1 - step / _MIX_STEPS)
            optimiser.zero_grad(set_to_none=True)
            (loss + _MIX_ROUGHNESS * rough).backward()
            optimiser.step()
    model.mix.copy_(mix.detach())
    model.shift.copy_(shift.detach())
    model.spread.copy_(log_spread.detach().exp().clamp(min=_NARROWEST))
