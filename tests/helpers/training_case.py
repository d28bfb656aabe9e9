"""A small trainer on the case of `model_case`; also a command, of which ``torchrun`` starts several processes.

``python training_case.py FOLDER`` trains whole, and again with an interruption, and leaves what each process has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from model_case import FIRST_HOUR, STATIONS, make_readings, small_config
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from aqreanalysis.model import Scaling
from aqreanalysis.training.distributed import Processes, joined
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.trainer import Trainer
from aqreanalysis.training.windows import Timeline

TRAINING = np.arange(STATIONS) < 15
CALIBRATION = (np.arange(STATIONS) >= 15) & (np.arange(STATIONS) < 18)
ALONE = Processes(torch.device("cpu"))


def make_trainer(*overrides: str, values: NDArray[np.float32] | None = None, processes: Processes = ALONE) -> Trainer:
    """Return a trainer of one pollutant; `values` replace the readings that the scalings are fitted to."""
    config, readings = small_config(*overrides), make_readings()
    scalings = [Scaling.fit(readings.values[:, TRAINING, i]) for i in range(2)]
    timeline = Timeline.build(readings.values if values is None else values, FIRST_HOUR, scalings, [0], config.window)
    places = StationRoles(readings.lat, readings.lon, TRAINING, CALIBRATION)
    return Trainer(config, timeline, places, scalings[:1], processes)


class Stop(Exception):
    """Raised in every process at the same moment, as when a machine goes down."""


def _mean_gradient(processes: Processes, silent: int | None) -> list[float | None]:
    """Return the loss and the gradient of ``(rank + 1) * weight`` over all processes, of which one may be silent."""
    network = nn.Linear(1, 1, bias=False)
    loss = torch.zeros(()) if processes.rank == silent else (processes.rank + 1) * network.weight.sum()
    if loss.requires_grad:
        loss.backward()
    mean = processes.average_gradients(network, loss, loss.requires_grad)
    return [mean is not None, None if network.weight.grad is None else float(network.weight.grad)]


def main(folder: Path) -> None:
    """Leave the weights of both trainings and what else the test looks at, a file of each a process."""
    with joined(torch.device("cpu")) as processes:
        whole = make_trainer("training.epochs=2", processes=processes)
        weights = whole.run(folder / "whole")
        stopped, looks = make_trainer("training.epochs=2", processes=processes), []
        judge = stopped.validate

        def stop_at_the_second() -> float:
            looks.append(1)
            if len(looks) == 2:
                raise Stop
            return judge()

        stopped.validate = stop_at_the_second  # type: ignore[method-assign]
        try:
            stopped.run(folder / "stopped")
        except Stop:
            processes.wait()
        again = make_trainer("training.epochs=2", processes=processes)
        resumed = again.run(folder / "stopped")
        outcome = {
            "count": processes.count,
            "steps": make_trainer("training.steps_per_epoch=null", processes=processes).steps_per_epoch,
            "looks": len(looks),
            "histories": [whole.state["history"], again.state["history"]],
            "both": _mean_gradient(processes, None),
            "one": _mean_gradient(processes, 0),
            "total": processes.total(1.0, processes.rank),
            "first": processes.of_first(7.0 + processes.rank),
        }
    (folder / f"{processes.rank}.json").write_text(json.dumps(outcome))
    save_file(weights, folder / f"{processes.rank}-whole.safetensors")
    save_file(resumed, folder / f"{processes.rank}-resumed.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
