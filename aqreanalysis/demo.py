"""The main job on a synthetic region: nature run -> train -> evaluate -> produce -> score by the truth -> pictures.

Everything is real but the air: the same functions that `aqreanalysis train`, `evaluate` and `produce` call, on the
records that the nature run's network reports. Because the truth is known at every cell and hour, the error of the
field can be measured where no station stands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import load_config
from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation import (
    evaluate,
    format_table,
    picture_field,
    picture_truth,
    score_against_truth,
)
from aqreanalysis.evaluation.tables import aligned
from aqreanalysis.grids import load_grid
from aqreanalysis.model.bundle import read_bundle
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.production import ProduceOptions, open_cube, produce
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH
from aqreanalysis.training import train

MARKER = "demo.json"
FOLDERS = ("nature", "model", "evaluation", "cube", "pictures")
CUBE_DAYS = 7
STEPS = 6

NEXT_COMMAND = (
    "aqreanalysis train --observations YOUR.csv --out outputs/models/yours    "
    "(columns station_id,time,lon,lat,pm25; others: see README.md)"
)


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes
    ----------
    out : Path
        The folder.
    written : dict of Path to str
        What was written, and what it is.
    scores : dict
        ``hidden_stations`` (as of `evaluate`) and ``truth`` (as of `score_against_truth`).
    table : str
        Both as text.
    next_command : str
        What to try with one's own data.
    """

    out: Path
    written: dict[Path, str]
    scores: dict[str, Any]
    table: str
    next_command: str = NEXT_COMMAND


