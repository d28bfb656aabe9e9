"""Bits turned in what the program keeps: each must be found, or change no number; see `Target` and `flip_once`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from attack_case import Assets
from kill_case import JOBS, Job, Whole, make_whole, outputs, prepared, run

#: Of a part that lies open: whose run it is, and a lock that holds nothing.
_EMPTY = ("lock",)


@dataclass(frozen=True)
class Target:
    """Something that is kept.

    Attributes
    ----------
    name : str
        For people.
    make : callable
        Of the assets and a folder: leaves it there.
    files : callable
        The files of it of which a bit is turned.
    check : callable
        Of the assets and the folder: what is wrong after a bit was turned, or nothing.
    """

    name: str
    make: Callable[[Assets, Path], None]
    files: Callable[[Path], list[Path]]
    check: Callable[[Assets, Path], str]


def flip(path: Path, draw: random.Random) -> str:
    """Turn one bit of a file; return where."""
    data = bytearray(path.read_bytes())
    place, bit = draw.randrange(len(data)), draw.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} of {path.name}"


def flip_once(target: Target, assets: Assets, work: Path, draw: random.Random) -> str:
    """Turn a bit of a fresh copy, and return what is wrong with how that ends, or nothing."""
    kept, place = work / target.name.replace(" ", "-"), work / "one"
    if not kept.exists():
        kept.mkdir(parents=True)
        target.make(assets, kept)
    shutil.copytree(kept, place)
    try:
        files = [file for file in target.files(place) if file.stat().st_size]
        where = flip(draw.choice(files), draw)
        fault = target.check(assets, place)
        return f"{where}: {fault}" if fault else ""
    finally:
        shutil.rmtree(place, ignore_errors=True)


def refused(status: int, said: str) -> bool:
    """Tell whether a command ended in one line for the user."""
    lines = [line for line in said.splitlines() if line.startswith("Error:")]
    return status == 2 and len(lines) == 1 and "unexpected" not in said


def _unfinished(job: Job, least: int) -> Target:
    """Return what a run leaves that was killed half way: so many files at least."""
    wholes: dict[str, Whole] = {}

    def make(assets: Assets, place: Path) -> None:
        wholes["it"] = whole = make_whole(job, assets, place.parent / f"{place.name}-whole")
        for tried in range(40):
            shutil.rmtree(place)
            run(job.arguments(assets), prepared(job, assets, place), whole.seconds * (0.1 + 0.02 * tried))
            if len(files(place)) >= least:
                return
        raise AssertionError(f"{job.name} left nothing unfinished")

    def files(place: Path) -> list[Path]:
        parts = [p for p in place.iterdir() if p.name.endswith(".part")]
        return [f for part in parts for f in sorted(part.rglob("*")) if f.is_file() and f.name not in _EMPTY]

    def check(assets: Assets, place: Path) -> str:
        status, said = run(job.arguments(assets), place)
        if refused(status, said):
            return ""
        if status != 0:
            return f"status {status}: {said[-300:]}"
        same = outputs(job, place) == wholes["it"].digests
        return "" if same else "other bytes than of a whole run, and nobody said so"

    return Target(f"unfinished {job.name}", make, files, check)


def _layers(path: Path) -> dict[str, bytes]:
    """Return the values of the layers of a cube, as bytes."""
    with xr.open_dataset(path, engine="zarr" if path.is_dir() else "netcdf4", decode_cf=False) as cube:
        layers = [name for name in cube.data_vars if {"lat", "lon"} <= set(cube[name].dims)]
        return {str(name): np.asarray(cube[name].values).tobytes() for name in layers}


def _finished(kind: str) -> Target:
    """Return a cube of which a bit was turned after it was whole."""
    wanted: dict[str, dict[str, bytes]] = {}

    def source(assets: Assets) -> Path:
        return {"NetCDF": assets.netcdf, "Zarr 2": assets.zarr, "Zarr 3": assets.zarr3}[kind]

    def make(assets: Assets, place: Path) -> None:
        one = source(assets)
        (shutil.copytree if one.is_dir() else shutil.copy)(one, place / one.name)
        wanted["it"] = _layers(one)

    def files(place: Path) -> list[Path]:
        (cube,) = place.iterdir()
        if cube.is_file():
            return [cube]
        layers = [folder for folder in cube.iterdir() if folder.is_dir() and folder.name in wanted["it"]]
        inside = [file for layer in layers for file in sorted(layer.rglob("*")) if file.is_file()]
        return [file for file in inside if not file.name.startswith((".", "zarr"))]  # metadata carry no checksum

    def check(assets: Assets, place: Path) -> str:
        (cube,) = place.iterdir()
        status, said = run(["validate", str(cube), "--no-checker"], place)
        if (status == 1 and "NOT clean" in said) or refused(status, said):
            return ""
        if status != 0:
            return f"status {status}: {said[-300:]}"
        try:
            same = _layers(cube) == wanted["it"]
        except Exception as error:
            return f"called clean, and cannot be read: {error!r}"
        return "" if same else "other values, and called clean"

    return Target(f"finished {kind}", make, files, check)


def _bundle() -> Target:
    def make(assets: Assets, place: Path) -> None:
        shutil.copytree(assets.model, place / "model")

    def check(assets: Assets, place: Path) -> str:
        from aqreanalysis.model import read_bundle

        status, said = run(["info", str(place / "model")], place)
        if refused(status, said):
            return ""
        if status != 0:
            return f"status {status}: {said[-300:]}"
        same = read_bundle(place / "model").digest == read_bundle(assets.model).digest
        return "" if same else "another model, and nobody said so"

    return Target("a bundle", make, lambda place: sorted((place / "model").iterdir()), check)


# What each leaves: a run its ledger, readings and chunks; a training what it is of, its state and a checkpoint.
_RESUMED = {
    "produce zarr": 7,
    "produce netcdf": 7,
    "produce --append zarr": 7,
    "produce --append netcdf": 7,
    "training": 3,
}
TARGETS = [
    *(_unfinished(job, _RESUMED[job.name]) for job in JOBS if job.name in _RESUMED),
    *(_finished(kind) for kind in ("NetCDF", "Zarr 2", "Zarr 3")),
    _bundle(),
]
