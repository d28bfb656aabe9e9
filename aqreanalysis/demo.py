"""The main job on a synthetic region: nature run -> train -> evaluate -> produce -> score by the truth -> pictures.

Everything is real but the air: the same functions that `aqreanalysis train`, `evaluate` and `produce` call, on the
records that the nature run's network reports, with a chemistry model's field, weather and static fields read from the
files in which users have them. Because the truth is known at every cell and hour, the error of the field can be
measured where no station stands: of AQ-Net with all that, of AQ-Net from stations alone, and of kriging either way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from aqreanalysis.common.files import DEMO_MARKER, check_own_folder, write_json
from aqreanalysis.common.hours import step_ends
from aqreanalysis.common.library_threads import one_thread, threads_restored
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config, load_config
from aqreanalysis.covariates import Covariates
from aqreanalysis.evaluation import (
    EvaluationOptions,
    evaluate,
    format_table,
    picture_field,
    picture_truth,
    score_against_truth,
    truth_table,
)
from aqreanalysis.evaluation.against_truth import CellNetwork, CubeCells
from aqreanalysis.evaluation.baselines import Baseline, OrdinaryKriging, ResidualKriging
from aqreanalysis.evaluation.pictures.fields import picture_methods
from aqreanalysis.model.bundle import MODEL, MODEL_TITLE, read_bundle
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.production import ProduceOptions, open_cube, produce
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH
from aqreanalysis.training import TrainOptions, train

FOLDERS = ("nature", "model", "model_stations_alone", "evaluation", "cube", "pictures")
CUBE_DAYS = 7
#: A GPU would not end with the same weights, and neither would another number of threads.
DEVICE = "cpu"
STEPS = 9
#: What the model reads beside the stations, by its name among the nature run's files.
COVARIATES = {
    "background_grib": "a chemistry model's field, in the layout of the CAMS European ensemble",
    "weather_grib": "weather, in the layout of ERA5",
    "static": "population, roads and works as GeoTIFF",
}
#: What AQ-Net is shown beside, without and with covariates.
BASELINES: tuple[Callable[[], Baseline], ...] = (partial(OrdinaryKriging, "log"), ResidualKriging)
ALONE = "aqnet-stations-alone"

NEXT_COMMAND = (
    "aqreanalysis train --observations YOUR.csv --covariates CAMS.grib --covariates ERA5.grib "
    "--covariates population.tif --out outputs/models/yours    "
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
        ``hidden_stations`` (as of `evaluate`) and ``truth`` (as of `score_against_truth`; among its methods is AQ-Net
        from stations alone).
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

    The steps of training are counted, not timed, and computed on the CPU in one thread: the same seed gives the same
    scores on any machine, but for the last digits on another make of processor.

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
    with threads_restored():
        one_thread()
        region = _make_region(folder, settings, seed, days, progress)
        return _walk(region, settings, progress)


@dataclass(frozen=True)
class _Region:
    """The synthetic region and what a user would have of it, read back from the files.

    Attributes
    ----------
    folder : Path
        Of the demo.
    nature : Nature
    paths : dict of str to Path
        Its files.
    observations : Observations
    covariates : Covariates
    """

    folder: Path
    nature: Nature
    paths: dict[str, Path]
    observations: Observations
    covariates: Covariates

    @property
    def truth(self) -> xr.Dataset:
        """The truth under the keys of pollutants, by which scores and pictures go, not the names of layers."""
        truth = self.nature.truth
        return truth.rename({s.layer: s.key for s in SPECIES.values() if s.layer in truth})

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Start and end of the cubes: whole days that end a day before the records do, so each has its lookahead."""
        times = self.observations.times
        end = times[-1].floor("D") - pd.Timedelta(days=1)
        first = (times[0] - pd.Timedelta(hours=1)).ceil("D")
        return max(first, end - pd.Timedelta(days=CUBE_DAYS)), end


