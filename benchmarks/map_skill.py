"""Skill of the map: every cell and hour of nature runs, whose truth is known, by AQ-Net and by what it stands beside.

    python benchmarks/map_skill.py [--seeds 0 1 2 3 4] [--species pm25] [--config demo] [--work DIR]

For each seed a nature run writes its station records, a wrong model's field, the weather and the static fields as
files; AQ-Net is trained from all of them and from the stations alone, and the model that comes with the package is
calibrated with all of them without a training. Each sweeps the last week, and is held against the truth, beside every
baseline that was given the same; residual kriging also on the fields as the files have them, without those that are
made here of wind and rain. Scores of a seed are kept in the work folder, so that a run that
was stopped goes on. Writes benchmarks/results/map_skill.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import rioxarray
import xarray as xr

from aqreanalysis.configs import Config, load_config
from aqreanalysis.covariates import Covariates
from aqreanalysis.evaluation import score_against_truth
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.pretrained.own_model import Fields, of_this_network
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.species import SPECIES
from aqreanalysis.training import TrainOptions, train

RESULTS = Path(__file__).parent / "results"
MODEL, ALONE, RESIDUAL, KRIGING = "aq-net", "aq-net alone", "residual-kriging", "log-kriging"
CALIBRATED = "aq-net calibrated"
# Residual kriging on the fields as the files have them, as the EEA does it: without what is made of wind and rain.
PLAIN = "residual-kriging, files' fields"
# No method, but what AQ-Net expects where its estimate is the median.
EXPECTATION = "expectation"
DAYS = 7


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--species", nargs="+", default=["pm25"], help="each trained by itself")
    parser.add_argument("--config", default="demo")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--stations", type=int, default=80)
    parser.add_argument("--set", action="append", default=[], help="as of aqreanalysis train", metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, default=None, help="where files and scores are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        lines = [
            line for key in given.species for line in report(key, {s: scores(work, s, key, given) for s in given.seeds})
        ]
    stations = "" if given.stations == 80 else f" --stations {given.stations}"
    more = "".join(f" --set {one}" for one in given.set)
    command = (
        f"python benchmarks/map_skill.py --seeds {' '.join(map(str, given.seeds))} --species {' '.join(given.species)}"
    )
    head = ["# Skill of the map, where the truth is known everywhere", "", f"`{command}{stations}{more}`", ""]
    text = "\n".join([*head, *lines])
    (RESULTS / "map_skill.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text)


def scores(work: Path, seed: int, key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of one seed and pollutant by method; those that the work folder has are not made again."""
    parts = {}
    for name, part in (("all", scores_with_all), ("alone", scores_alone), ("calibrated", scores_calibrated)):
        path = work / f"scores-{seed}-{key}-{given.stations}-{name}.json"
        if not path.exists():
            path.write_text(json.dumps(part(work, seed, key, given), indent=1) + "\n", encoding="utf-8")
        parts |= json.loads(path.read_text(encoding="utf-8"))
    return parts


