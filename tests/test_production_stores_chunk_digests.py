"""A finished cube knows each of its chunks: a damaged one is named, and computed anew alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from production_case import END, GRID, NAMES, START, options_by_kind
from production_processes import digest

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, CubeError, OutputError
from aqreanalysis.production import ProduceOptions, produce, produce_cubes
from aqreanalysis.production.stores.chunk_digests import GROUP, ChunkDigests, damaged_chunks
from aqreanalysis.validation import ValidateOptions, validate

FINE = ProductionConfig(block_days=2, tile_rows=3, tile_columns=4)
OPTIONS = options_by_kind(FINE)
pytestmark = pytest.mark.usefixtures("fixed_clock")


def make(files, out: Path, options: ProduceOptions, end: str = END) -> list[str]:
    said: list[str] = []
    produce(files[0], files[1], GRID, None if options.append else START, end, out, replace(options, say=said.append))
    return said


def flip(out: Path, place: tuple[int, int, int] = (24, 3, 4)) -> None:
    """Flip a bit in the chunk of PM2.5 that begins at a place; of a store, in the first one or else in the last."""
    if out.is_file():
        with h5py.File(out, "r") as file:
            chunk = file["pm2p5"].id.get_chunk_info_by_coord(place)
        at, path = chunk.byte_offset + chunk.size // 2, out
    else:
        path = sorted(
            p for p in (out / "pm2p5").rglob("*") if p.is_file() and p.name[0] != "." and "json" not in p.name
        )[0 if place == (0, 0, 0) else -1]
        at = path.stat().st_size // 2
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 16]))


def findings(out: Path) -> list[str]:
    report = validate(out, ValidateOptions(checker=False))
    return [f.message for f in report.findings if f.rule in ("chunk-digests", "readable")]


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_damaged_chunk_is_named_by_validate_and_repaired_alone(kind, production_files, tmp_path):
    out, options = tmp_path / NAMES[kind], OPTIONS[kind]
    make(production_files, out, options)
    whole = digest(out)
    assert damaged_chunks(out) == [] and findings(out) == []
    repairing = replace(options, repair=True)
    said = make(production_files, out, repairing)
    assert said == [f"{out}: nothing to add and nothing to compute anew"] and digest(out) == whole
    flip(out)
    assert len(damaged_chunks(out) or []) == 1
    named = findings(out)
    assert "the block at from" in named[0] and "pm2p5 there are not what was written" in named[0], named
    computed: list[int] = []
    watched = replace(
        repairing, progress=lambda done, total, note: computed.append(done) if "cell-hours" in note else None
    )
    said = make(production_files, out, watched)
    assert len(said) == 1 and "1 damaged block computed anew" in said[0], said
    assert len(computed) == 1 or kind == "daily"
    assert damaged_chunks(out) == [] and findings(out) == []
    with xr.open_dataset(out) as cube, xr.open_dataset(_fresh(production_files, tmp_path, kind)) as fresh:
        for name in fresh.variables:
            np.testing.assert_array_equal(cube[name].values, fresh[name].values, err_msg=str(name))
        assert "damaged block computed anew" in cube.history


def _fresh(files, folder: Path, kind: str) -> Path:
    out = folder / f"fresh.{NAMES[kind].partition('.')[2]}"
    make(files, out, OPTIONS[kind])
    return out


@pytest.mark.parametrize("kind", ["nc", "zarr", "zarr3"])
def test_a_cube_that_grows_keeps_its_digests_true(kind, production_files, tmp_path):
    out = tmp_path / NAMES[kind]
    make(production_files, out, OPTIONS[kind], "2019-01-05")
    make(production_files, out, replace(OPTIONS[kind], append=True))
    assert damaged_chunks(out) == []
    flip(out)
    assert len(damaged_chunks(out) or []) == 1


@pytest.mark.parametrize("kind", ["nc", "zarr", "zarr3"])
def test_a_damaged_cube_does_not_grow_until_it_is_repaired(kind, production_files, tmp_path):
    out, options = tmp_path / NAMES[kind], OPTIONS[kind]
    make(production_files, out, options, "2019-01-06")
    flip(out, (0, 0, 0))
    before = digest(out)
    with pytest.raises(CubeError, match="not what was written; mend it by produce --repair"):
        make(production_files, out, replace(options, append=True))
    assert digest(out) == before
    shutil.rmtree(out.with_name(f"{out.name}.part"), ignore_errors=True)
    make(production_files, out, replace(options, repair=True), "2019-01-06")
    make(production_files, out, replace(options, append=True))
    assert damaged_chunks(out) == []


@pytest.mark.parametrize("kind", ["nc", "zarr", "zarr3"])
def test_a_cube_that_xarray_has_written_anew_carries_no_digests_and_is_no_worse_for_it(
    kind, production_files, tmp_path
):
    out, copy = tmp_path / NAMES[kind], tmp_path / f"copy{Path(NAMES[kind]).suffix}"
    make(production_files, out, OPTIONS[kind])
    with xr.open_dataset(out) as cube:
        changed = cube.load().assign(pm2p5=cube["pm2p5"] * 2)
        if kind == "nc":
            changed.to_netcdf(copy)
        else:
            for variable in changed.variables.values():
                variable.encoding.clear()
            changed.to_zarr(copy, zarr_format=2)
    assert damaged_chunks(copy) is None and findings(copy) == []
    with pytest.raises(OutputError):
        make(production_files, copy, replace(OPTIONS[kind], repair=True))


def test_a_file_a_month_is_known_and_repaired_by_its_own_chunks(production_files, tmp_path):
    options = replace(OPTIONS["nc"], split="month")
    made = produce_cubes(production_files[0], production_files[1], GRID, (START, END), tmp_path / "x.nc", options)
    (out,) = [Path(str(cube.encoding["source"])) for cube in made.values()]
    for cube in made.values():
        cube.close()
    assert damaged_chunks(out) == []
    flip(out)
    assert "the block at" in findings(out)[0]
    said: list[str] = []
    again = replace(options, repair=True, say=said.append)
    for cube in produce_cubes(
        production_files[0], production_files[1], GRID, (None, END), tmp_path / "x.nc", again
    ).values():
        cube.close()
    assert "1 damaged block computed anew" in said[0] and damaged_chunks(out) == []


def test_a_repair_changes_nothing_else(production_files, tmp_path):
    out = tmp_path / "x.zarr"
    make(production_files, out, OPTIONS["zarr"], "2019-01-05")
    with pytest.raises(OutputError, match="would change more than what is damaged"):
        make(production_files, out, replace(OPTIONS["zarr"], repair=True))
    with pytest.raises(ConfigError, match="repair and overwrite exclude each other"):
        ProduceOptions(repair=True, overwrite=True)


def test_digests_go_through_attributes_whatever_their_number():
    numbers = np.arange(40_000, dtype="<u4").reshape(100, 20, 20)
    digests = ChunkDigests({"pm2p5": (24, 32, 32)}, {"pm2p5": numbers}, 7)
    attrs = digests.attributes
    assert all(len(value) <= 48_000 for value in attrs.values()) and GROUP
    read = ChunkDigests.from_attributes(attrs)
    assert read is not None and read.layout == 7 and read.chunks == digests.chunks
    np.testing.assert_array_equal(read.checksums["pm2p5"], numbers)
    assert ChunkDigests.from_attributes({**attrs, "pm2p5__0": "24x32 3"}) is None
    assert ChunkDigests.from_attributes({}) is None