def run_demo(
    out: str | Path,
    *,
    config: str | Path | Mapping[str, Any] = "demo",
    seed: int = 0,
    days: int = 60,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demo:
    """Return what the whole way on the synthetic region made; everything lies in `out` and says that it is synthetic.

    Parameters
    ----------
    out : str or Path
        Folder; made if it is not there.
    config : str, Path or mapping
        As of `load_config`.
    seed, days : int
        Of the nature run; the cube covers the last whole days, at most a week.
    overwrite : bool
        Replace what an earlier demo wrote into `out`.
    progress : callable, optional
        ``progress(done, total, note)``; begins anew with each step.

    Raises
    ------
    OutputError
        If `out` holds an earlier demo and `overwrite` is not set, or holds anything else.
    """
    folder = _prepare(Path(out), overwrite)
    settings = load_config(config)
    nature = nature_run(seed, days, progress=_step(progress, 1, "synthetic region"))
    paths = nature.write(folder / "nature")
    # Read back, as a user's file is.
    observations = read_observations(paths["observations"])
    bundle = train(observations, settings, folder / "model", progress=_step(progress, 2, "training"))
    metrics = evaluate(bundle, observations, folder / "evaluation", progress=_step(progress, 3, "evaluation"))
    span = _week(observations.times)
    cubes = [folder / "cube" / f"week.{suffix}" for suffix in ("nc", "zarr")]
    for number, path in enumerate(cubes):
        options = ProduceOptions(progress=_step(progress, 4 + number, f"cube {path.suffix}"))
        produce(bundle, observations, nature.grid, *span, path, options).close()
    last = _step(progress, 6, "scores and pictures")
    # The truth comes under the names of the layers, the scores and pictures go by the keys.
    truth = nature.truth.rename({s.layer: s.key for s in SPECIES.values() if s.layer in nature.truth})
    against_truth = score_against_truth(cubes[0], truth)
    pictures = [*_draw(cubes[0], observations, truth, folder), _draw_hidden(bundle, observations, span[1], folder)]
    last(1, 1, "")
    scores = {"hidden_stations": metrics, "truth": against_truth}
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    written = {
        paths["observations"]: "station records of the synthetic region",
        paths["truth"]: "its truth at every cell and hour",
        bundle: "model bundle; read its MODEL_CARD.md",
        folder / "evaluation" / "report.html": "scores at hidden stations, with pictures",
        **dict.fromkeys(cubes, f"hourly cube, {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}"),
        **dict.fromkeys(pictures, "picture"),
        folder / "scores.json": "all scores",
    }
    return Demo(folder, written, scores, f"{format_table(metrics)}\n\n{format_truth(against_truth)}")


def format_truth(scores: Mapping[str, Any]) -> str:
    """Return the scores of `score_against_truth` as a plain table, one row a class of distance."""
    columns = {"mae": "{:.2f}", "rmse": "{:.2f}", "r2": "{:.3f}", "bias": "{:+.2f}", "coverage": "{:.3f}"}
    header = ["pollutant", "cells by nearest station", "cell-hours", "MAE", "RMSE", "R2", "bias", "coverage"]
    rows = [
        [
            f"{SPECIES[key].title} ({of_species['units']})",
            name,
            str(s["n"]),
            *("-" if s[column] is None else form.format(s[column]) for column, form in columns.items()),
        ]
        for key, of_species in scores.items()
        for name, s in {"all": of_species["overall"], **of_species["by_distance"]}.items()
    ]
    lines = ["against the truth at every cell and hour of the cube:", *aligned(header, rows, left=2)]
    lines.append("(the interval is meant for a station's reading, which differs from the mean of its cell)")
    return "\n".join(lines)


def _prepare(out: Path, overwrite: bool) -> Path:
    """Return the empty folder of a demo: what an earlier one wrote goes if told, anything else is left alone."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: choose another --out")
    held = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if held and MARKER not in held:
        raise OutputError(f"{out} holds {held[0]!r}, which is of no demo: choose another --out")
    if held and not overwrite:
        raise OutputError(f"{out} holds an earlier demo: choose another --out or replace it with --overwrite")
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    # First of all, so that a demo that was stopped is known for one.
    (out / MARKER).write_text(json.dumps({"made by": "aqreanalysis demo", "synthetic": True}) + "\n", encoding="utf-8")
    return out


def _week(times: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return start and end of the cube: whole days that end a day before the records do, so each has its lookahead."""
    end = times[-1].floor("D") - pd.Timedelta(days=1)
    first = (times[0] - pd.Timedelta(hours=1)).ceil("D")
    return max(first, end - pd.Timedelta(days=CUBE_DAYS)), end


def _draw(path: Path, observations: Observations, truth: xr.Dataset, out: Path) -> list[Path]:
    """Draw each pollutant of a cube at its most polluted hour and at its middle one; return the pictures."""
    folder = out / "pictures"
    folder.mkdir()
    drawn = []
    with open_cube(path) as cube:
        for species in (s for s in SPECIES.values() if s.layer in cube.data_vars):
            level = cube[species.layer].mean(("lat", "lon")).values
            for name, index in (("peak", int(np.nanargmax(level))), ("middle", len(level) // 2)):
                time = cube["time"].values[index]
                field, difference = (folder / f"{species.layer}_{name}_{kind}.png" for kind in ("field", "truth"))
                drawn.append(picture_field(cube, observations, (), time, field, species.key))
                drawn.append(picture_truth(cube, truth[species.key], time, difference))
    return drawn


def _draw_hidden(bundle: Path, observations: Observations, end: pd.Timestamp, out: Path) -> Path:
    """Draw a field made without the hidden stations, with their readings on it; return the picture."""
    stations = read_bundle(bundle).stations
    hidden = {str(s) for s in stations.loc[stations["role"].isin([HIDDEN_TENTH, HIDDEN_CITY]), "station"]}
    visible = observations.select(stations=[s for s in observations.stations if s not in hidden])
    path = out / "cube" / "without_hidden_stations.zarr"
    with produce(bundle, visible, load_grid("nature-0.1"), end - pd.Timedelta(days=1), end, path) as cube:
        time = cube["time"].values[8]
        return picture_field(cube, observations, hidden, time, out / "pictures" / "hidden_stations.png")


def _step(progress: Progress | None, number: int, name: str) -> Progress:
    """Return the progress of one step out of `STEPS`, told under its number and name."""

    def tell(done: int, total: int, note: str) -> None:
        if progress is not None:
            progress(done, total, f"{number}/{STEPS} {name}{': ' + note if note else ''}")

    tell(0, 1, "")
    return tell
