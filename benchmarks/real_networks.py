"""AQ-Net beside every baseline on the real networks: twelve and 35 stations in Beijing, 467 in north China.

    python benchmarks/real_networks.py uci12|beijing35|north|cities|page [--data ../shared/data] [--every N]
        [--epochs N] [--set KEY=VALUE ...] [--new-folds N] [--name NAME] [--work outputs/real_networks]

`uci12`: each station left out alone. `beijing35`: five folds of single stations. `north`: one network of the default
config; the tenth and the cities that its split hides, in the hours that training did not see and in those that it saw.
`cities`: five folds of cities (stations joined at 25 km) with night lights, heights, plants and towns as static fields
of the drift, against the best baseline without them. Folds are trained on all hours; every N-th hour is scored, and all
stations stay.

Folds and models in --work are used again, so a stopped run goes on with the same command; --new-folds trains so many
and ends. Each run is an entry of results/real_networks.json; the page results/real_networks.md is made from it. Beside
the ratios of MAE stand the skill beside the instrument floor, (MAE - floor) / (baseline's MAE - floor), and where the
error lies: by distance to the nearest station in sight, by level, by season.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from static_drift import FILES, WHERE

from aqreanalysis.common.files import write_json
from aqreanalysis.configs import Config, DriftConfig, load_config
from aqreanalysis.covariates import StaticFields
from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, evaluate
from aqreanalysis.model.bundle import MODEL, read_bundle
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.training import TrainOptions, train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
PAGE, RECORD = RESULTS / "real_networks.md", RESULTS / "real_networks.json"
CLASSES = {"by_distance": "km to the nearest station", "by_level": "level", "by_season": "season"}


@dataclass(frozen=True)
class Network:
    """One network and its task.

    Attributes
    ----------
    title, data : str
        For people; name of the file.
    protocols : tuple of str
        What is hidden.
    every : int
        Hours between two that are scored.
    bars : dict
        By pollutant, MAE over the best baseline's: bar, aim.
    folds : int
        Number of folds; 0 where one network answers.
    static : bool
        Whether the drift reads static fields.
    overrides : tuple of str
        Of the default config.
    """

    title: str
    data: str
    protocols: tuple[str, ...]
    every: int
    bars: dict[str, tuple[float, float]]
    folds: int = 0
    static: bool = False
    overrides: tuple[str, ...] = ()


NORTH = "china_north_2019.parquet"
NETWORKS = {
    "uci12": Network(
        "UCI Beijing: 12 stations, each left out alone",
        "beijing_uci12_2013_2017.parquet",
        ("station-folds",),
        13,
        {"pm25": (1.00, 0.95)},
        folds=12,
    ),
    "beijing35": Network(
        "Beijing: 35 stations, five folds of single stations",
        "beijing35_2013_2018.parquet",
        ("station-folds",),
        13,
        {"pm25": (0.98, 0.95)},
        folds=5,
    ),
    "north": Network(
        "North China: 467 stations, the hidden tenth and the hidden cities of the default split",
        NORTH,
        ("unseen-time", "hidden-tenth", "leave-city-out"),
        5,
        {"pm25": (0.965, 0.95)},
    ),
    "cities": Network(
        "North China: five folds of cities, static fields in the drift of AQ-Net alone",
        NORTH,
        ("city-folds",),
        29,
        {"no2": (0.93, 0.90), "pm10": (0.96, 0.94), "pm25": (0.975, 0.96)},
        folds=5,
        static=True,
    ),
}


class FoldTrainer:
    """Trains the network of a fold, or goes on with it, until as many were trained as one call may."""

    def __init__(self, static: StaticFields | None, most: int | None) -> None:
        self.static, self.left, self.seconds = static, most, 0.0

    def __call__(self, observations: Observations, config: Config, out: Path, progress: Any = None) -> Path:
        """Return the bundle."""
        if self.left == 0:
            raise SystemExit("as many folds were trained as --new-folds said: call again for the next")
        began = time.process_time()
        path = train(observations, config, out, "cpu", progress, TrainOptions(static=self.static))
        self.seconds += time.process_time() - began
        self.left = None if self.left is None else self.left - 1
        return path


def run(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the record of one network."""
    network = NETWORKS[name]
    work = given.work / (given.name or name)
    config = load_config("aqnet", [f"species=[{','.join(network.bars)}]", *network.overrides, *given.overrides])
    static = static_fields(given.data) if network.static else None
    observations = read_observations(given.data / network.data)
    every = given.every or network.every
    trainer = FoldTrainer(static, given.new_folds)
    folds = FoldOptions(trainer, config, max(network.folds, 2), epochs=given.epochs)
    options = EvaluationOptions(
        network.protocols, every=every, device="cpu", folds=folds, static=static, overwrite=True
    )
    model = None
    if not network.folds:
        model = work / "model"
        if not model.is_dir():
            limit = {"epochs": given.epochs} if given.epochs else {}
            config = config.model_copy(update={"training": config.training.model_copy(update=limit)})
            trainer(observations, config, model)
    metrics = evaluate(model, observations, work / "evaluation", options)
    return {
        "command": command(name, given),
        "network": name,
        "every": every,
        "stations": len(observations.stations),
        "training": trained(sorted(work.glob("evaluation/*folds/fold-*/model")) or [work / "model"]),
        "species": {
            key: {task: summary(scores) for task, scores in of.items()} for key, of in metrics["species"].items()
        },
        "by_fold": {key: fold_ratios(work, key, scores) for key, scores in metrics["species"].items()},
    }