def scores_with_all(work: Path, seed: int, key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of AQ-Net from all that there is, and of the baselines."""
    nature = NatureFiles.of(work, seed, key, given)
    cube = cube_of(work, trained(work, nature, nature.covariates), nature, nature.covariates)

    def against_truth(covariates: Covariates, baselines: list[str] | None = None) -> dict[str, Any]:
        shown = {"observations": nature.observations, "covariates": covariates, "baselines": baselines}
        return dict(score_against_truth(cube, nature.truth, population=nature.population, **shown)[key])

    whole = against_truth(nature.covariates)
    plain = against_truth(nature.covariates.as_read(), [RESIDUAL])["methods"][RESIDUAL]
    titled = {PLAIN: plain | {"title": "residual kriging on the files' own fields"}}
    return whole["methods"] | titled | {EXPECTATION: whole["expectation"]}


def scores_alone(work: Path, seed: int, key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of AQ-Net from the stations alone."""
    nature = NatureFiles.of(work, seed, key, given)
    return {ALONE: truth_scores(work, trained(work, nature, None), nature, None, key, "AQ-Net from the stations alone")}


def scores_calibrated(work: Path, seed: int, key: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of the model that comes with the package, calibrated with all that there is."""
    nature, bundle = NatureFiles.of(work, seed, key, given), work / "calibrated"
    shutil.rmtree(bundle, ignore_errors=True)
    of_this_network(nature.observations, bundle, (key,), fields=Fields(nature.covariates))
    title = "AQ-Net of the package, calibrated with all, not trained"
    return {CALIBRATED: truth_scores(work, bundle, nature, nature.covariates, key, title)}


@dataclass(frozen=True)
class NatureFiles:
    """What a nature run gives a user, read from its files, and its truth.

    Attributes
    ----------
    config : Config
    observations : Observations
    covariates : Covariates
    truth : Dataset
    population : DataArray
        People a square kilometre at the cells.
    """

    config: Config
    observations: Observations
    covariates: Covariates
    truth: xr.Dataset
    population: xr.DataArray

    @classmethod
    def of(cls, work: Path, seed: int, key: str, given: argparse.Namespace) -> NatureFiles:
        """Return the run of a seed; its files are written if the work folder has none."""
        folder = work / f"nature-{seed}-{given.stations}"
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            nature_run(seed, given.days, given.stations).write(folder)
            (folder / "done").touch()
        config = load_config(given.config, [f"species=[{key}]", f"inputs=[{key}]", *given.set])
        files = [folder / "weather.grib", folder / "background.nc", *statics(folder)]
        population = rioxarray.open_rasterio(folder / "static_coarse" / "population.tif").isel(band=0)
        population = population.rename({"y": "lat", "x": "lon"}).drop_vars(["band", "spatial_ref"])
        with xr.open_dataset(folder / "truth.nc") as truth:
            truth = truth.rename({s.layer: s.key for s in SPECIES.values() if s.layer in truth})[[key]].load()
        observations = read_observations(folder / "observations.nc")
        return cls(config, observations, Covariates.open(files, config.covariates), truth, population)


def statics(folder: Path) -> list[str]:
    """Return the static fields of a nature run as the reader wants them named."""
    return [f"{path.stem}={path}" for path in sorted((folder / "static").glob("*.tif"))]


def trained(work: Path, nature: NatureFiles, covariates: Covariates | None) -> Path:
    """Train anew, and return the bundle."""
    options = TrainOptions(resume=False, overwrite=True, covariates=covariates)
    return train(nature.observations, nature.config, work / "bundle", "cpu", None, options)


def cube_of(work: Path, bundle: Path, nature: NatureFiles, covariates: Covariates | None) -> Path:
    """Sweep the last whole week, and return the cube."""
    cube = work / "week.zarr"
    shutil.rmtree(cube, ignore_errors=True)
    end = nature.observations.times[-1].floor("D") - pd.Timedelta(days=1)
    options = ProduceOptions(covariates=covariates, layers=["mean"])
    produce(bundle, nature.observations, "nature-0.1", end - pd.Timedelta(days=DAYS), end, cube, options).close()
    return cube


def truth_scores(
    work: Path, bundle: Path, nature: NatureFiles, covariates: Covariates | None, key: str, title: str
) -> dict[str, Any]:
    """Return the scores of a model's cube at every cell, with a title."""
    cube = cube_of(work, bundle, nature, covariates)
    methods = score_against_truth(cube, nature.truth, population=nature.population)[key]["methods"]
    return dict(methods[MODEL]) | {"title": title}


def report(key: str, by_seed: dict[int, dict[str, Any]]) -> list[str]:
    """Return the tables of one pollutant: every method, and what the model is measured by."""
    title, count = SPECIES[key].title, len(by_seed)
    first = next(iter(by_seed.values()))
    lines = [f"## {title}, mean of {count} seeds" + (" and their standard deviation" if count > 1 else ""), ""]
    lines += [
        "| | MAE | R2 | bias | CRPS | coverage | R2 beyond 50 km | MAE by people |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns: list[Callable[[dict[str, Any]], Any]] = [
        *(lambda m, name=name: m["overall"][name] for name in ("mae", "r2", "bias", "crps", "coverage")),
        lambda m: m["far"]["r2"],
        lambda m: m["by_people"]["mae"],
    ]
    for method in (name for name in first if name != EXPECTATION):
        cells = [spread([column(s[method]) for s in by_seed.values()]) for column in columns]
        lines.append(f"| {first[method]['title']} | {' | '.join(cells)} |")
    lines += ["", "| | mean | each seed |", "|---|---|---|"]
    for name, figure in figures(first).items():
        values = [figure(s) for s in by_seed.values()]
        lines.append(f"| {name} | {statistics.fmean(values):.3f} | {', '.join(f'{v:.3f}' for v in values)} |")
    return [*lines, ""]


def figures(methods: dict[str, Any]) -> dict[str, Callable[[dict[str, Any]], float]]:
    """Return, by name, what a seed's scores are condensed to."""

    def ratio(one: str, other: str, score: str) -> Callable[[dict[str, Any]], float]:
        return lambda s: float(s[one]["overall"][score] / s[other]["overall"][score])

    def covered(group: str, part: str) -> Callable[[dict[str, Any]], float]:
        return lambda s: float(s[MODEL][group][part]["coverage"])

    groups = {"by_distance": "cells", "by_level": "level", "by_settlement": "cells in"}
    classes = {
        f"coverage, {words} {part}": covered(group, part)
        for group, words in groups.items()
        for part in methods[MODEL].get(group, {})
    }
    return {
        "MAE over residual kriging's on the files' own fields": ratio(MODEL, PLAIN, "mae"),
        "CRPS over residual kriging's on the files' own fields": ratio(MODEL, PLAIN, "crps"),
        "MAE over residual kriging's, given what wind and rain bring too": ratio(MODEL, RESIDUAL, "mae"),
        "CRPS over residual kriging's, given what wind and rain bring too": ratio(MODEL, RESIDUAL, "crps"),
        "not trained, MAE over residual kriging's on the files' own fields": ratio(CALIBRATED, PLAIN, "mae"),
        "not trained, CRPS over residual kriging's on the files' own fields": ratio(CALIBRATED, PLAIN, "crps"),
        "not trained, MAE over trained": ratio(CALIBRATED, MODEL, "mae"),
        "not trained, coverage, every cell": lambda s: float(s[CALIBRATED]["overall"]["coverage"]),
        "from stations alone, MAE over kriging of the logarithm's": ratio(ALONE, KRIGING, "mae"),
        "from stations alone, CRPS over kriging of the logarithm's": ratio(ALONE, KRIGING, "crps"),
        "absolute bias of the median": lambda s: abs(float(s[MODEL]["overall"]["bias"])),
        "absolute bias of the expectation": lambda s: abs(float(s[EXPECTATION]["bias"])),
        "MAE of the expectation": lambda s: float(s[EXPECTATION]["mae"]),
        "coverage, every cell": lambda s: float(s[MODEL]["overall"]["coverage"]),
        **classes,
    }


def spread(values: list[float]) -> str:
    """Return mean and standard deviation as text."""
    text = f"{statistics.fmean(values):.3g}"
    return text if len(values) < 2 else f"{text} ± {statistics.stdev(values):.2g}"


if __name__ == "__main__":
    main()
