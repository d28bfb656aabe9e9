"""A model that never saw a network, calibrated there, against interpolation: each station left out in one of 5 folds.

    python benchmarks/zero_shot.py [--model BUNDLE] [--data ../shared/data] [--networks uci12 beijing35 nature-40 ...]
        [--species pm25] [--days 60] [--trained]

Each fold calibrates the model at the stations in sight and asks it and all baselines at the others, one hour in five.
With --trained a model is trained anew in each fold as well, with the default settings, and another goes on from the
pretrained one as `train --from` does. Real networks are the last `--days` of their records and as many half a year
before; nature runs have seeds that no pretraining draws. Writes benchmarks/results/zero_shot.md, for a pollutant other
than PM2.5 a page of its own (zero_shot_no2.md).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aqreanalysis import load_config, read_observations
from aqreanalysis.configs import Config
from aqreanalysis.errors import AqreanalysisError
from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, evaluate
from aqreanalysis.model import Bundle, read_bundle
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.training import TrainOptions, train
from aqreanalysis.training.recalibrate import recalibrate

RESULTS = Path(__file__).parent / "results"
FILES = {
    "uci12": "beijing_uci12_2013_2017.parquet",
    "beijing35": "beijing35_2013_2018.parquet",
    "china-north": "china_north_2019.parquet",
}
NETWORKS = ["uci12", "beijing35", "china-north", "nature-20", "nature-40", "nature-80"]
#: Of nature runs: no pretraining draws these.
SEEDS = 0, 1, 2
#: Ways of having a model.
CALIBRATED, ANEW, ON = "calibrated", "trained anew", "gone on from"
HALF_A_YEAR = np.timedelta64(182, "D")


@dataclass(frozen=True)
class Row:
    """What one way of having a model scored at one network.

    Attributes
    ----------
    network, way, key : str
    ratios : dict
        By score, to the best baseline's.
    best : str
        The baseline with the least MAE.
    coverage : float
    classes : tuple of float
        The least and the greatest coverage among classes of distance.
    seconds : float
        Of making the model, a fold.
    """

    network: str
    way: str
    key: str
    ratios: dict[str, float]
    best: str
    coverage: float
    classes: tuple[float, float]
    seconds: float


def networks(name: str, data: Path, days: int, keys: list[str]) -> Iterator[tuple[str, Observations]]:
    """Yield the networks that go by a name, with the pollutants that are asked for."""
    if name.startswith("nature-"):
        for seed in SEEDS:
            yield f"{name}, seed {seed}", nature_run(seed, days, int(name.removeprefix("nature-")), keys).observations
        return
    read = read_observations(data / FILES[name])
    places = StationPlaces(read.stations, read.lat, read.lon, read.city)
    whole = Observations.from_arrays(read.times, places, {key: read.values(key) for key in keys})
    for label, end in (("last", whole.times[-1]), ("half a year before", whole.times[-1] - HALF_A_YEAR)):
        yield f"{name}, {label} {days} days", whole.select(start=str(end - np.timedelta64(days, "D")), end=str(end))


def score(name: str, observations: Observations, way: str, make: Callable[..., Path], config: Config) -> Iterator[Row]:
    """Yield the scores of models that `make` makes in each fold."""
    seconds: list[float] = []

    def timed(seen: Observations, fold: Config, out: Path, progress: Any) -> Path:
        began = time.perf_counter()
        made = make(seen, fold, out)
        seconds.append(time.perf_counter() - began)
        return made

    with tempfile.TemporaryDirectory() as folder:
        options = EvaluationOptions(("station-folds",), device="cpu", folds=FoldOptions(timed, config))
        metrics = evaluate(None, observations, Path(folder) / "folds", options)
    for key, protocols in metrics["species"].items():
        scores = protocols["station-folds"]
        own, against = scores["methods"][MODEL], scores["against_best_baseline"]
        classes = [c["coverage"] for c in own["by_distance"].values() if c["n"] >= 500]
        yield Row(
            name,
            way,
            key,
            {score: against[score]["ratio"] for score in ("mae", "crps")},
            against["mae"]["best"],
            own["overall"]["coverage"],
            (min(classes), max(classes)) if classes else (np.nan, np.nan),
            float(np.mean(seconds)),
        )


def gone_on(model: Bundle, fold: Config) -> Config:
    """Return the config of a training that goes on from a model, as `train --from` has it: four epochs."""
    training = model.config.training.model_copy(update={"epochs": 4, "steps_per_epoch": None})
    given = {"split": fold.split, "training": training, "species": fold.species, "inputs": fold.inputs}
    return model.config.model_copy(update=given)


def table(rows: list[Row]) -> list[str]:
    """Return the rows as Markdown."""
    lines = [
        "| network | model | pollutant | MAE ratio | to | CRPS ratio | coverage | in classes of distance | s a fold |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {r.network} | {r.way} | {r.key} | {r.ratios['mae']:.3f} | {r.best} | {r.ratios['crps']:.3f} | "
        f"{r.coverage:.3f} | {r.classes[0]:.3f} to {r.classes[1]:.3f} | {r.seconds:.0f} |"
        for r in rows
    ]


def worth(rows: list[Row]) -> list[str]:
    """Return, as Markdown, the mean over networks of the MAE of each way over that of another, where both are known."""
    mae: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        mae.setdefault(row.way, {})[row.network, row.key] = row.ratios["mae"]
    lines = []
    for way, other in ((ANEW, CALIBRATED), (ON, ANEW)):
        both = sorted(mae.get(way, {}).keys() & mae.get(other, {}).keys())
        if both:
            ratios = [mae[way][network] / mae[other][network] for network in both]
            lines.append(
                f"MAE {way} over {other}: {np.mean(ratios):.3f} on the mean of {len(both)} "
                f"({min(ratios):.3f} to {max(ratios):.3f})."
            )
    return ["", *lines] if lines else []


def main() -> None:
    """Measure, and write the table after each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--species", nargs="+", default=["pm25"])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    others = [key for key in given.species if key != "pm25"]
    out = given.out or RESULTS / f"{'_'.join(['zero_shot', *others])}.md"
    torch.set_num_threads(1)
    keys = ", ".join(given.species)
    config = load_config("aqnet", [f"species=[{keys}]", f"inputs=[{keys}]"])
    model = read_bundle(given.model)

    def calibrated(seen: Observations, fold: Config, out: Path) -> Path:
        own = model.config.model_copy(update={"split": fold.split})  # nothing is held back but the fold
        return recalibrate(replace(model, config=own), seen, out, "cpu", means=False)

    ways: dict[str, Callable[..., Path]] = {CALIBRATED: calibrated}
    if given.trained:
        ways[ANEW] = lambda seen, fold, out: train(seen, fold, out, "cpu")
        ways[ON] = lambda seen, fold, out: train(
            seen, gone_on(model, fold), out, "cpu", None, TrainOptions(start=model)
        )
    rows: list[Row] = []
    for name in given.networks:
        for label, observations in networks(name, given.data, given.days, given.species):
            for way, make in ways.items():
                try:
                    rows += score(label, observations, way, make, config)
                except AqreanalysisError as error:
                    print(f"{label}, {way}: {error}", flush=True)
                    continue
                print(table(rows)[-1], flush=True)
                head = [f"# Zero-shot: {', '.join(ways)}", "", f"Model {model.digest[:12]}.", ""]
                out.write_text("\n".join([*head, *table(rows), *worth(rows)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
