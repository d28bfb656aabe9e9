"""The linear (Box-Cox) autoregressions of the long forecast, and their mix, judged where they were not fitted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aqreanalysis.forecast.network import BOX_COX_LAMBDAS, FITTED_TO_ABSOLUTE_ERROR, Forecaster, box_cox, from_box_cox
from aqreanalysis.model import Scaling, lognormal_crps
from aqreanalysis.model.network.neighbours import Geometry
from aqreanalysis.training.loss import normal_crps

_LOG_SHARE = 0.1
_PENALTIES = (1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)
# The absolute error is fitted by weighted squares: so many rounds, an error below this much counted as this much;
# a path that forecasts less than this share of a typical concentration counts as that share.
_ROUNDS, _SMALL_ERROR, _SMALLEST = 3, 0.1, 0.05
# Beyond these hours a median and a mean of the logarithm are worth the same; daily means all have the former.
_ABSOLUTE_HOURS = 24
# Of one kind of place; with fewer its paths are those of all places.
_FEWEST_ROWS = 300
_MIX_STEPS, _MIX_ROWS, _MIX_RATE = 150, 1500, 0.1
# Neighbouring hours are mixed alike: a jump of one in the logarithm of a weight costs as much as a poor mix does.
_MIX_ROUGHNESS = 0.05
_NARROWEST = 0.05


def units_loss(y: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Return the CRPS of log-normals against raised concentrations `y`, and the absolute error of their medians.

    The median is asked for by itself: the log-normal's shape is not the outcome's, and the CRPS of a wrong shape has
    its best median elsewhere.
    """
    return lognormal_crps(y, location, scale) + (torch.exp(location) - y).abs()


