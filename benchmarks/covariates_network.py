"""What covariates give the network itself: trained with and without them, scored where nothing was measured.

    python benchmarks/covariates_network.py nature [--without NAMES ...] [--set KEY=VALUE ...]
    python benchmarks/covariates_network.py beijing [--data ../shared/data] [--folds 4] [--set KEY=VALUE ...]

Nature run: trained on the stations of the first four fifths, scored against the truth at cells more than 30 km from a
station in the last fifth; its wind and boundary layer are written as GRIB and read back through cfgrib. Beijing: each
of the twelve stations is hidden once, from training too (a fold trains without its stations), and estimated from the
eleven others in the last fifth, on every sixth day. With and without covariates steps, seeds and hours are the same.

Each experiment is a line of results/covariates_network.json; `table` writes them as covariates_network.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.configs import Config, load_config
from aqreanalysis.covariates import Covariates
from aqreanalysis.evaluation.baselines.base import distances_km
from aqreanalysis.evaluation.estimate import Estimates, Targets, estimate
from aqreanalysis.model.predictor import load_predictor
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.grib import write_meteorology
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.training import TrainOptions, train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
FAR_KM, CELLS, STRIDE = 30.0, 150, 3
BEIJING_EVERY_DAYS = 6
GROUPS = {"wind": ("u10", "v10"), "boundary layer": ("blh",), "temperature": ("t2m",), "dew point": ("d2m",)}
GROUPS |= {"pressure": ("sp",), "precipitation": ("tp",)}
# No early stop: both have the same steps.
NATURE = ("training.epochs=12", "training.patience=12", "training.max_minutes=null")
BEIJING = (
    "split.hidden_stations=0",
    "split.hidden_cities=0",
    "split.calibration_stations=0.2",
    "training.days_per_batch=8",
    "training.steps_per_epoch=50",
    "training.epochs=6",
)


def main() -> None:
    """Run one experiment, or write the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("nature", "beijing", "table"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--fields", choices=("none", "all", "wind and boundary layer"), default="all")
    parser.add_argument("--without", choices=list(GROUPS), help="leave this covariate out")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    given = parser.parse_args()
    if given.what != "table":
        begun = time.perf_counter()
        scores = nature(given) if given.what == "nature" else beijing(given)
        name = f"all but {given.without}" if given.without else given.fields
        told = {"what": given.what, "covariates": name, "set": given.overrides, "seed": given.seed, "days": given.days}
        line = json.dumps({**told, **scores, "seconds": round(time.perf_counter() - begun)})
        with (RESULTS / "covariates_network.json").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line)
    write_table()


def chosen(covariates: Covariates, given: argparse.Namespace) -> Covariates | None:
    """Return the covariates of an experiment, None for the one without."""
    if given.fields == "none":
        return None
    keys = list(covariates.fields)
    if given.fields != "all":
        keys = [*GROUPS["wind"], *GROUPS["boundary layer"]]
    left = GROUPS.get(given.without or "", ())
    return covariates.select([key for key in keys if key not in left])


def trained(observations: Observations, config: Config, covariates: Covariates | None, folder: Path) -> Any:
    """Return the predictor trained on `observations`."""
    path = train(observations, config, folder, "cpu", None, TrainOptions(covariates=covariates))
    return load_predictor(path, "cpu", covariates)