def _make_region(folder: Path, settings: Config, seed: int, days: int, progress: Progress | None) -> _Region:
    nature = nature_run(seed, days, progress=_step(progress, 1, "synthetic region"))
    paths = nature.write(folder / "nature")
    covariates = Covariates.open([paths[name] for name in COVARIATES], settings.covariates)
    return _Region(folder, nature, paths, read_observations(paths["observations"]), covariates)


def _walk(region: _Region, settings: Config, progress: Progress | None) -> Demo:
    """Return what training, evaluation, production, scores and pictures made of a region."""
    folder, observations, covariates = region.folder, region.observations, region.covariates
    bundle, alone = (folder / name for name in ("model", "model_stations_alone"))
    options = TrainOptions(covariates=covariates)
    train(observations, settings, bundle, DEVICE, _step(progress, 2, "training with covariates"), options)
    train(observations, settings, alone, DEVICE, _step(progress, 3, "training from stations alone"))
    evaluation = EvaluationOptions(device=DEVICE, covariates=covariates)
    metrics = evaluate(
        bundle, observations, folder / "evaluation", evaluation, progress=_step(progress, 4, "evaluation")
    )
    cubes = [folder / "cube" / name for name in ("week.nc", "week.zarr", "week_stations_alone.zarr")]
    for number, path in enumerate(cubes):
        whole = path is not cubes[-1]
        made = ProduceOptions(
            device=DEVICE,
            covariates=covariates if whole else None,
            progress=_step(progress, 5 + number, f"cube {path.name}"),
        )
        produce(bundle if whole else alone, observations, region.nature.grid, *region.span, path, made).close()
    against_truth = _score(region, cubes[0], cubes[-1], _step(progress, 8, "every method at every cell"))
    last = _step(progress, 9, "pictures")
    pictures = [_draw_side_by_side(region, key, (cubes[0], cubes[-1]), against_truth[key]) for key in against_truth]
    drawn = [*_draw(region, cubes[0]), _draw_hidden(region, bundle)]
    last(1, 1, "")
    scores = {"hidden_stations": metrics, "truth": against_truth}
    write_json(scores, folder / "scores.json")
    first, end = region.span
    written = {
        region.paths["observations"]: "station records of the synthetic region",
        **{region.paths[name]: what for name, what in COVARIATES.items()},
        region.paths["truth"]: "its truth at every cell and hour",
        bundle: "model bundle; read its MODEL_CARD.md",
        alone: "model bundle from stations alone",
        folder / "evaluation" / "report.html": "scores at hidden stations, with pictures",
        **dict.fromkeys(cubes, f"hourly cube, {first:%Y-%m-%d} to {end:%Y-%m-%d}"),
        **dict.fromkeys(drawn, "picture"),
        folder / "scores.json": "all scores",
        **dict.fromkeys(pictures, "truth, kriging and AQ-Net side by side: look at this one first"),
    }
    return Demo(folder, written, scores, f"{format_table(metrics)}\n\n{truth_table(against_truth).text()}")


def _score(region: _Region, with_all: Path, alone: Path, progress: Progress) -> dict[str, Any]:
    """Return the scores of both cubes and of kriging against the truth, under the methods of `score_against_truth`."""
    population = region.nature.static["population"]
    scores = score_against_truth(
        with_all,
        region.truth,
        observations=region.observations,
        covariates=region.covariates,
        baselines=[make().name for make in BASELINES],
        population=population,
        progress=progress,
    )
    for key, scored in score_against_truth(alone, region.truth, population=population).items():
        methods = scores[key]["methods"]
        methods[MODEL]["title"] = f"{MODEL_TITLE} with all"
        methods[ALONE] = scored["methods"][MODEL] | {"title": f"{MODEL_TITLE} from stations alone"}
    return scores