@dataclass(frozen=True)
class TrainingStations:
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
        """Return `units_loss` and a little CRPS of logarithms, the leads weighted as they count.

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
            natural = (weight * units_loss(y[seen], mu, sigma)).sum() / total / scaling.typical_error
            logarithmic = (weight * normal_crps(torch.log(y[seen]) - mu, sigma)).sum() / total / scaling.std
            loss = loss + natural + _LOG_SHARE * logarithmic
        return loss


@dataclass(frozen=True)
class RegressionRows:
    """Windows and places drawn for the linear paths.

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
    kind : Tensor
        Whether the place reads enough itself, see `Forecaster.place_kinds` (row,).
    """

    features: list[Tensor]
    levels: Tensor
    truth: Tensor
    part: Tensor
    kind: Tensor

    def of(self, kind: int) -> RegressionRows:
        """Return the rows of one kind of place; all rows where there are too few of it."""
        return self.where(self.kind == kind) if (self.kind == kind).sum() >= _FEWEST_ROWS else self

    def where(self, rows: Tensor) -> RegressionRows:
        """Return some of the rows, `rows` a mask (row,)."""
        chosen = self.levels[rows], self.truth[rows], self.part[rows], self.kind[rows]
        return RegressionRows([f[rows] for f in self.features], *chosen)


def carried(series: Tensor) -> Tensor:
    """Return `series` with each gap of its last axis at the value before it; NaN before the first value."""
    steps = torch.arange(series.shape[-1], device=series.device).expand_as(series)
    last = torch.where(torch.isfinite(series), steps, 0).cummax(dim=-1).values
    return series.gather(-1, last)


def fit_linear_paths(model: Forecaster, rows: RegressionRows, held: int, network: TrainingStations) -> None:
    """Fit linear paths, mix and spread for both kinds of places, on all parts but `held`."""
    for kind in range(len(model.mix)):
        _fit_kind(model, rows.of(kind), kind, held, network)


def _fit_kind(model: Forecaster, rows: RegressionRows, kind: int, held: int, network: TrainingStations) -> None:
    """Fit the linear paths of one kind of place on all parts but `held`, and then mix and spread.

    Each part of the timeline is forecast by paths that were fitted without it. That chooses the penalty of each lead
    and path, and by it the mix is fitted: a path is not believed for having been fitted to what it is judged by.
    """
    # All leads share one system, so a lead that is missing needs a value: the one before it. A row without any before
    # it tells nothing; any number in its place would draw every coefficient towards it.
    hourly, daily = network.standardised(rows.truth).split(model.config.lead_hours, dim=-1)
    filled = torch.cat((carried(hourly), carried(daily)), dim=-1)
    complete = torch.isfinite(filled).flatten(1).all(dim=1)
    rows, filled = rows.where(complete), filled[complete]
    deviation = model.deviation[model.targets, None]
    shrink = torch.cat((model.linear_penalty(), torch.zeros(1))).to(rows.truth.device).double()
    paths = []
    each = BOX_COX_LAMBDAS, FITTED_TO_ABSOLUTE_ERROR, rows.features, model.straight
    for exponent, absolute, x, path in zip(*each, strict=True):
        assert isinstance(path, torch.nn.Linear)
        aim = box_cox(filled, deviation, exponent).flatten(1).double()
        error = _AbsoluteError.of(model, exponent, torch.isfinite(rows.truth).flatten(1)) if absolute else None
        weights, elsewhere = _left_out(x.double(), aim, rows.part, held, shrink, error)
        path.weight.unflatten(0, (len(model.mix), -1))[kind] = weights[:-1].T.to(path.weight.dtype)
        path.bias.unflatten(0, (len(model.mix), -1))[kind] = weights[-1].to(path.bias.dtype)
        paths.append(from_box_cox(elsewhere.to(filled.dtype).unflatten(1, (-1, model.leads)), deviation, exponent))
    levels = rows.levels[:, :, None].expand(-1, -1, model.leads, -1)
    _fit_mix(model, torch.cat((torch.stack(paths, dim=-1), levels), dim=-1), rows.truth, network, kind)


@dataclass(frozen=True)
class _AbsoluteError:
    """The absolute error of concentrations, for a path in one exponent.

    Attributes
    ----------
    exponent : float
        Of the path.
    deviation : Tensor
        Of each column's logarithms (column,).
    columns : Tensor
        Which columns, a target's lead each, are fitted to it.
    known : Tensor
        Which outcomes were read and not carried (row, column).
    """

    exponent: float
    deviation: Tensor
    columns: Tensor
    known: Tensor

    @classmethod
    def of(cls, model: Forecaster, exponent: float, known: Tensor) -> _AbsoluteError:
        deviation = model.deviation[model.targets].repeat_interleave(model.leads).double()
        lead = torch.arange(len(deviation), device=deviation.device) % model.leads
        chosen = (lead < _ABSOLUTE_HOURS) | (lead >= model.config.lead_hours)
        return cls(exponent, deviation, chosen.nonzero()[:, 0], known)

    def refine(self, x: Tensor, y: Tensor, rows: Tensor, weights: Tensor, shrinks: Tensor) -> Tensor:
        """Return `weights` (feature, column) brought to the least absolute error, by iterated weighted squares.

        Only `rows`, a mask, are fitted to. `shrinks` (feature, column) are the penalties in units of each feature's
        size. An error in the exponent's scale counts by how much concentration it is.
        """
        weights, x, y, known = weights.clone(), x[rows], y[rows], self.known[rows]
        single = x.float()
        for c in self.columns.tolist():
            for _ in range(_ROUNDS):
                fitted = x @ weights[:, c]
                count = known[:, c] * self._slope(fitted, c) / (fitted - y[:, c]).abs().clamp(min=_SMALL_ERROR)
                weighted = single * (count / count.mean()).float()[:, None]
                gram, right = weighted.T @ single, weighted.T @ y[:, c].float()
                weights[:, c] = _solve(gram.double(), right.double(), shrinks[:, c])
        return weights

    def _slope(self, fitted: Tensor, column: int) -> Tensor:
        """Return how fast the concentration changes with what the path forecasts, up to a factor."""
        deviation = self.deviation[column]
        if not self.exponent:
            return torch.exp(deviation * fitted)
        return (1 + self.exponent * deviation * fitted).clamp(min=_SMALLEST) ** (1 / self.exponent - 1)


def _left_out(
    x: Tensor, y: Tensor, part: Tensor, held: int, shrink: Tensor, absolute: _AbsoluteError | None = None
) -> tuple[Tensor, Tensor]:
    """Return weights (feature, lead) fitted on all parts but `held`, and forecasts of each row without its part.

    `shrink` (feature,) says how much of the penalty each feature gets. Penalties are chosen by the squared error.
    """
    parts = [int(p) for p in part.unique()]
    sums = {p: (x[part == p].T @ x[part == p], x[part == p].T @ y[part == p]) for p in parts}
    known = [p for p in parts if p != held]
    # What answers for a part is fitted to the others; where there is but one other, to that one.
    fitted_to = {p: [q for q in known if q != p] or known for p in (*parts, held)}
    solved = {}
    for p, others in fitted_to.items():
        gram, right = (torch.stack([sums[q][i] for q in others]).sum(dim=0) for i in (0, 1))
        solved[p] = torch.stack([_solve(gram, right, penalty * shrink) for penalty in _PENALTIES])
    errors = [(x[part == p] @ solved[p] - y[part == p]).square().sum(dim=1) for p in parts]
    best = torch.stack(errors).sum(dim=0).argmin(dim=0)
    fitted, elsewhere = {}, torch.empty_like(y)
    for p, others in fitted_to.items():
        fitted[p] = solved[p].gather(0, best.expand(1, x.shape[1], -1)).squeeze(0)
        if absolute is not None:
            rows = torch.isin(part, torch.tensor(others, device=part.device))
            shrinks = torch.tensor(_PENALTIES).to(x)[best] * shrink[:, None]
            fitted[p] = absolute.refine(x, y, rows, fitted[p], shrinks)
        elsewhere[part == p] = x[part == p] @ fitted[p]
    return fitted[held], elsewhere


def _solve(gram: Tensor, right: Tensor, shrink: Tensor) -> Tensor:
    """Return the coefficients, each shrunk by its `shrink` in units of its feature's size."""
    size = gram.diagonal().clamp(min=1e-9 * float(gram.diagonal().max()))
    return torch.linalg.solve(gram + torch.diag(shrink * size), right)


