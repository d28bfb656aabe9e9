"""A convolutional neural process from DeepSensor: what a researcher would take from a package today.

The optional extra ``deepsensor`` installs it. The network learns from the visible stations alone: of a random hour some
are shown and others, left out as the protocol hides them, are what it must say (mean and standard deviation of the
logarithm). A tenth of the stations it never sees in training; they stop it and size its spread.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ConfigError
from aqreanalysis.evaluation.baselines.base import Baseline, Floats, StationField, subsample
from aqreanalysis.evaluation.baselines.kriging import forward, offsets, project
from aqreanalysis.evaluation.distributions import ShiftedLogNormal

#: Minutes that one pollutant of one protocol may be trained for.
MINUTES = 15.0

_BATCH, _TARGETS = 8, 32
_LEARNING_RATE = 5e-4
_LOOK_EVERY, _LOOK_HOURS, _PATIENCE = 100, 24, 12
#: Shares of the stations that a training task leaves out, at least and at most; of those never trained on.
_LEFT_OUT, _KEPT_BACK = (0.05, 0.3), 0.1
#: Width of a cell of the network's inner grid, and the most cells along the region's longer side.
_CELL_KM, _MOST_CELLS = 20.0, 100
_CHANNELS = (32, 32, 64, 64)
#: Factors of the spread that are tried at the stations kept back.
_FACTORS = np.linspace(0.6, 1.8, 25)


def installed() -> bool:
    """Return whether the package is there."""
    return importlib.util.find_spec("deepsensor") is not None


@dataclass(frozen=True)
class _Frame:
    """Where the stations stand in the network's unit square, and how readings become what it reads and says."""

    stations: StationField
    scale_km: float
    offset: float
    mean: float
    std: float

    @classmethod
    def of(cls, field: StationField) -> _Frame:
        values = field.timeline()[1].values
        offset = offsets(field)[0]
        x, y = project(field, field.lat, field.lon)
        logs = forward(values[np.isfinite(values)].astype(np.float64), offset)
        return cls(field, max(float(np.ptp(x)), float(np.ptp(y)), 1.0), offset, float(logs.mean()), float(logs.std()))

    def unit_square(self, lat: Floats, lon: Floats) -> npt.NDArray[np.float32]:
        """Return coordinates (2, point), about zero; the longer side of the network is one long."""
        return np.stack(project(self.stations, lat, lon)).astype(np.float32) / np.float32(self.scale_km)

    def standardised(self, values: Floats) -> npt.NDArray[np.float32]:
        """Return standardised logarithms of readings."""
        return ((forward(values, self.offset) - self.mean) / self.std).astype(np.float32)