def nature(given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores at far cells of the nature run."""
    made = nature_run(seed=given.seed, days=given.days, species=("pm25",))
    observations = made.observations
    with tempfile.TemporaryDirectory() as folder:
        covariates = chosen(Covariates.open(write_meteorology(made.meteorology, Path(folder) / "weather.grib")), given)
        config = load_config("demo", [*NATURE, *given.overrides])
        model = trained(observations, config, covariates, Path(folder) / "model")
        lat, lon = (a.ravel() for a in np.meshgrid(made.grid.lat, made.grid.lon, indexing="ij"))
        far = np.flatnonzero(distances_km(observations.lat, observations.lon, lat, lon).min(axis=0) > FAR_KM)
        far = np.random.default_rng(1).choice(far, CELLS, replace=False)
        hours = observations.hours
        rows = np.arange(int(np.ceil(0.8 * len(hours) / 24) * 24), len(hours) - 24, STRIDE)
        truth = made.truth["pm2p5"].values.reshape(len(hours), -1)[np.ix_(rows, far)]
        found = estimate(model, observations, Targets(lat[far], lon[far], hours[rows], {"pm25": truth}))["pm25"]
    return scores([found], [truth])


def beijing(given: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of the twelve Beijing stations, each hidden once."""
    path = given.data / "beijing_uci12_2013_2017.parquet"
    covariates = chosen(Covariates.open(path), given)
    observations = read_observations(path)
    values, hours, stations = observations.values("pm25"), observations.hours, np.array(observations.stations)
    first = int(np.ceil(0.8 * len(hours) / 24) * 24)
    rows = np.flatnonzero((np.arange(len(hours)) >= first) & ((hours - 1) // 24 % BEIJING_EVERY_DAYS == 0))
    config = load_config("aqnet", [*BEIJING, *given.overrides])
    found, truths = [], []
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(given.folds):
            hidden = np.arange(len(stations)) % given.folds == fold
            seen = observations.select(stations=stations[~hidden].tolist())
            model = trained(seen, config, covariates, Path(folder) / f"model-{fold}")
            for station in np.flatnonzero(hidden):
                others = observations.select(stations=np.delete(stations, station).tolist())
                truth = values[rows][:, [station]]
                place = observations.lat[[station]], observations.lon[[station]]
                found.append(estimate(model, others, Targets(*place, hours[rows], {"pm25": truth}))["pm25"])
                truths.append(truth)
    return scores(found, truths)


def scores(found: Sequence[Estimates], truths: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the scores over all estimates that have a truth."""
    best, lower, upper, crps = (
        np.concatenate([getattr(f, name).ravel() for f in found]) for name in ("best", "lower", "upper", "crps")
    )
    truth = np.concatenate([t.ravel() for t in truths])
    known = np.isfinite(truth)
    error = (best - truth)[known]
    return {
        "n": int(known.sum()),
        "mae": round(float(np.abs(error).mean()), 4),
        "rmse": round(float(np.sqrt((error**2).mean())), 4),
        "bias": round(float(error.mean()), 4),
        "crps": round(float(crps[known].mean()), 4),
        "coverage": round(float(((truth >= lower) & (truth <= upper))[known].mean()), 4),
    }


def write_table() -> None:
    """Write every experiment on record, each beside the one without covariates of the same settings."""
    lines = [
        json.loads(line) for line in (RESULTS / "covariates_network.json").read_text(encoding="utf-8").splitlines()
    ]
    text = ["# What covariates give the network", "", *(__doc__ or "").split("\n\n")[2].splitlines(), ""]
    for what, title in (("nature", "Nature run, cells more than 30 km from a station"), ("beijing", "Beijing")):
        text += [f"## {title}; PM2.5", ""]
        text += ["| covariates | settings | n | MAE | CRPS | bias | coverage | MAE against none | CRPS against none |"]
        text += ["|---|---|---|---|---|---|---|---|---|"]
        rows = [line for line in lines if line["what"] == what]
        for row in rows:
            same = [
                r for r in rows if r["covariates"] == "none" and (r["seed"], r["days"]) == (row["seed"], row["days"])
            ]
            alike = [r for r in same if r["set"] == row["set"]] or same
            change = [f"{row[k] / alike[-1][k] - 1:+.1%}" if alike else "" for k in ("mae", "crps")]
            told = " ".join(row["set"]) or f"seed {row['seed']}"
            parts = (row["covariates"], told, row["n"], *(f"{row[k]:.3f}" for k in ("mae", "crps", "bias", "coverage")))
            text.append("| " + " | ".join(map(str, (*parts, *change))) + " |")
        text.append("")
    (RESULTS / "covariates_network.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