def _fit_mix(model: Forecaster, components: Tensor, truth: Tensor, network: TrainingStations, kind: int) -> None:
    """Fit mix, shift and spread of each lead, at one kind of place, to the loss of `components`.

    They are (row, target, lead, component), in standardised logs.
    """
    shape = truth.shape[1:]
    generator = torch.Generator().manual_seed(0)
    error = network.standardised(truth) - components.mean(dim=-1)
    spread = error.square().nanmean(dim=0).sqrt().nan_to_num(nan=1.0).clamp(min=_NARROWEST)
    free = [torch.zeros(*shape, components.shape[-1]), torch.zeros(shape), spread.log().cpu()]
    mix, shift, log_spread = (t.to(truth.device).requires_grad_() for t in free)
    optimiser = torch.optim.Adam([mix, shift, log_spread], lr=_MIX_RATE)
    even = torch.ones(shape[-1], device=truth.device)
    with torch.enable_grad():
        for step in range(_MIX_STEPS):
            drawn = torch.randperm(len(truth), generator=generator)[:_MIX_ROWS].to(truth.device)
            location = model.mixed(components[drawn], mix) + shift
            rough = mix[:, : model.config.lead_hours].diff(dim=1).square().mean()
            loss = network.loss(location, log_spread.exp().expand_as(location), truth[drawn], even)
            optimiser.param_groups[0]["lr"] = _MIX_RATE * (1 - step / _MIX_STEPS)
            optimiser.zero_grad(set_to_none=True)
            (loss + _MIX_ROUGHNESS * rough).backward()
            optimiser.step()
    model.mix[kind].copy_(mix.detach())
    model.shift[kind].copy_(shift.detach())
    model.spread[kind].copy_(log_spread.detach().exp().clamp(min=_NARROWEST))
