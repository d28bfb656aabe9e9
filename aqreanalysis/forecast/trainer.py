"""The loop of the long forecast: the linear paths in closed form, then the network, stopped by weeks held out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.hours import even_step
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import ForecastConfig
from aqreanalysis.errors import TrainingError
from aqreanalysis.forecast.linear_paths import RegressionRows, TrainingStations, fit_linear_paths, units_loss
from aqreanalysis.forecast.network import BOX_COX_LAMBDAS, Forecaster, History
from aqreanalysis.forecast.windows import Windows
from aqreanalysis.training.learner import Learner

_WARM_UP_STEPS = 20
# Of the average of the weights: it reaches back some fifty steps, so a noisy one does not decide the stop.
_AVERAGE_DECAY = 0.98
_TRUST = (0.0, 0.5, 1.0)
_RIDGE_SEQUENCES, _RIDGE_STATIONS = 12_000, 3
_VALIDATION_SEQUENCES = 1_500
_SEQUENCES_AT_ONCE = 300


@dataclass(frozen=True)
class HeldOut:
    """Forecasts of weeks held out, in standardised logs, and what came of them, (window, station, target, lead).

    Attributes
    ----------
    location, scale : Tensor
        Of the forecast.
    truth : Tensor
        Raised concentrations, NaN where missing.
    hours : Tensor
        The origins' stamps (window,).
    """

    location: Tensor
    scale: Tensor
    truth: Tensor
    hours: Tensor


class ForecastTrainer(Learner):
    """One member: its weeks, its network, its optimiser.

    Parameters
    ----------
    config : ForecastConfig
        Sizes and the loop.
    windows : Windows
        Of the training stations and the hours that training may see.
    stations : TrainingStations
        Their neighbourhoods and scalings.
    targets : list of int
        Which inputs are forecast.
    seed, member : int
        What is drawn, and which weeks are held out.
    """

    network: Forecaster

    def __init__(
        self,
        config: ForecastConfig,
        windows: Windows,
        stations: TrainingStations,
        targets: list[int],
        seed: int,
        member: int,
    ) -> None:
        self.config, self.windows, self.stations = config, windows, stations
        self.device, self.seeds = windows.scaled.device, (seed, member)
        torch.manual_seed(1000 * seed + member)
        self.rng = np.random.default_rng(self.seeds)
        self.train, self.held = windows.held_out(member, config.members)
        self.held_part = member % len(windows.parts(config.members))
        width = 0 if windows.fields is None else windows.fields.shape[2]
        network = Forecaster(windows.scaled.shape[2], targets, config, width).to(self.device)
        network.deviation.copy_(torch.tensor([s.std for s in stations.input_scalings]))
        network.straight.requires_grad_(False)
        free = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(free, lr=config.learning_rate, weight_decay=config.weight_decay)
        super().__init__(network, optimiser, _AVERAGE_DECAY, "step")
        self.weights = stations.lead_weights(config.lead_hours).to(self.device)
        self.origins = max(1, round(config.sequences_per_batch / windows.scaled.shape[1]))
        hourly = torch.arange(config.lead_hours)
        self.scored = torch.cat((hourly[:24], config.lead_hours + torch.arange(config.lead_hours // 24)))

    def _hidden(self, windows: int, stations: int) -> Tensor:
        drawn = self.rng.random((windows, stations)) < self.config.hide_share
        drawn[:, self.rng.integers(stations)] = False  # one is always seen
        return torch.from_numpy(drawn).to(self.device)

    def _history(self, values: Tensor, origins: NDArray[np.int64], hidden: Tensor) -> History:
        """Return the histories of all stations, those hidden (window, station) as places without one."""
        values = torch.where(hidden[:, None, :, None], torch.nan, values)
        return self.network.history(values, values, self.stations.around, self.windows.fields_before(origins))

    def _forecast(self, history: History, hours: Tensor, leads: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and scale (window, station, target, lead)."""
        windows, stations = len(hours), len(history.values) // len(hours)
        location, scale = self.network(history, hours.repeat_interleave(stations), leads)
        return location.unflatten(0, (windows, stations)), scale.unflatten(0, (windows, stations))

    @torch.no_grad()
    def _regression_rows(self) -> RegressionRows:
        """Return windows of all parts of the timeline, as many as closed form needs.

        From each origin come a few stations alone: those of one network tell much the same, and other hours do not.
        """
        model, stations = self.network, self.windows.scaled.shape[1]
        each = min(_RIDGE_STATIONS, stations)
        every = even_step(max(5, len(self.windows.origins) * each // _RIDGE_SEQUENCES))
        parts = []
        for part, chosen in enumerate(self.windows.parts(self.config.members)):
            for origins in self._parts(chosen[self.rng.integers(every) :: every]):
                values, truth, hours = self.windows.batch(origins)
                order = self.rng.random((len(origins), stations)).argsort(axis=1)[:, :each]
                rows = torch.from_numpy(order + stations * np.arange(len(origins))[:, None]).flatten().to(self.device)
                history = self._history(values, origins, self._hidden(*values.shape[0:3:2])).of(rows)
                at = hours.repeat_interleave(each)
                x = [model.linear_features(history, at, exponent) for exponent in BOX_COX_LAMBDAS]
                x = [torch.cat((f, torch.ones_like(f[:, :1])), dim=-1) for f in x]
                label = torch.full((len(at),), part, device=self.device)
                parts.append((*x, model.levels(history), truth.flatten(0, 1)[rows], label, model.place_kinds(history)))
        *features, levels, truth, label, kind = (torch.cat(piece) for piece in zip(*parts, strict=True))
        return RegressionRows(features, levels, truth, label, kind)

    def _parts(self, origins: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return `origins` in pieces small enough for memory."""
        return np.array_split(origins, -(-len(origins) * self.windows.scaled.shape[1] // _SEQUENCES_AT_ONCE))

    def _step(self, number: int) -> float:
        origins = self.rng.choice(self.train, self.origins)
        values, truth, hours = self.windows.batch(origins)
        values, truth = self._shift_level(values, truth)
        self.network.train()
        leads, weights = self._draw_leads()
        history = self._history(values, origins, self._hidden(*values.shape[0:3:2]))
        location, scale = self._forecast(history, hours, leads)
        mu, sigma, known = (t.flatten(0, 1) for t in (location, scale, truth[..., leads]))
        loss = self.stations.loss(mu, sigma, known, weights)
        if not torch.isfinite(loss):
            raise TrainingError("the loss is not finite: lower forecast.learning_rate")
        for group in self.optimiser.param_groups:
            warm = min(1.0, (number + 1) / _WARM_UP_STEPS)
            cool = 0.5 * (1 + np.cos(np.pi * number / self.config.steps))
            group["lr"] = self.config.learning_rate * warm * (0.1 + 0.9 * cool)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer_step()
        return float(loss.detach())

    def _draw_leads(self) -> tuple[Tensor, Tensor]:
        """Return the leads of a step and their weights: those that are scored, and as many of the later hours."""
        later = np.arange(24, self.config.lead_hours)
        drawn = self.rng.choice(later, min(24, len(later)), replace=False)
        weights = self.weights.clone()
        weights[24 : self.config.lead_hours] *= len(later) / max(len(drawn), 1)
        leads = torch.cat((torch.from_numpy(drawn), self.scored))
        return leads, weights[leads]

    def _shift_level(self, values: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the window with the level of all pollutants raised or lowered alike, before the origin and after.

        Levels fall over the years. A network that has seen each episode at several levels reads the level off the
        history instead of remembering it from the season.
        """
        if not self.config.level_shift:
            return values, truth
        drawn = torch.from_numpy(self.rng.normal(0, self.config.level_shift, len(values)).astype(np.float32))
        shift = drawn.to(self.device)[:, None, None, None]
        factors = [torch.exp(shift[..., 0] * s.std) for s in self.stations.scalings]
        return values + shift, torch.stack([truth[:, :, p] * f for p, f in enumerate(factors)], dim=2)

    @torch.no_grad()
    def held_out(self, weights: dict[str, Tensor], leads: Tensor) -> Iterator[HeldOut]:
        """Yield what `weights` forecast at the weeks held out, part by part; each third station hidden in turn."""
        live = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(weights)
        self.network.eval()
        wanted = max(1, _VALIDATION_SEQUENCES // self.windows.scaled.shape[1])
        picked = self.held[np.unique(np.linspace(0, len(self.held) - 1, wanted).astype(int))]
        for part, origins in enumerate(self._parts(picked)):
            values, truth, hours = self.windows.batch(origins)
            hidden = (torch.arange(values.shape[2], device=self.device) + part) % 3 == 0
            history = self._history(values, origins, hidden.expand(len(values), -1))
            location, scale = self._forecast(history, hours, leads)
            yield HeldOut(location, scale, truth[..., leads], hours)
        self.network.load_state_dict(live)

    def validate(self, weights: dict[str, Tensor]) -> Tensor:
        """Return the scaled loss of `weights` in concentrations at the weeks held out, by lead."""
        total, count = torch.zeros(len(self.scored)), torch.zeros(len(self.scored))
        for held_out in self.held_out(weights, self.scored):
            for p, scaling in enumerate(self.stations.scalings):
                y = held_out.truth[:, :, p]
                mu = held_out.location[:, :, p] * scaling.std + scaling.mean
                loss = units_loss(torch.nan_to_num(y, nan=1.0), mu, held_out.scale[:, :, p] * scaling.std)
                seen = torch.isfinite(y)
                total += torch.where(seen, loss / scaling.typical_error, 0.0).sum(dim=(0, 1)).cpu()
                count += seen.sum(dim=(0, 1)).cpu()
        return total / count.clamp(min=1)

    def _overall(self, by_lead: Tensor) -> float:
        weights = self.weights[self.scored].cpu()
        return float((weights * by_lead).sum() / weights.sum())

    def _choose_trust(self, weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        """Return `weights` with, at each lead, the trust that the weeks held out like, and the score.

        Where the network has learned nothing that holds in other seasons, the linear path speaks alone. Hours that
        are not scored take what the day's mean at the end of their day takes.
        """
        lead = self.config.lead_hours
        tried = []
        for value in _TRUST:
            weights = weights | {"trust": torch.full_like(weights["trust"], value)}
            tried.append(self.validate(weights))
        picked = torch.tensor(_TRUST)[torch.stack(tried).argmin(dim=0)]
        everywhere = torch.ones(lead + lead // 24)
        everywhere[24:lead] = picked[len(self.scored) - lead // 24 :].repeat_interleave(24)[24:]
        everywhere[self.scored.cpu()] = picked
        weights = weights | {"trust": everywhere.to(weights["trust"]).expand_as(weights["trust"]).clone()}
        return weights, self._overall(torch.stack(tried).min(dim=0).values)

    def run(
        self, checkpoints: Path, progress: Progress | None = None, seconds: float | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the best weights, and how the training went.

        A checkpoint is written before the first step and after each look at the weeks held out. One that is there is
        gone on from, and the result is that of an uninterrupted run: what is drawn between two looks has its own seed.

        Parameters
        ----------
        checkpoints : Path
            Folder of the member.
        progress : callable, optional
            ``progress(step, steps, note)``.
        seconds : float, optional
            No look is worked for after so many of them.
        """
        if not self.restore(checkpoints):
            began = time.monotonic()
            self._fit_linear_paths()
            self._validate_and_save(0, None, began, checkpoints)
        while not self._finished(seconds):
            began = time.monotonic()
            number, loss = self._train_steps()
            score = self._validate_and_save(number, loss, began, checkpoints)
            if progress:
                progress(number, self.config.steps, f"step {number}: at weeks held out {score:.4f}")
        weights, score = self._choose_trust(self.best)
        return weights, self.state | {"settled_score": score}

    @torch.no_grad()
    def _fit_linear_paths(self) -> None:
        """Fit the linear paths, and let the average begin with them."""
        fit_linear_paths(self.network, self._regression_rows(), self.held_part, self.stations)
        self.average.module.load_state_dict(self.network.state_dict())

    def _finished(self, seconds: float | None) -> bool:
        done = min(self.state["epoch"] * self.config.validate_every, self.config.steps)
        stale = done - self.state["best_step"] >= self.config.patience * self.config.validate_every
        late = seconds is not None and self.state["seconds"] >= seconds
        return done >= self.config.steps or stale or late

    def _train_steps(self) -> tuple[int, float]:
        """Take the steps up to the next look; return how many were taken in all, and the last loss."""
        every, epoch = self.config.validate_every, self.state["epoch"]
        self.rng = np.random.default_rng((*self.seeds, epoch + 1))
        torch.manual_seed(int(self.rng.integers(2**62)))  # dropout
        last = min((epoch + 1) * every, self.config.steps)
        loss = float("nan")
        for number in range(epoch * every, last):
            loss = self._step(number)
        self.state["epoch"] = epoch + 1
        return last, loss

    def _validate_and_save(self, number: int, loss: float | None, began: float, checkpoints: Path) -> float:
        """Score the average at the weeks held out after so many steps, keep it if it is the best; write it all down."""
        weights = self.averaged_weights()
        score = self._overall(self.validate(weights))
        entry = {"step": number, "loss": loss, "validation": score}
        self.state["history"].append({k: v for k, v in entry.items() if v is not None})
        self.keep_best(score, number, weights)
        self.state["seconds"] += time.monotonic() - began
        self.save(checkpoints)
        return score
