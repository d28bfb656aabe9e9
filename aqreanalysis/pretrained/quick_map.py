"""From one's own station file to a map with its interval and a verdict on it: what `aqreanalysis map` does.

Check, calibrate the pretrained model, produce, score it beside kriging at every station left out in folds, draw. The
cube comes before the scores: what is wrong with grid or timeline is said before the long work of the folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import already_exists
from aqreanalysis.evaluation.tables import Table, score_table
from aqreanalysis.export import CubeSource
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.observations import Observations
from aqreanalysis.pictures import MapOptions, draw_map, station_markers
from aqreanalysis.pretrained.own_model import (
    NO_FIELDS,
    Fields,
    check_stations_to_score,
    measured_widely,
    model_beside,
    of_this_network,
    score_quickly,
)
from aqreanalysis.production import ProduceOptions, open_cube, produce
from aqreanalysis.production.plan import Moment
from aqreanalysis.production.plan.checks import check_grid_reach

EVALUATION = ".evaluation"
#: Opens the display of a step's progress, by the step's name.
Shown = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class QuickMap:
    """What was made.

    Attributes
    ----------
    cube, model, evaluation : Path
        The cube, the bundle it was made with, the folder of the scores.
    pictures : dict
        Pollutant -> a picture of its mean and of its interval's width.
    table : Table
        Scores at every station left out.
    verdict : str
    """

    cube: Path
    model: Path
    evaluation: Path
    pictures: dict[str, Path]
    table: Table
    verdict: str


def quick_map(
    observations: Observations,
    grid: Grid | str | Path,
    timeline: tuple[Moment, Moment],
    out: str | Path,
    options: ProduceOptions,
    shown: Shown,
    fields: Fields = NO_FIELDS,
) -> QuickMap:
    """Make the map of a network, its scores, its verdict and its pictures, all of them beside `out`.

    Parameters
    ----------
    observations : Observations
        Records of the network.
    grid : Grid, str or Path
        As of `load_grid`.
    timeline : tuple
        Start and end, UTC.
    out : str or Path
        The cube, ``.nc`` or ``.zarr``.
    options : ProduceOptions
        Of the cube; its pollutants are those that are scored.
    shown : callable
        Opens the display of a step's progress.
    fields : Fields
        Covariates and static fields, of the model, its scores and the cube.

    Raises
    ------
    AqreanalysisError
        As of the steps: too few stations, no common pollutant, a grid far away, an output that exists.
    """
    out, grid = Path(out), load_grid(grid)
    evaluation = out.with_name(out.name + EVALUATION)
    check_stations_to_score(observations)
    wanted = measured_widely(observations, options.species or ())
    stopped = out.exists() and not options.overwrite
    if stopped and not _was_stopped(out, wanted, timeline):
        raise already_exists(out)
    check_grid_reach(grid, observations, (options.production or ProductionConfig()).max_distance_km)
    with shown("calibrating") as progress:
        model = of_this_network(observations, model_beside(out), wanted, progress=progress, fields=fields).folder
    with shown("producing") as progress:
        chosen = replace(options, species=wanted, progress=progress)
        # A cube that was finished by a run that was stopped after it is checked, and left alone, as one to append to.
        append = stopped and not out.with_name(f"{out.name}.part").exists()
        chosen = replace(chosen, covariates=fields.covariates, static=fields.static, append=append)
        produce(model, observations, grid, *timeline, out, chosen).close()
    with shown("evaluating") as progress:
        metrics = score_quickly(observations, evaluation, wanted, True, progress, fields)
    pictures = {key: _picture(out, key, observations) for key in wanted}
    return QuickMap(out, model, evaluation, pictures, score_table(metrics), metrics["verdict"])


def _was_stopped(out: Path, species: Sequence[str], timeline: tuple[Moment, Moment]) -> bool:
    """Return whether a cube is of a run over the same time that was stopped before its pictures, which come last."""
    if not model_beside(out).exists() or all(_picture_of(out, key).exists() for key in species):
        return False
    with open_cube(out) as cube:
        held = [pd.to_datetime(str(cube.attrs.get(f"time_coverage_{end}", "")), utc=True) for end in ("start", "end")]
    return held == [pd.to_datetime(moment, utc=True) for moment in timeline]


def _picture_of(cube: Path, key: str) -> Path:
    """Return the path of the picture of a pollutant."""
    return cube.with_name(f"{cube.stem}_{key}.png")


def _picture(cube: Path, key: str, observations: Observations) -> Path:
    """Draw the mean of a pollutant and of the width of its interval, with the stations; return the picture."""
    path = _picture_of(cube, key)
    with CubeSource(cube, (key,)) as source:
        marks = station_markers(None, observations)
        return draw_map(source, path, MapOptions(layers=("best", "width"), overwrite=True), marks)


def described(made: QuickMap) -> Mapping[str, Any]:
    """Return what was made as plain values."""
    pictures = {key: str(path) for key, path in made.pictures.items()}
    return {
        "cube": str(made.cube),
        "model": str(made.model),
        "evaluation": str(made.evaluation),
        "pictures": pictures,
        "verdict": made.verdict,
    }
