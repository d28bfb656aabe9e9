"""What covariates give the network itself: trained with and without them, scored where nothing was measured.

    python benchmarks/covariates_network.py nature [--fields none calm all] [--seed N] [--set KEY=VALUE ...]
    python benchmarks/covariates_network.py beijing [--fields none all] [--data ../shared/data] [--set KEY=VALUE ...]

Nature run: trained on the stations of the first four fifths, scored against the truth at cells more than 30 km from a
station in the last fifth; its wind and boundary layer are written as GRIB and read back through cfgrib. Beijing: each
of the twelve stations is hidden once, from training too (a fold trains without its stations), and estimated from the
eleven others in the last fifth, on every sixth day. With and without covariates steps, seeds and hours are the same.
`calm` has a wind that never blows: what kriging of the hours around gives without any weather. `asked without` is the
network trained with all, asked with a covariate missing at every hour.

Each experiment is a line of results/covariates_network.json; `table` writes them as covariates_network.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.configs import Config, load_config
from aqreanalysis.covariates import Covariates
from aqreanalysis.evaluation.predict_at_stations import Estimates, Targets, estimate
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.era5_grib import write_meteorology
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
# Nor geography: height and population help both, and would hide what weather does.
BEIJING = (
    "model.geography=false",
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
    parser.add_argument("--fields", nargs="+", choices=("none", "calm", "all"), default=["none", "all"])
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    given = parser.parse_args()
    if given.what != "table":
        for fields in given.fields:
            begun = time.process_time()
            scores_of = nature(given, fields) if given.what == "nature" else beijing(given, fields)
            settings = {"what": given.what, "covariates": fields, "set": given.overrides, "seed": given.seed}
            line = json.dumps({**settings, **scores_of, "processor_seconds": round(time.process_time() - begun)})
            with (RESULTS / "covariates_network.json").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(line, flush=True)
    write_table()


@dataclass(frozen=True)
class Veiled:
    """Covariates of which some are missing at every hour, or whose wind never blows."""

    inner: Covariates
    missing: tuple[str, ...] = ()
    calm: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def at(self, lat: Any, lon: Any, hours: Any) -> Any:
        """Return float32 (hour, place, field)."""
        values = self.inner.at(lat, lon, hours)
        for index, key in enumerate(self.inner.fields):
            if key in self.missing:
                values[..., index] = np.nan
            elif self.calm:
                values[..., index] = 0.0
        return values

    def select(self, fields: Sequence[str]) -> Veiled:
        """Return the same with these fields in this order."""
        return replace(self, inner=self.inner.select(fields))


def chosen(covariates: Covariates, fields: str) -> Any:
    """Return the covariates of an experiment, None for the one without."""
    if fields == "none":
        return None
    return Veiled(covariates.select(GROUPS["wind"]), calm=True) if fields == "calm" else covariates


def asked(covariates: Any, fields: str) -> dict[str, Any]:
    """Return what a trained network is asked with: everything first, then everything but one."""
    scores_of = {"": covariates}
    if fields == "all":
        there = {name: keys for name, keys in GROUPS.items() if set(keys) <= set(covariates.fields)}
        scores_of |= {name: Veiled(covariates, keys) for name, keys in there.items()}
        scores_of["all"] = Veiled(covariates, tuple(covariates.fields))
    return scores_of


def trained(observations: Observations, config: Config, covariates: Any, folder: Path) -> Path:
    """Return the bundle trained on `observations`."""
    return train(observations, config, folder, "cpu", None, TrainOptions(covariates=covariates))


def nature(given: argparse.Namespace, fields: str) -> dict[str, Any]:
    """Return the scores at far cells of the nature run."""
    made = nature_run(seed=given.seed, days=given.days, species=("pm25",))
    observations = made.observations
    with tempfile.TemporaryDirectory() as folder:
        weather = Covariates.open(write_meteorology(made.meteorology, Path(folder) / "weather.grib"))
        covariates = chosen(weather.select([*GROUPS["wind"], *GROUPS["boundary layer"]]), fields)
        config = load_config("demo", [*NATURE, f"training.seed={given.seed}", *given.overrides])
        path = trained(observations, config, covariates, Path(folder) / "model")
        lat, lon = (a.ravel() for a in np.meshgrid(made.grid.lat, made.grid.lon, indexing="ij"))
        far = np.flatnonzero(distance_matrix_km(observations.lat, observations.lon, lat, lon).min(axis=0) > FAR_KM)
        far = np.random.default_rng(1).choice(far, CELLS, replace=False)
        hours = observations.hours
        rows = np.arange(int(np.ceil(0.8 * len(hours) / 24) * 24), len(hours) - 24, STRIDE)
        truth = made.truth["pm2p5"].values.reshape(len(hours), -1)[np.ix_(rows, far)]
        targets = Targets(lat[far], lon[far], hours[rows], {"pm25": truth})
        scores_of = {
            name: [estimate(load_predictor(path, "cpu", some), observations, targets)["pm25"]]
            for name, some in asked(covariates, fields).items()
        }
    return {"days": given.days, **summary(scores_of, [truth])}


def beijing(given: argparse.Namespace, fields: str) -> dict[str, Any]:
    """Return the scores of the twelve Beijing stations, each hidden once."""
    path = given.data / "beijing_uci12_2013_2017.parquet"
    covariates = chosen(Covariates.open(path), fields)
    observations = read_observations(path)
    values, hours, stations = observations.values("pm25"), observations.hours, np.array(observations.stations)
    first = int(np.ceil(0.8 * len(hours) / 24) * 24)
    rows = np.flatnonzero((np.arange(len(hours)) >= first) & ((hours - 1) // 24 % BEIJING_EVERY_DAYS == 0))
    config = load_config("aqnet", [*BEIJING, f"training.seed={given.seed}", *given.overrides])
    scores_of: dict[str, list[Estimates]] = {}
    truths = []
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(given.folds):
            hidden = np.arange(len(stations)) % given.folds == fold
            seen = observations.select(stations=stations[~hidden].tolist())
            bundle = trained(seen, config, covariates, Path(folder) / f"model-{fold}")
            for station in np.flatnonzero(hidden):
                others = observations.select(stations=np.delete(stations, station).tolist())
                truth = values[rows][:, [station]]
                place = observations.lat[[station]], observations.lon[[station]]
                targets = Targets(*place, hours[rows], {"pm25": truth})
                for name, some in asked(covariates, fields).items():
                    answer = estimate(load_predictor(bundle, "cpu", some), others, targets)["pm25"]
                    scores_of.setdefault(name, []).append(answer)
                truths.append(truth)
    return summary(scores_of, truths)


def summary(estimates: dict[str, list[Estimates]], truths: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the scores of the network with everything it was trained with, and of it without one covariate."""
    without = {name: scores(some, truths) for name, some in estimates.items() if name}
    return {**scores(estimates[""], truths), **({"asked_without": without} if without else {})}


