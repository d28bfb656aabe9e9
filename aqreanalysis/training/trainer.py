"""The loop: epochs of random days, early stopping at stations held out, resumable with the same result."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aqreanalysis.common.geodesy import unit_vectors
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config, TrainingConfig
from aqreanalysis.errors import ModelError, TrainingError
from aqreanalysis.model import AQNet, Scaling, find_neighbours
from aqreanalysis.model.device import flatten_recurrent, mixed_precision
from aqreanalysis.model.network.aqnet import BandCovariances, Neighbourhood, StationStates, hold_back
from aqreanalysis.model.network.covariate_effects import CovariatesAt
from aqreanalysis.model.network.temporal_filters import around_day
from aqreanalysis.training.covariance_start import STANDS_ON, starting_covariances
from aqreanalysis.training.cuda_graph import CudaGraphStep
from aqreanalysis.training.departure import SHARES, choose_share, surest
from aqreanalysis.training.distributed import Processes
from aqreanalysis.training.fields import mask_fields
from aqreanalysis.training.learner import Learner, annealed
from aqreanalysis.training.loss import EncodedBatch, station_scores, target_scores
from aqreanalysis.training.station_masking import StationMask, StationRoles, mask_readings, place_weights
from aqreanalysis.training.windows import Timeline

_WARM_UP_STEPS = 50
# Of the average of the weights: it reaches back some two hundred steps.
_AVERAGE_DECAY = 0.995
# What interpolates between stations: some fifty numbers, of which the left-out stations of a batch tell much. Ten times
# as fast they take the untrained network's MAE at hidden stations from 1.014 times that of the best of four
# interpolations to 1.001 (seven networks of 12 to 80 stations).
_INTERPOLATION = ("knn", "mixture", "filters")
_INTERPOLATION_PACE = 10.0
# Of an epoch, however long the record: at hidden stations nine times as many steps are no better in Beijing, nor are
# twice as many in North China (benchmarks/skill.md, "Real networks").
_MOST_STEPS = 100
#: What a training that goes on from a model has kept in the end.
LEARNED_HERE, BEGAN_WITH = "what was learned here", "what it began with"
# Days on which the calibration stations are scored after each epoch.
_VALIDATION_DAYS = 16


class Trainer(Learner):
    """One network, its data and its optimiser.

    Parameters
    ----------
    config : Config
        Resolved: `species` and `inputs` are lists.
    timeline : Timeline
        Of the hours that training may see, all stations.
    roles : StationRoles
        The stations.
    scalings : list of Scaling
        Of the targets.
    processes : Processes
        This process, with its device, and those that learn with it.
    start : mapping, optional
        Weights of another network to go on from, on the covariance models of this record.

    Attributes
    ----------
    covariances : BandCovariances or None
        What was fitted to the record for the network to start from; None where the config sets its ranges.
    """

    network: AQNet

    def __init__(
        self,
        config: Config,
        timeline: Timeline,
        roles: StationRoles,
        scalings: list[Scaling],
        processes: Processes,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.config, self.roles, self.scalings = config, roles, scalings
        self.processes, self.device = processes, processes.device
        self.timeline = timeline.to(self.device)
        self.training_stations = np.flatnonzero(roles.training)
        self._training_index = torch.from_numpy(self.training_stations).to(self.device)
        torch.manual_seed(config.training.seed)
        inputs = config.inputs or config.species
        self.targets = torch.tensor([inputs.index(s) for s in config.species], device=self.device)
        scaling = timeline.fields.scaling if timeline.fields is not None else None
        network = AQNet(len(inputs), self.targets.tolist(), config.model, scaling).to(self.device)
        if timeline.fields is not None and network.surroundings is not None:
            network.surroundings.start_from(timeline.fields.drift)
        self.covariances: BandCovariances | None = None
        if config.model.short_range_km is None and config.model.long_range_km is None:
            self.covariances = starting_covariances(self.timeline, roles, network)
            network.start_from(self.covariances)
        self._start = None if start is None else go_on_from(network, start)
        super().__init__(network, _optimiser(network, config.training), _AVERAGE_DECAY, "epoch")
        flatten_recurrent(self.average)
        weights = place_weights(roles.lat, roles.lon, config.split.cluster_km, config.training.place_weights)
        self.weights = torch.from_numpy(weights).to(self.device) if config.training.place_weights else None
        self.mask = StationMask(roles.lat[roles.training], roles.lon[roles.training], config.training)
        batch = config.training.days_per_batch * processes.count
        each_day_once = max(1, -(-timeline.days // batch))
        self.steps_per_epoch = config.training.steps_per_epoch or min(each_day_once, _MOST_STEPS)
        self.graph_step: CudaGraphStep | None = None

    def run(self, checkpoints: Path, progress: Progress | None = None, resume: bool = True) -> dict[str, Tensor]:
        """Train to the end or to the early stop and return the best weights; see `steps`."""
        for _ in self.steps(checkpoints, progress, resume):
            pass
        return self.best

    def steps(self, checkpoints: Path, progress: Progress | None = None, resume: bool = True) -> Iterator[None]:
        """Train to the end or to the early stop, and pause after each step, so that others can take one meanwhile.

        A checkpoint is written after each epoch; with `resume`, one that is there is gone on from, and the result is
        that of an uninterrupted run, since each epoch draws from its own seed. Of several processes the first one
        writes; the folder must be one that all of them see.
        """
        training = self.config.training
        if not (resume and self.restore(checkpoints)):
            if progress:
                progress(0, training.epochs * self.steps_per_epoch, threads_note(self.device, training.threads))
            self.keep_best(self.validate(), 0)  # the start may be the best there is
        while not self._finished():
            began = time.monotonic()
            epoch = self.state["epoch"]
            loss = yield from self._epoch(epoch, progress)
            score = self._checked(self.validate())
            self.state["epoch"] = epoch + 1
            self.state["seconds"] += self.processes.of_first(time.monotonic() - began)
            self.state["history"].append({"epoch": epoch + 1, "loss": loss, "validation": score})
            self.keep_best(score, epoch + 1)
            if self.processes.is_first:
                self.save(checkpoints)
            if progress:
                note = f"epoch {epoch + 1}: loss {loss:.4f}, at calibration stations {score:.4f}"
                progress((epoch + 1) * self.steps_per_epoch, training.epochs * self.steps_per_epoch, note)
        if self._start is None:
            self._hold_back()
        else:
            self._keep_the_surer(self._start)

    def _finished(self) -> bool:
        training, state = self.config.training, self.state
        stale = state["epoch"] - state["best_epoch"] >= training.patience
        late = training.max_minutes is not None and state["seconds"] >= 60 * training.max_minutes
        return state["epoch"] >= training.epochs or stale or late

    def _epoch(self, epoch: int, progress: Progress | None) -> Generator[None, None, float]:
        training = self.config.training
        rng = np.random.default_rng(self.processes.seed(training.seed, epoch))
        self.network.train()
        if self.graph_step is None and CudaGraphStep.serves(self):
            self.graph_step = CudaGraphStep(self)
        generator = torch.Generator(self.device) if self.graph_step is None else self.graph_step.generator
        generator.manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        total = torch.zeros((), device=self.device)
        for step in range(self.steps_per_epoch):
            done = epoch * self.steps_per_epoch + step
            for group in self.optimiser.param_groups:
                group["lr"] = group["pace"] * training.learning_rate * self._rate(done)
            loss = self._step(rng, generator) if self.graph_step is None else self._graph_step(rng)
            if loss is not None:
                total += loss
            if progress:
                note = f"epoch {epoch + 1}, scored at its end"
                if self.state["history"]:
                    note = f"epoch {epoch + 1}, at calibration stations {self.state['history'][-1]['validation']:.4f}"
                progress(done + 1, training.epochs * self.steps_per_epoch, note)
            yield
        return self._checked(float(total)) / self.steps_per_epoch

    def _rate(self, step: int) -> float:
        whole = self.config.training.epochs * self.steps_per_epoch
        warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
        return warm * annealed(step / whole)

    def _step(self, rng: np.random.Generator, generator: torch.Generator) -> Tensor | None:
        """Take a step and return its loss; None, and no step, if no target was observed on its days."""
        self.optimiser.zero_grad(set_to_none=True)
        days = self._draw_days(rng)
        hidden = [self.mask.draw(rng) for _ in range(self.config.training.masks_per_batch)]
        own = self.loss_of(torch.from_numpy(days).to(self.device), hidden, generator)
        if own.requires_grad:
            own.backward()
        loss = self.processes.average_gradients(self.network, own, own.requires_grad)
        if loss is not None:
            self._checked(float(loss))
            self.optimizer_step()
        return loss

    def _graph_step(self, rng: np.random.Generator) -> Tensor:
        assert self.graph_step is not None
        days = self._draw_days(rng)
        masks = [self.graph_step.draw(rng) for _ in range(self.config.training.masks_per_batch)]
        loss = self.processes.average_gradients(self.network, self.graph_step.replay(days, masks), known=True)
        self.optimizer_step()
        return loss if loss is not None else self.graph_step.loss

    def _draw_days(self, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.integers(0, self.timeline.days, self.config.training.days_per_batch)

    def _checked(self, loss: float) -> float:
        if not np.isfinite(loss):
            raise TrainingError(
                f"training diverged: the loss is {loss} in epoch {self.state['epoch'] + 1}; lower "
                f"training.learning_rate ({self.config.training.learning_rate}) and begin anew with --fresh"
            )
        return loss

    def loss_of(self, days: Tensor, hidden: list[NDArray[np.bool_]], generator: torch.Generator) -> Tensor:
        """Return the mean loss of `days` over ways of hiding training stations, each a mask over them.

        Without a gradient where no target was observed.
        """
        training, stations = self.config.training, self.training_stations
        with mixed_precision(self.device, training.mixed_precision):
            read = self.read(days, stations, generator)
            loss = torch.zeros((), device=self.device)
            for mask in hidden:  # the encoder's work is done once for all of them
                states, neighbourhood = self._forward_masked(read, np.flatnonzero(~mask), stations[mask])
                if bool(torch.isfinite(read.truth[:, torch.from_numpy(stations[mask]).to(self.device)]).any()):
                    loss = loss + self._scores(read, states, neighbourhood, stations[mask])[0]
            return loss / len(hidden)

    def read(self, days: Tensor, stations: NDArray[np.int64], generator: torch.Generator | None = None) -> EncodedBatch:
        """Return what `stations` say alone on `days`, masked where a generator is given."""
        network, before = self._network(generator), self.timeline.window.history_hours
        windows, hours, truth = self.timeline.cut(days)
        there = (
            self._training_index if stations is self.training_stations else torch.from_numpy(stations).to(self.device)
        )
        windows = windows[:, :, there]
        if generator is not None:
            windows = mask_readings(windows, self.config.training, before, generator)
        fields, near = self._fields(days, generator) or (None, None)
        covariates = fields[:, :, there] if fields is not None else None
        windows = network.remove_drift(windows, covariates, hours)
        states = network.encode_own_history(windows, hours, before, before + 24, covariates).flatten(0, 1)
        clock = network.clock(hours[:, before : before + 24]).flatten(0, 1)
        return EncodedBatch(
            network, stations, states, around_day(windows[..., self.targets], before), clock, truth, near
        )

    def _fields(self, days: Tensor, generator: torch.Generator | None) -> tuple[Tensor, CovariatesAt] | None:
        """Return the covariates of `days` at every station, for the encoder and round the days; None without any."""
        if self.timeline.fields is None:
            return None
        cut = self.timeline.fields.cut(days)
        if generator is not None:
            cut = mask_fields(cut, self.config.training.mask_fields, generator)
        windows, near = self.timeline.fields.parts(cut)
        points = torch.from_numpy(unit_vectors(self.roles.lat, self.roles.lon).astype(np.float32))
        return windows, CovariatesAt(near, points.to(self.device))

    def _forward_masked(
        self, read: EncodedBatch, visible: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> tuple[StationStates, Neighbourhood]:
        """Return states of the visible stations (indices into those read) and the neighbourhood of the targets."""
        lat, lon, k = self.roles.lat, self.roles.lon, self.config.model.neighbours
        seen = read.stations[visible]
        own = find_neighbours(lat[seen], lon[seen], lat[seen], lon[seen], k, exclude_self=True)
        there = find_neighbours(lat[seen], lon[seen], lat[targets], lon[targets], k)
        network, chosen = read.network, torch.from_numpy(visible).to(self.device)
        with torch.autocast(self.device.type, enabled=False):  # the kriging systems need float32
            station_weights = network.station_weights(own.to(self.device), len(seen))
            neighbourhood = network.neighbourhood(there.to(self.device), len(seen))
        states, readings = read.states[:, chosen], read.readings[:, :, chosen]
        if read.near is None:
            return network.exchange_between_stations(states, readings, read.clock, station_weights), neighbourhood
        here, asked = (read.near.some(torch.from_numpy(i).to(self.device)) for i in (seen, targets))
        exchanged = network.exchange_between_stations(states, readings, read.clock, station_weights, here)
        return exchanged, network.add_covariates(exchanged, neighbourhood, asked)

    def _scores(
        self, read: EncodedBatch, states: StationStates, neighbourhood: Neighbourhood, targets: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and the CRPS at the stations `targets` (indices of all), as `target_scores`."""
        there = torch.from_numpy(targets).to(self.device)
        truth, extras = read.truth[:, there], self.drift_and_weights(there)
        return target_scores(read.network, states, neighbourhood, truth, self.scalings, *extras)

    def drift_and_weights(self, there: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the drift and the weights of stations (indices of all), where there are any."""
        drift = None if self.timeline.drift is None else self.timeline.drift[there]
        return drift, self.weights[there] if self.weights is not None else None

    def _network(self, generator: torch.Generator | None) -> AQNet:
        """Return the network that learns, or for judging the average of its weights."""
        network = self.network if generator is not None else self.average.module
        assert isinstance(network, AQNet)
        return network

    @torch.no_grad()
    def validate(self) -> float:
        """Return the mean scaled CRPS at the calibration stations, seen from the training stations."""
        there = torch.from_numpy(np.flatnonzero(self.roles.calibration)).to(self.device)
        total, counted = 0.0, 0.0
        for read, states, neighbourhood in self._left_out(self.processes.rank, self.processes.count):
            seen = int(torch.isfinite(read.truth[:, there]).sum())
            if seen:
                total += float(self._scores(read, states, neighbourhood, there.cpu().numpy())[1]) * seen
                counted += seen
        total, counted = self.processes.total(total, counted)
        return total / max(counted, 1) / len(self.scalings)

    def _left_out(self, first: int = 0, step: int = 1) -> Iterator[tuple[EncodedBatch, StationStates, Neighbourhood]]:
        """Yield what the training stations say of the calibration stations on some days: the `first`, and each
        `step`-th from there on."""
        self.average.eval()
        visible = np.arange(len(self.training_stations))
        targets = np.flatnonzero(self.roles.calibration)
        days = np.unique(np.linspace(0, self.timeline.days - 1, _VALIDATION_DAYS).astype(np.int64))
        own = torch.from_numpy(days[first::step]).to(self.device)
        for some in own.split(1 if self.device.type == "cpu" else _VALIDATION_DAYS):
            read = self.read(some, self.training_stations)
            yield read, *self._forward_masked(read, visible, targets)

    @torch.no_grad()
    def _hold_back(self) -> None:
        """Leave of the best weights' departure from the start what the calibration stations bear out, and note it."""
        network = self._network(None)
        network.load_state_dict(self.best)
        stations = np.flatnonzero(self.roles.calibration)
        names = np.arange(len(self.roles.lat)).astype(str) if self.roles.city is None else self.roles.city
        chosen = [choose_share(scores, names[stations]) for scores in self._departure_scores(network, stations)]
        for p, share in enumerate(chosen):
            network.hold_back(p, share)
        self.best = self.averaged_weights()
        self.state["departure"] = dict(zip(self.config.species, chosen, strict=True))

    @torch.no_grad()
    def _keep_the_surer(self, start: dict[str, Tensor]) -> None:
        """Keep what was learned only where the calibration stations are sure that it is better than the start, of which
        that share of the departure from kriging counts that serves them best."""
        stations = np.flatnonzero(self.roles.calibration)
        names = np.arange(len(self.roles.lat)).astype(str) if self.roles.city is None else self.roles.city
        ways = [*(self._with_share(start, share) for share in SHARES), self.best]
        scores = np.stack([self._mean_scores(weights, stations) for weights in ways])
        known = np.isfinite(scores).all(axis=0)
        before = int(scores[:-1, known].mean(axis=1).argmin()) if known.any() else 0
        better = surest(scores[[before, -1]], names[stations]) == 1
        if not better:
            self.best = start
        self.state["went_on"] = LEARNED_HERE if better else BEGAN_WITH

    def _with_share(self, weights: dict[str, Tensor], share: float) -> dict[str, Tensor]:
        for target in range(len(self.scalings)):
            weights = hold_back(weights, target, share)
        return weights

    def _mean_scores(self, weights: dict[str, Tensor], stations: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the mean score of some weights at the calibration stations, over the targets (station,)."""
        network = self._network(None)
        network.load_state_dict(weights)
        there = torch.from_numpy(stations).to(self.device)
        drift, _ = self.drift_and_weights(there)
        totals = np.zeros((2, len(stations)))
        for read, states, neighbourhood in self._left_out():
            for p, scaling in enumerate(self.scalings):
                location, scale, _ = network.estimate_at(states, neighbourhood, p)
                own = None if drift is None else drift[:, p]
                sums = station_scores((location, scale), read.truth[:, there, p].T, scaling, own)
                totals += torch.stack(sums).cpu().numpy()
        return np.where(totals[1] > 0, totals[0] / np.maximum(totals[1], 1), np.nan)

    def _departure_scores(self, network: AQNet, stations: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return mean scores at the calibration stations with each share of the departure (target, share, station)."""
        there = torch.from_numpy(stations).to(self.device)
        drift, _ = self.drift_and_weights(there)
        totals = np.zeros((2, len(self.scalings), len(SHARES), len(stations)))
        for read, states, neighbourhood in self._left_out():
            for p, scaling in enumerate(self.scalings):
                own = None if drift is None else drift[:, p]
                learned = {k: v.clone() for k, v in network.head_out[p].state_dict().items()}
                for i, share in enumerate(SHARES):
                    network.hold_back(p, share)
                    location, scale, _ = network.estimate_at(states, neighbourhood, p)
                    sums = station_scores((location, scale), read.truth[:, there, p].T, scaling, own)
                    totals[:, p, i] += torch.stack(sums).cpu().numpy()
                    network.head_out[p].load_state_dict(learned)
        return np.where(totals[1] > 0, totals[0] / np.maximum(totals[1], 1), np.nan)


def go_on_from(network: AQNet, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a network the weights of another, but for the covariance models, which stay; return a copy of all.

    Raises
    ------
    ModelError
        If they are those of a network of other sizes.
    """
    own = {name: value for name, value in network.state_dict().items() if name in STANDS_ON}
    try:
        network.load_state_dict({**start, **own})
    except RuntimeError:
        raise ModelError(
            "the model to go on from has other sizes, inputs or covariates than this training: leave --config out, and "
            "--set of section model"
        ) from None
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def threads_note(device: torch.device, threads: int) -> str:
    """Return in some words on what a training runs."""
    if device.type != "cpu":
        return f"on {device}"
    return f"on {threads} thread{'s' * (threads != 1)} of the processor; training.threads takes more or fewer"


def _optimiser(network: AQNet, training: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser: what interpolates moves faster than the rest, and no decay draws it anywhere."""
    parts: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in network.named_parameters():
        parts[name.split(".")[0] in _INTERPOLATION].append(parameter)
    groups = [
        {"params": parts[0], "pace": 1.0},
        {"params": parts[1], "pace": _INTERPOLATION_PACE, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, weight_decay=training.weight_decay)