def _draw_side_by_side(region: _Region, key: str, cubes: tuple[Path, Path], scores: Mapping[str, Any]) -> Path:
    """Draw truth, the chemistry model's field and all methods in the hour with most in the air; return the picture."""
    species = SPECIES[key]
    with open_cube(cubes[0]) as with_all, open_cube(cubes[1]) as alone:
        ends = step_ends(with_all)
        truth = region.truth[key].sel(time=ends)
        stamp = pd.Timestamp(truth["time"].values[int(truth.mean(("lat", "lon")).values.argmax())])
        fields = {
            "truth (synthetic)": truth.sel(time=stamp),
            "chemistry model's field, an input": region.nature.background[species.layer].sel(
                time=stamp, method="bfill"
            ),
        }
        cells = CubeCells.of(with_all, None)
        network = CellNetwork(cells, region.observations, region.covariates)
        kriged = network.samples([make() for make in BASELINES], key, cells.truth_of(truth, with_all), None)
        of_model = {ALONE: alone, MODEL: with_all}
        answers = {name: truth.copy(data=sample.best.reshape(truth.shape)) for name, sample in kriged.items()}
        answers |= {name: cube[species.layer].assign_coords(time=ends) for name, cube in of_model.items()}
        for method, answer in answers.items():
            title, overall = (scores["methods"][method][name] for name in ("title", "overall"))
            name = f"{title}: MAE {overall['mae']:.1f}, R2 {overall['r2']:.2f}"
            fields[name] = answer.sel(time=stamp).load()
    title = f"{species.title}, hour ending {stamp:%Y-%m-%d %H:%M} UTC (synthetic); scores of the week"
    path = region.folder / "pictures" / f"{species.layer}_side_by_side.png"
    path.parent.mkdir(exist_ok=True)
    return picture_methods(fields, region.observations, species, title, path)


def _prepare(out: Path, overwrite: bool) -> Path:
    """Return the empty folder of a demo: what an earlier one wrote goes if told, anything else is left alone."""
    check_own_folder(out, DEMO_MARKER, "demo", overwrite)
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    # First of all, so that a demo that was stopped is known for one.
    write_json({"made by": "aqreanalysis demo", "synthetic": True}, out / DEMO_MARKER)
    return out


def _draw(region: _Region, path: Path) -> list[Path]:
    """Draw each pollutant of a cube at its most polluted hour and at its middle one; return the pictures."""
    folder = region.folder / "pictures"
    folder.mkdir(exist_ok=True)
    drawn = []
    with open_cube(path) as cube:
        for species in (s for s in SPECIES.values() if s.layer in cube.data_vars):
            level = cube[species.layer].mean(("lat", "lon")).values
            for name, index in (("peak", int(np.nanargmax(level))), ("middle", len(level) // 2)):
                time = step_ends(cube)[index]
                field, difference = (folder / f"{species.layer}_{name}_{kind}.png" for kind in ("field", "truth"))
                drawn.append(picture_field(cube, region.observations, (), time, field, species.key))
                drawn.append(picture_truth(cube, region.truth[species.key], time, difference))
    return drawn


def _draw_hidden(region: _Region, bundle: Path) -> Path:
    """Draw a field made without the hidden stations, with their readings on it; return the picture."""
    observations, end = region.observations, region.span[1]
    stations = read_bundle(bundle).stations
    hidden = {str(s) for s in stations.loc[stations["role"].isin([HIDDEN_TENTH, HIDDEN_CITY]), "station"]}
    visible = observations.select(stations=[s for s in observations.stations if s not in hidden])
    path = region.folder / "cube" / "without_hidden_stations.zarr"
    day = end - pd.Timedelta(days=1), end
    options = ProduceOptions(device=DEVICE, covariates=region.covariates)
    with produce(bundle, visible, region.nature.grid, *day, path, options) as cube:
        time = step_ends(cube)[8]
        picture = region.folder / "pictures" / "hidden_stations.png"
        return picture_field(cube, observations, hidden, time, picture)


def _step(progress: Progress | None, number: int, name: str) -> Progress:
    """Return the progress of one step out of `STEPS`, told under its number and name."""

    def tell(done: int, total: int, note: str) -> None:
        if progress is not None:
            progress(done, total, f"{number}/{STEPS} {name}{': ' + note if note else ''}")

    tell(0, 1, "")
    return tell