def scores(estimates: Sequence[Estimates], truths: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the scores over all estimates that have a truth."""
    best, lower, upper, crps = (
        np.concatenate([getattr(f, name).ravel() for f in estimates]) for name in ("best", "lower", "upper", "crps")
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
        text += ["| covariates | seed, settings | n | MAE | CRPS | bias | coverage | MAE, to none | CRPS, to none |"]
        text += ["|---|---|---|---|---|---|---|---|---|"]
        rows = [line for line in lines if line["what"] == what]
        for row in rows:
            plain = [r for r in rows if r["covariates"] == "none" and alike(r, row)]
            settings = " ".join([str(row["seed"]), *row["set"]])
            text.append(table_row(row["covariates"], settings, row, plain))
            for name, one in row.get("asked_without", {}).items():
                text.append(table_row(f"all, asked without {name}", settings, one, plain))
        text.append("")
    (RESULTS / "covariates_network.md").write_text("\n".join(text), encoding="utf-8")


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two experiments differ in their covariates alone."""
    return all(one.get(key) == other.get(key) for key in ("set", "seed", "days"))


def table_row(name: str, settings: str, row: dict[str, Any], plain: Sequence[dict[str, Any]]) -> str:
    """Return a line of the table; `plain` are the experiments without covariates that it is held against."""
    change = [f"{row[key] / plain[-1][key] - 1:+.1%}" if plain else "" for key in ("mae", "crps")]
    figures = (f"{row[key]:.3f}" for key in ("mae", "crps", "bias", "coverage"))
    return "| " + " | ".join((name, settings, str(row["n"]), *figures, *change)) + " |"


if __name__ == "__main__":
    main()
