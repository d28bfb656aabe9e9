"""Tests of `aqreanalysis.production.execute.kept`: station states come back as they were, or are made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from production_case import END, GRID, START
from production_processes import digest, kill, start, wait_for_blocks

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.model.network.aqnet import StationStates
from aqreanalysis.model.predictor import EncodedAnalysis
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.execute import worker as engine
from aqreanalysis.production.execute.kept import KEPT, KeptStates
from aqreanalysis.production.sweep import BlockStates

FINE = ProductionConfig(block_days=1, tile_rows=3, tile_columns=3)


def states(seed: int = 0, wrap=lambda tensor: tensor) -> BlockStates:
    draw = torch.Generator().manual_seed(seed)
    # Not contiguous, as a model may leave them.
    parts = [wrap(torch.randn(5, 24, 2, generator=draw).transpose(0, 1)) for _ in range(5)]
    member = StationStates(*parts)
    encoded = EncodedAnalysis([member, member], np.arange(24, dtype=np.int64))
    return BlockStates(encoded, (0, 24), {"pm25": np.arange(24, dtype=np.int8)})


def refuse() -> BlockStates:
    raise AssertionError("made again")


def check_fingerprint(found: BlockStates, wanted: BlockStates) -> None:
    assert found.steps == wanted.steps and found.states.members[0].fields is None
    np.testing.assert_array_equal(found.states.hours, wanted.states.hours)
    np.testing.assert_array_equal(found.hour_flags["pm25"], wanted.hour_flags["pm25"])
    for ours, theirs in zip(found.states.members, wanted.states.members, strict=True):
        for name in ("bands", "trends", "channels", "observed", "clock"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_what_was_kept_comes_back_bit_by_bit_and_lies_in_memory_as_it_did(tmp_path: Path) -> None:
    kept = KeptStates(tmp_path / "states", "run")
    assert not kept.hold((0, 24))
    made = kept.get((0, 24), states)
    assert kept.hold((0, 24))
    check_fingerprint(made, states())
    read = kept.get((0, 24), refuse)
    check_fingerprint(read, states())
    for ours, theirs in zip(read.states.members, made.states.members, strict=True):
        assert ours.bands.stride() == theirs.bands.stride() and ours.bands.is_contiguous()


@pytest.mark.parametrize("damage", ["empty", "cut", "longer", "flipped", "no header", "other class"])
def test_a_damaged_file_is_made_again(damage: str, tmp_path: Path) -> None:
    kept = KeptStates(tmp_path / "states", "run")
    kept.get((0, 24), states)
    (path,) = (tmp_path / "states").iterdir()
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "cut": whole[:-100],
        "longer": whole + b"0",
        "flipped": whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:],
        "no header": b"\xff" + whole,
        "other class": whole.replace(b"BlockStates", b"SweepInputs"),
    }[damage]
    assert broken != whole
    path.write_bytes(broken)
    check_fingerprint(kept.get((0, 24), lambda: states(1)), states(1))
    check_fingerprint(kept.get((0, 24), refuse), states(1))


def test_states_of_another_run_or_other_hours_are_not_taken(tmp_path: Path) -> None:
    KeptStates(tmp_path / "states", "run").get((0, 24), states)
    check_fingerprint(KeptStates(tmp_path / "states", "other").get((0, 24), lambda: states(1)), states(1))
    check_fingerprint(KeptStates(tmp_path / "states", "other").get((0, 48), lambda: states(2)), states(2))


def test_only_the_last_time_blocks_are_kept(tmp_path: Path) -> None:
    kept = KeptStates(tmp_path / "states", "run")
    for day in range(KEPT + 3):
        kept.get((24 * day, 24 * day + 24), states)
    names = sorted(path.name for path in (tmp_path / "states").iterdir())
    assert len(names) == KEPT and names[-1].startswith(f"{24 * (KEPT + 2):09d}")


def test_what_is_not_known_here_is_not_kept(tmp_path: Path) -> None:
    kept = KeptStates(tmp_path / "states", "run")
    made = states(wrap=lambda tensor: tensor.to_sparse())
    assert kept.get((0, 24), lambda: made) is made
    assert KeptStates(None, "run").get((0, 24), lambda: made) is made
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "states").write_text("in the way")
    check_fingerprint(KeptStates(tmp_path / "states", "run").get((0, 24), states), states())


@pytest.mark.usefixtures("fixed_clock")
@pytest.mark.parametrize("damaged", [False, True])
def test_a_run_that_goes_on_reads_its_states_and_ends_with_the_same_bytes(
    damaged: bool, production_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, out, times = ProduceOptions(production=FINE), tmp_path / "x.zarr", []
    produce(*production_files, GRID, START, END, tmp_path / "whole.zarr", options).close()
    process = start(production_files, out)
    wait_for_blocks(process, out, 1)
    kill(process)
    kept = sorted((tmp_path / "x.zarr.part" / "states").glob("*.states"))
    assert kept
    if damaged:
        for path in kept:
            path.write_bytes(path.read_bytes()[:-1])
    for name in ("encode_time_block", "encode_part"):
        real = getattr(engine, name)

        def encode(inputs: object, time: tuple[int, int], *more: object, real: Callable[..., object] = real) -> object:
            times.append(time[0])
            return real(inputs, time, *more)

        monkeypatch.setattr(engine, name, encode)
    produce(*production_files, GRID, START, END, out, options).close()
    assert (int(kept[0].name[:9]) in times) == damaged
    assert digest(out) == digest(tmp_path / "whole.zarr")