def static_fields(data: Path) -> StaticFields:
    """Return the static files beside the data."""
    config = DriftConfig.model_validate({"fields": WHERE})
    return StaticFields.open([f"{name}={data / 'static' / file}" for name, file in FILES.items()], config)


def trained(bundles: list[Path]) -> dict[str, Any]:
    """Return what the trainings took, what of the head's departure stayed, and which static fields the drifts use."""
    metrics = [json.loads((b / "metrics.json").read_text(encoding="utf-8"))["training"] for b in bundles]
    drifts = [read_bundle(b).drift for b in bundles]
    return {
        "networks": len(bundles),
        "epochs": [m["epoch"] for m in metrics],
        "best_epochs": [m["best_epoch"] for m in metrics],
        "minutes": round(sum(m["seconds"] for m in metrics) / 60, 1),
        "departure": [m["departure"] for m in metrics],
        "drift": [{} if drift is None else drift.explained for drift in drifts],
    }


def summary(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of one task."""
    against, methods = scores["against_best_baseline"], scores["methods"]
    best = against["mae"]["best"]
    parts = {
        kind: {
            label: [own["n"], own["mae"], methods[best][kind][label]["mae"], own["bias"], own["coverage"]]
            for label, own in methods[MODEL][kind].items()
            if own["n"]
        }
        for kind in CLASSES
    }
    return {
        "hours": scores["hours"],
        "stations": scores["stations"],
        "n": scores["station_hours_scored"],
        "mae": {name: method["overall"]["mae"] for name, method in methods.items()},
        "bias": methods[MODEL]["overall"]["bias"],
        "coverage": methods[MODEL]["overall"]["coverage"],
        "ratio": {score: against[score] for score in ("mae", "rmse", "crps")},
        "floor": scores["instrument_floor"],
        "parts": parts,
    }


def fold_ratios(work: Path, key: str, scores: Mapping[str, Any]) -> list[float]:
    """Return MAE over that of the best baseline of all folds, fold by fold; empty where there are none."""
    ratios = []
    for task, of in scores.items():
        best = of["against_best_baseline"]["mae"]["best"]
        folders = "folds" if task == "station-folds" else task
        for path in sorted(work.glob(f"evaluation/{folders}/fold-*/{key}.npz"), key=lambda p: int(p.parent.name[5:])):
            with np.load(path) as answers:
                errors = [np.abs(answers[f"{m}/best"] - answers["observed"]) for m in (MODEL, best)]
            known = np.isfinite(errors[0]) & np.isfinite(errors[1])
            ratios.append(float(errors[0][known].mean() / errors[1][known].mean()))
    return ratios


def command(name: str, given: argparse.Namespace) -> str:
    """Return the command that repeats the run."""
    parts = [f"python benchmarks/real_networks.py {name}"]
    parts += [f"--every {given.every}"] if given.every else []
    parts += [f"--epochs {given.epochs}"] if given.epochs else []
    parts += [f"--name {given.name}"] if given.name else []
    return " ".join([*parts, *(f"--set {one}" for one in given.overrides)])


def page(records: Mapping[str, Any]) -> str:
    """Return the page of all runs."""
    lines = [
        "# Real networks: AQ-Net over the best baseline",
        "",
        "Made by `benchmarks/real_networks.py`, two shared cores, one thread a training. Brackets hold 95 % of a",
        "bootstrap over stations and blocks of days. Skill beside the floor: (MAE - floor) / (baseline's MAE - floor),",
        "the floor being what instruments less than 2 km apart differ by, over the root of two. The best baseline is",
        "the best of six in the run, each tuned on the stations in sight. A command with --epochs or steps_per_epoch",
        "trains otherwise than the default, which is 12 epochs of half as many steps as the record has days, but of a",
        "hundred at most.",
        "",
        "| network | pollutant | task | AQ-Net, MAE | best baseline | its MAE | MAE ratio | bar | | CRPS ratio "
        "| 90 % holds | floor | skill beside it |",
        "|---" * 13 + "|",
    ]
    for title, record in records.items():
        for key, tasks in record["species"].items():
            bar = NETWORKS[record["network"]].bars[key][0]
            lines += [row(title, key, task, found, bar) for task, found in tasks.items()]
    for title, record in records.items():
        lines += ["", *section(title, record)]
    return "\n".join(lines) + "\n"


def row(title: str, key: str, task: str, found: Mapping[str, Any], bar: float) -> str:
    """Return the row of one task."""
    mae, crps = found["ratio"]["mae"], found["ratio"]["crps"]
    floor = found["floor"] or {}
    beside = [f"{floor[k]:.{d}f}" if floor.get(k) is not None else "-" for k, d in (("mae", 2), ("skill", 3))]
    cells = [title, key, task, f"{found['mae'][MODEL]:.2f}", mae["best"], f"{found['mae'][mae['best']]:.2f}"]
    cells += [between(mae), f"{bar:g}", "pass" if mae["ratio"] <= bar else "FAIL", between(crps)]
    cells += [f"{found['coverage']:.3f}", *beside]
    return f"| {' | '.join(cells)} |"


def between(ratio: Mapping[str, Any]) -> str:
    """Return a ratio with its bounds."""
    bounds = "" if ratio.get("low") is None else f" [{ratio['low']:.3f}, {ratio['high']:.3f}]"
    return f"{ratio['ratio']:.3f}{bounds}"


def section(title: str, record: Mapping[str, Any]) -> list[str]:
    """Return what the page says of one run: how it was made, its folds, where the error lies."""
    network, training = NETWORKS[record["network"]], record["training"]
    departures = [f"{key} {share:.0%}" for of in training["departure"] for key, share in of.items()]
    lines = [
        f"## {title}",
        "",
        f"{network.title}. `{record['command']}`: {record['stations']} stations, one hour in {record['every']} scored; "
        f"{training['networks']} trainings of {min(training['epochs'])} to {max(training['epochs'])} epochs, best at "
        f"{' '.join(map(str, training['best_epochs']))}, {training['minutes']:g} minutes in all. Of the head's "
        f"departure stayed: {', '.join(departures)}.",
    ]
    for number, drift in enumerate(training["drift"], start=1):
        parts = [f"{key} {', '.join(f'{n} {v:.3f}' for n, v in of.items())}" for key, of in drift.items() if of]
        lines += [f"Drift of network {number} explains at towns left out: {'; '.join(parts)}."] if parts else []
    for key, ratios in record["by_fold"].items():
        if ratios:
            spread = np.std(ratios, ddof=1) / np.sqrt(len(ratios))
            each = " ".join(f"{ratio:.3f}" for ratio in ratios)
            lines += ["", f"{key}, MAE ratio by fold: {each}; standard error {spread:.3f}."]
    lines += ["", "| pollutant, task | where | n | AQ-Net, MAE | best baseline's | ratio | bias | 90 % holds |"]
    lines += ["|---" * 8 + "|"]
    for key, tasks in record["species"].items():
        for task, found in tasks.items():
            for kind, name in CLASSES.items():
                for label, (n, own, other, bias, held) in found["parts"][kind].items():
                    cells = f"{n} | {own:.2f} | {other:.2f} | {own / other:.3f} | {bias:+.2f} | {held:.3f}"
                    lines += [f"| {key} {task} | {name}: {label} | {cells} |"]
    return lines


def main() -> None:
    """Measure one network, and write the page of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=[*NETWORKS, "page"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("outputs/real_networks"))
    parser.add_argument("--name", help="of the entry and its folder in --work; by default that of the network")
    parser.add_argument("--every", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--new-folds", type=int)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    measured = None
    if given.network != "page":
        if not (given.data / NETWORKS[given.network].data).is_file():
            print(f"no {NETWORKS[given.network].data} in {given.data}: nothing to measure")
            return
        measured = run(given.network, given)
    # Read after the run: another may have ended meanwhile.
    records = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    if measured is not None:
        records[given.name or given.network] = measured
        write_json(records, RECORD)
    PAGE.write_text(page(records), encoding="utf-8")
    print(page(records))


if __name__ == "__main__":
    main()
