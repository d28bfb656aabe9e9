"""What attacks are built from: names, tables, cubes and bundles as a stranger would send them, and the list of all."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from attack_case import Assets, Attack, Command

#: More than any interpreter follows, and less than 300 kB.
DEEP = 120_000
#: Sets a terminal's title, turns a text round, rings, and clears the screen.
ESCAPES = "\x1b]0;owned\x07\u202e\x9b2J"
#: What a spreadsheet runs, and what a page runs.
FORMULA = '=HYPERLINK("http://attacker","click")'
MARKUP = "</script><script>alert(1)</script><!--&]]>"
BOX = "116,39,118,40.5@0.25"
SPAN = ["--start", "2019-01-03", "--end", "2019-01-04"]
SPARSE_BYTES = 20 << 30

#: A name that NetCDF allows: it turns text round and clears the screen.
STRANGE_NAME = "v\u202e\u2066\x9b2J"
#: Commands that read a cube, and what they need besides it.
WRITERS: dict[str, Command] = {
    "info": [],
    "validate": [],
    "plot": ["--mean", "--out", "out.png"],
    "view": ["--out", "out.html"],
    "style": ["--out", "out"],
    "export cog": ["--out", "out"],
    "export aggregate": ["--statistic", "aqi", "--out", "out.nc"],
    "export netcdf": ["--out", "out"],
    "export stac": ["--out", "out"],
    "export grib": ["--species", "pm25", "--out", "out.grib2"],
    "export points": ["--places", "p.csv", "--out", "out.csv"],
}
ATTACKS: list[Attack] = []
Prepare = Callable[[Assets, Path], Command]


def all_attacks() -> list[Attack]:
    """Return every attack that there is, by kind."""
    for name in ("attack_texts", "attack_sizes"):  # each puts its own into the list
        importlib.import_module(name)
    return ATTACKS


def attack(
    kind: str, name: str, harmless: bool = False, look: Callable[[Path], str] | None = None
) -> Callable[[Prepare], Prepare]:
    """Register the function below as the preparation of an attack."""

    def add(prepare: Prepare) -> Prepare:
        ATTACKS.append(Attack(kind, name, prepare, harmless, look))
        return prepare

    return add


def deep_json(opening: str = "[", closing: str = "]", core: str = "1") -> str:
    """Return JSON that is nested deeper than a parser that calls itself can follow."""
    return opening * DEEP + core + closing * DEEP


def table(path: Path, **columns: Any) -> Path:
    """Write a CSV of two days of two stations, with other values or other columns."""
    hours = pd.date_range("2019-01-02", periods=48, freq="h")
    frame = pd.DataFrame(
        {
            "station_id": np.repeat(["a", "b"], 48),
            "time": np.tile(hours.strftime("%Y-%m-%dT%H:%M:%SZ"), 2),
            "lat": np.repeat([39.5, 40.0], 48),
            "lon": np.repeat([117.0, 117.5], 48),
            "pm25": np.tile(np.arange(48) % 17 + 5.0, 2),
        }
    )
    for name, value in columns.items():
        frame[name] = value
    frame.to_csv(path, index=False)
    return path


def places(path: Path, names: list[str]) -> Path:
    """Write a CSV of places."""
    pd.DataFrame({"place": names, "lat": 39.5 + 0.1 * np.arange(len(names)), "lon": 117.0}).to_csv(path, index=False)
    return path


def sparse(path: Path, head: bytes = b"") -> Path:
    """Write a file of 20 GB of which nothing is on the disk but its beginning."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(SPARSE_BYTES)
    return path


def copied(source: Path, to: Path) -> Path:
    """Return a copy of a file or folder."""
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy(source, to)
    return to


def signed(bundle: Path) -> Path:
    """Give a bundle that was altered the digests that fit, as whoever alters one would."""
    record = bundle / "provenance.json"
    provenance = json.loads(record.read_text())
    digests = {n: hashlib.sha256((bundle / n).read_bytes()).hexdigest() for n in provenance["files_sha256"]}
    from aqreanalysis.model import bundle as reader

    provenance |= {"files_sha256": digests, "model_digest": reader._model_digest(digests)}
    record.write_text(json.dumps(provenance))
    return bundle


def produce(model: Path, observations: Path, out: str = "out.nc", *more: str) -> Command:
    """Return the command that makes a cube."""
    return [
        *("produce", "--model", str(model), "--observations", str(observations), "--grid", BOX),
        *(*SPAN, "--out", out, *more),
    ]


def with_attributes(cube: Path, **attributes: Any) -> Path:
    """Change attributes of a NetCDF cube: its own, or ``NAME__ATTRIBUTE`` of a variable."""
    with netCDF4.Dataset(cube, "a") as file:
        for name, value in attributes.items():
            variable, _, attribute = name.rpartition("__")
            (file[variable] if variable else file).setncattr(attribute, value)
    return cube
