"""Two real processes learn one network: what they average, that they agree, and that they go on after a stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from model_case import SMALL, make_observations, make_readings
from safetensors.torch import load_file
from torch import Tensor
from training_case import ALONE, make_trainer

from aqreanalysis.errors import ConfigError
from aqreanalysis.model import read_bundle
from aqreanalysis.training.distributed import joined

HELPERS = Path(__file__).parent / "helpers"


def torchrun(*command: str | Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Return finished work of two processes on this machine, one thread each."""
    paths = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*start, *map(str, command)], capture_output=True, text=True, timeout=timeout, env=environment
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("two")
    done = torchrun(HELPERS / "training_case.py", where)
    assert done.returncode == 0, done.stderr[-3000:]
    return where


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_every_process_ends_with_the_same_weights(folder: Path) -> None:
    first, second = (load_file(folder / f"{rank}-whole.safetensors") for rank in range(2))
    assert same(first, second)


def test_a_stopped_training_goes_on_to_the_same_weights(folder: Path, outcomes: list[dict[str, Any]]) -> None:
    whole, resumed = (load_file(folder / f"0-{name}.safetensors") for name in ("whole", "resumed"))
    assert same(whole, resumed)
    assert (
        outcomes[0]["looks"] == 2
        and outcomes[0]["histories"][0] == outcomes[0]["histories"][1] == outcomes[1]["histories"][0]
    )


def test_each_process_draws_days_of_its_own(folder: Path, tmp_path: Path) -> None:
    alone = make_trainer("training.epochs=2").run(tmp_path)
    assert not same(alone, load_file(folder / "0-whole.safetensors"))


def test_an_epoch_is_shared_out(outcomes: list[dict[str, Any]]) -> None:
    assert [t["steps"] for t in outcomes] == [3, 3]  # six days, of which each process draws one a step
    assert make_trainer("training.steps_per_epoch=null").steps_per_epoch == 6


def test_gradients_are_averaged_over_the_processes_that_have_any(outcomes: list[dict[str, Any]]) -> None:
    assert [t["both"] for t in outcomes] == [[True, 1.5]] * 2
    assert [t["one"] for t in outcomes] == [[True, 2.0]] * 2  # the first had no target


def test_sums_and_decisions_are_those_of_all(outcomes: list[dict[str, Any]]) -> None:
    assert [t["total"] for t in outcomes] == [[2.0, 1.0]] * 2 and [t["first"] for t in outcomes] == [7.0, 7.0]


def test_a_process_alone_changes_nothing() -> None:
    network = torch.nn.Linear(1, 1)
    loss = 3 * network.weight.sum()
    loss.backward()
    assert float(ALONE.average_gradients(network, loss, True)) == pytest.approx(float(loss.detach()))
    assert ALONE.average_gradients(network, torch.zeros(()), False) is None
    assert (ALONE.seed(1, 2), ALONE.total(1.0, 2.0), ALONE.of_first(4.0)) == ((1, 2), [1.0, 2.0], 4.0)


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with joined(torch.device("cpu")) as processes:
        assert (processes.rank, processes.count, processes.is_first) == (0, 1, True)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"RANK": "2", "LOCAL_RANK": "2", "WORLD_SIZE": "3", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"process 3 on a machine with 2 CUDA device"), joined(torch.device("cuda")):
        pass


@pytest.mark.slow
def test_the_command_trains_under_torchrun_and_only_the_first_process_speaks(tmp_path: Path) -> None:
    records = make_observations(make_readings()).to_netcdf(tmp_path / "obs.nc")
    changes = [text for change in SMALL for text in ("--set", change)]
    out = tmp_path / "model"
    asked = ["train", "--observations", records, "--out", out, "--device", "cpu", *changes]
    done = torchrun("-m", "aqreanalysis.cli", *asked)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [f"model bundle: {out}"]
    assert read_bundle(out).provenance["processes"] == 2
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []
    # Nobody has trained here with one process: what two left would not be gone on with by one.