class DeepSensorConvNP(Baseline):
    """DeepSensor's ConvNP (a convolutional conditional neural process), trained in the time it is given.

    Parameters
    ----------
    minutes : float
        Limit of the training of one pollutant in one protocol, wall clock.
    seed : int
        Of weights and of the draw of tasks.

    Raises
    ------
    ConfigError
        If deepsensor is not installed.
    """

    name = "deepsensor"
    title = "DeepSensor ConvNP"

    def __init__(self, minutes: float = MINUTES, seed: int = 0) -> None:
        super().__init__()
        if not installed():
            raise ConfigError(
                "baseline deepsensor: the package is not installed; install it with pip install "
                "'aqreanalysis[deepsensor]', or leave the baseline out"
            )
        self.minutes, self.seed = minutes, seed
        self._model: Any = None
        self._frame: _Frame | None = None
        self._factor = 1.0

    def tune(self, field: StationField) -> dict[str, Any]:
        # Here, because torch takes seconds to import; the second makes it the package's backend.
        import torch

        importlib.import_module("deepsensor.torch")
        self._frame = _Frame.of(field)
        rng = np.random.default_rng(self.seed)
        apart = _held_back(field.groups, rng)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._model = _build(self._frame.scale_km)
            trained = self._train(field, apart, rng)
        sample = field.tuning_sample()
        seen = StationField(field.lat[~apart], field.lon[~apart], sample.values[:, ~apart], field.groups[~apart])
        mean, scale = self._ask(seen, field.lat[apart], field.lon[apart])
        self._factor = _fit_factor(mean, scale, sample.values[:, apart], self._frame.offset)
        answer = ShiftedLogNormal(mean, self._factor * scale, self._frame.offset)
        self._keep_left_out(answer, sample.values[:, apart])
        return trained | {"offset": self._frame.offset, "factor": self._factor, "kept_back": int(apart.sum())}

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> ShiftedLogNormal:
        assert self._frame is not None, "tune() comes first"
        mean, scale = self._ask(field, lat, lon, progress)
        return ShiftedLogNormal(mean, self._factor * scale, self._frame.offset)

    def _train(self, field: StationField, apart: npt.NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Any]:
        """Train until the time is up or the stations kept back gain nothing; keep the best weights."""
        from deepsensor.train import Trainer

        assert self._frame is not None
        began = time.monotonic()
        values = self._frame.standardised(field.timeline()[1].values[:, ~apart].astype(np.float64))
        where = self._frame.unit_square(field.lat[~apart], field.lon[~apart])
        tasks = _tasks(values, where, field.groups[~apart], rng)
        look = self._looks(field, apart)
        trainer = Trainer(self._model, lr=_LEARNING_RATE)
        best, best_step, step = self._score(look), 0, 0
        weights = {k: v.detach().clone() for k, v in self._model.model.state_dict().items()}
        while time.monotonic() - began < 60 * self.minutes and step - best_step < _PATIENCE * _LOOK_EVERY:
            # One after the other: joined into one task (batch_size), contexts of unequal length teach it nothing.
            trainer([next(tasks) for _ in range(_BATCH)])
            step += 1
            if step % _LOOK_EVERY == 0:
                score = self._score(look)
                if score < best:
                    best, best_step = score, step
                    weights = {k: v.detach().clone() for k, v in self._model.model.state_dict().items()}
        self._model.model.load_state_dict(weights)
        return {"steps": step, "best_step": best_step, "best_loss": best, "minutes": (time.monotonic() - began) / 60}

    def _looks(self, field: StationField, apart: npt.NDArray[np.bool_]) -> list[Any]:
        """Return tasks that show all stations but those kept back, which are asked for."""
        assert self._frame is not None
        values = self._frame.standardised(field.tuning_sample(_LOOK_HOURS).values)
        where = self._frame.unit_square(field.lat, field.lon)
        known = np.isfinite(values)
        pairs = [(np.flatnonzero(k & ~apart), np.flatnonzero(k & apart)) for k in known]
        return [_task(where, row, *pair) for row, pair in zip(values, pairs, strict=True) if all(map(len, pair))]

    def _score(self, tasks: list[Any]) -> float:
        """Return the mean negative logarithm of the density at what the tasks ask for."""
        import torch

        with torch.no_grad():
            return float(np.mean([float(self._model.loss_fn(task, normalise=True)) for task in tasks]))

    def _ask(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return location and scale of the shifted logarithm (T, point), NaN at hours without a reading."""
        frame = self._frame
        assert frame is not None
        at, where = frame.unit_square(lat, lon), frame.unit_square(field.lat, field.lon)
        values = frame.standardised(field.values)
        mean, scale = np.full((2, len(values), len(lat)), np.nan)
        for hour, row in enumerate(values):
            known = np.isfinite(row)
            if known.any():
                both = np.concatenate((where[:, known], at), axis=1)
                count = int(known.sum())
                padded = np.concatenate((row[known], np.zeros(len(lat), np.float32)))
                task = _task(both, padded, np.arange(count), count + np.arange(len(lat)))
                answer = self._model(task)
                mean[hour], scale[hour] = self._model.mean(answer).reshape(-1), self._model.std(answer).reshape(-1)
            if progress is not None:
                progress(hour + 1, len(values), self.title)
        return mean * frame.std + frame.mean, scale * frame.std


def _build(scale_km: float) -> Any:
    """Return the untrained network; what is not named here is the package's default."""
    from deepsensor.model import ConvNP

    density = int(np.clip(scale_km / _CELL_KM, 10, _MOST_CELLS))
    return ConvNP(
        dim_x=2,
        dim_yc=(1,),
        dim_yt=1,
        likelihood="cnp",
        internal_density=density,
        encoder_scales=(1 / density,),
        decoder_scale=1 / density,
        unet_channels=_CHANNELS,
    )


def _task(where: Floats, row: Floats, context: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> Any:
    """Return the package's task: readings at `context` shown, those at `targets` asked for."""
    from deepsensor.data.task import Task

    return Task(
        {
            "time": None,
            "X_c": [where[:, context]],
            "Y_c": [row[None, context]],
            "X_t": [where[:, targets]],
            "Y_t": [row[None, targets]],
        }
    )


def _tasks(
    values: npt.NDArray[np.float32], where: Floats, groups: npt.NDArray[np.int64], rng: np.random.Generator
) -> Iterator[Any]:
    """Yield training tasks without end, each of which asks for as many stations as the others."""
    known = np.isfinite(values)
    wanted = min(_TARGETS, max(1, len(groups) // 8))
    usable = np.flatnonzero(known.sum(axis=1) >= 2 * wanted)
    if usable.size == 0:
        raise ConfigError(
            f"baseline deepsensor: no hour has {2 * wanted} readings to learn from; leave the baseline out"
        )
    names = np.unique(groups)
    while True:
        hour = int(rng.choice(usable))
        reporting = np.flatnonzero(known[hour])
        most = max(wanted, rng.uniform(*_LEFT_OUT) * len(reporting))
        out = np.zeros(len(groups), dtype=bool)
        for name in rng.permutation(names):
            out |= groups == name
            if out[reporting].sum() >= most:
                break
        targets, context = reporting[out[reporting]], reporting[~out[reporting]]
        if len(targets) >= wanted and len(context) >= wanted:
            yield _task(where, values[hour], context, rng.permutation(targets)[:wanted])


def _held_back(groups: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return the stations that training never sees (station,): whole groups, about a tenth of all, at least one."""
    apart = np.zeros(len(groups), dtype=bool)
    for name in rng.permutation(np.unique(groups)):
        more = apart | (groups == name)
        if more.sum() <= max(1, 1.5 * _KEPT_BACK * len(groups)):
            apart = more
        if apart.sum() >= _KEPT_BACK * len(groups):
            break
    if not apart.any():
        raise ConfigError("baseline deepsensor: every city holds too many of the stations to keep one back")
    return apart


def _fit_factor(mean: Floats, scale: Floats, observed: Floats, offset: float) -> float:
    """Return the factor of the spread with the least mean CRPS at the stations kept back."""
    few = subsample(np.isfinite(mean) & np.isfinite(observed))
    costs = [float(ShiftedLogNormal(mean[few], f * scale[few], offset).crps(observed[few]).mean()) for f in _FACTORS]
    return float(_FACTORS[int(np.argmin(costs))])
