"""A bit that flipped between two halves of a run is found, told with its block, and computed again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from production_case import END, GRID, NAMES, START, options_by_kind
from production_processes import digest

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import Interrupted, OutputError
from aqreanalysis.production import ProduceOptions, produce

FINE = ProductionConfig(block_days=1, tile_rows=3, tile_columns=3)
BLOCKS = 4 * 3 * 3
pytestmark = pytest.mark.usefixtures("fixed_clock")

OPTIONS = options_by_kind(FINE)


@pytest.fixture(scope="module")
def case(production_files):
    return production_files


@pytest.fixture(scope="module")
def whole(case, tmp_path_factory) -> Callable[[str], str]:
    """Digest of the cube that an uninterrupted run writes."""
    made: dict[str, str] = {}

    def of(kind: str) -> str:
        if kind not in made:
            out = tmp_path_factory.mktemp(kind) / NAMES[kind]
            produce(case[0], case[1], GRID, START, END, out, OPTIONS[kind]).close()
            made[kind] = digest(out)
        return made[kind]

    return of


def stop_half_way(case, out: Path, options: ProduceOptions, blocks: int = 12) -> Path:
    """Run until some blocks are done, and return the folder of what is unfinished."""

    def progress(done: int, total: int, note: str) -> None:
        if done == blocks:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        produce(case[0], case[1], GRID, START, END, out, replace(options, threads=1, progress=progress))
    return out.with_name(f"{out.name}.part")


def go_on(case, out: Path, options: ProduceOptions) -> tuple[list[str], int]:
    """Finish a run; return what it said, and how many blocks were done before its first."""
    said: list[str] = []
    told: list[int] = []
    options = replace(options, say=said.append, threads=1, progress=lambda done, total, note: told.append(done))
    produce(case[0], case[1], GRID, START, END, out, options).close()
    return said, told[0] - 1


def flip(path: Path, place: int, bit: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_flipped_or_cut_or_missing_chunk_is_told_with_its_block_and_computed_again(kind, case, whole, tmp_path):
    out = tmp_path / NAMES[kind]
    part = stop_half_way(case, out, OPTIONS[kind])
    folder = part / {"nc": "store.chunks", "zarr": "store.zarr", "zarr3": "store.zarr", "daily": "sums.zarr"}[kind]
    layer = "pm25_sums" if kind == "daily" else "pm2p5"
    chunks = sorted(p for p in (folder / layer).rglob("*") if p.is_file() and p.name not in (".zarray", ".zattrs"))
    chunks = [p for p in chunks if p.suffix != ".json"]
    flip(chunks[2], len(chunks[2].read_bytes()) // 2)
    chunks[4].write_bytes(chunks[4].read_bytes()[:-1])
    chunks[6].unlink()
    said, kept_blocks = go_on(case, out, OPTIONS[kind])
    lost = [line for line in said if "is damaged: it is not what was written" in line]
    assert len(lost) == 3 and all(line.startswith("block ") and "columns" in line for line in lost), said
    assert kept_blocks == 12 - 3
    assert digest(out) == whole(kind)


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_anywhere_in_the_ledger_never_makes_a_block_count_that_was_not_computed(
    seed, case, whole, tmp_path
):
    out = tmp_path / "x.zarr"
    part = stop_half_way(case, out, OPTIONS["zarr"])
    ledger = part / "ledger.jsonl"
    rng = np.random.default_rng(seed)
    flip(ledger, int(rng.integers(ledger.stat().st_size)), int(rng.integers(8)))
    said, _ = go_on(case, out, OPTIONS["zarr"])
    assert all("is damaged" in line for line in said)
    assert digest(out) == whole("zarr")


def test_a_ledger_whose_both_first_lines_are_damaged_is_refused_and_no_work_is_thrown_away(case, tmp_path):
    out = tmp_path / "x.zarr"
    part = stop_half_way(case, out, OPTIONS["zarr"])
    ledger = part / "ledger.jsonl"
    first = ledger.read_bytes().index(b"\n") + 1
    flip(ledger, 30)
    flip(ledger, first + 30)
    before = ledger.read_bytes()
    with pytest.raises(OutputError, match="does not say whose work this is: its first lines are damaged"):
        produce(case[0], case[1], GRID, START, END, out, OPTIONS["zarr"])
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("harm", ["flip", "cut", "missing"])
def test_staged_readings_that_were_damaged_are_laid_out_again(harm, case, whole, tmp_path):
    out = tmp_path / "x.zarr"
    part = stop_half_way(case, out, OPTIONS["zarr"])
    readings = part / "readings.npy"
    if harm == "flip":
        flip(readings, 5000)
    elif harm == "cut":
        readings.write_bytes(readings.read_bytes()[:-100])
    else:
        readings.unlink()
    said, kept_blocks = go_on(case, out, OPTIONS["zarr"])
    assert [line for line in said if "readings.npy is damaged: the readings are laid out again" in line]
    assert kept_blocks == 12 and digest(out) == whole("zarr")


def test_saved_states_and_geometry_that_were_damaged_are_made_again(case, whole, tmp_path):
    out = tmp_path / "x.zarr"
    part = stop_half_way(case, out, OPTIONS["zarr"])
    saved = list(part.glob("*.pickle"))
    assert {path.name.partition("-")[0] for path in saved} == {"states", "geometry"}
    for path in saved:
        flip(path, path.stat().st_size * 3 // 4)
    go_on(case, out, OPTIONS["zarr"])
    assert digest(out) == whole("zarr")
