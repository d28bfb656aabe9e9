"""The long forecast on the two Beijing networks: trained, scored beside every baseline, held against the bars.

    python benchmarks/forecast.py --data ../shared/data --work outputs/forecast

Trains by the command that a user would type, evaluates with every baseline (PatchTST where the extra is installed), and
writes benchmarks/results/forecast.md. A model, an evaluation or a baseline's answer already in --work is used again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "forecast.md"
NETWORKS = {"UCI 12": "beijing_uci12_2013_2017", "Beijing 35": "beijing35_2013_2018"}
#: Records that hold the weather of the nearest weather station too.
WITH_WEATHER = {"beijing_uci12_2013_2017"}
BAR, AIM = 0.97, 0.85


def evaluated(data: Path, work: Path, every: int, sets: list[str]) -> dict[str, Any]:
    """Return the scores of the network in `data`; what is missing in `work` is trained and evaluated first."""
    model, out = work / "model", work / "evaluation"
    if not model.exists():
        command = [sys.executable, "-m", "aqreanalysis.cli", "train", "--observations", str(data)]
        command += ["--config", "forecast", "--out", str(model), "--device", "cpu"]
        command += ["--covariates", str(data)] if data.stem in WITH_WEATHER else []
        before = children_seconds()
        subprocess.run([*command, *(word for text in sets for word in ("--set", text))], check=True)
        (work / "processor_seconds.txt").write_text(f"{children_seconds() - before:.0f}\n", encoding="utf-8")
    if not (out / "forecast.json").exists():
        from aqreanalysis.covariates import Covariates
        from aqreanalysis.forecast.evaluate import ForecastEvaluationOptions, evaluate_forecast
        from aqreanalysis.model import read_bundle
        from aqreanalysis.observations import read_observations

        def tell(done: int, total: int, note: str) -> None:
            print(f"  {done}/{total} {note}", flush=True)

        covariates = None
        if data.stem in WITH_WEATHER:
            covariates = Covariates.open([data], read_bundle(model).config.covariates)
        options = ForecastEvaluationOptions(
            every=every, device="cpu", covariates=covariates, answers=work / "baselines"
        )
        evaluate_forecast(model, read_observations(data), out, options, tell)
    metrics: dict[str, Any] = json.loads((out / "forecast.json").read_text(encoding="utf-8"))
    trained = json.loads((model / "metrics.json").read_text(encoding="utf-8"))["training"]
    processor = float((work / "processor_seconds.txt").read_text(encoding="utf-8"))
    return metrics | {"processor": processor, "steps": [m["best_step"] for m in trained["members"]]}


def children_seconds() -> float:
    """Return the processor time of all commands that have ended, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bar_rows(network: str, metrics: dict[str, Any]) -> list[str]:
    """Return a row a horizon: AQ-Net's error, the best baseline's, their ratio, and whether the bar holds."""
    rows = []
    for where in ("visible", "hidden"):
        skill = metrics["species"]["pm25"].get(where)
        for label, ratios in (skill or {}).get("against_best_baseline", {}).items():
            own = skill["methods"]["aq-net"]["horizons"][label]
            for score, said in ratios.items():
                best = skill["methods"][said["best"]]
                verdict = "aim" if said["ratio"] <= AIM else "pass" if said["ratio"] <= BAR else "FAIL"
                rows.append(
                    f"| {network} | {where} | {label} | {score.upper()} | {own[score]:.2f} | "
                    f"{best['horizons'][label][score]:.2f} ({best['title']}) | {said['ratio']:.3f} | {verdict} |"
                )
    return rows


def score_rows(network: str, metrics: dict[str, Any]) -> list[str]:
    """Return a row a method and horizon with all scores."""
    rows = []
    for where in ("visible", "hidden"):
        for method in metrics["species"]["pm25"].get(where, {}).get("methods", {}).values():
            for label, s in method["horizons"].items():
                cells = " | ".join(f"{s[k]:.2f}" if k in s else "-" for k in ("mae", "rmse", "r2", "crps", "coverage"))
                rows.append(f"| {network} | {where} | {method['title']} | {label} | {s['n']} | {cells} |")
    return rows


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two Parquet files")
    parser.add_argument("--work", type=Path, default=Path("outputs/forecast"))
    parser.add_argument("--every", type=int, default=12, help="a forecast every n-th hour")
    parser.add_argument("--network", choices=list(NETWORKS), action="append", help="one of them alone")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="SECTION.KEY=VALUE")
    options = parser.parse_args()
    bars, scores, notes = [], [], []
    for network in options.network or NETWORKS:
        stem = NETWORKS[network]
        metrics = evaluated(options.data / f"{stem}.parquet", options.work / stem, options.every, options.sets)
        bars += bar_rows(network, metrics)
        scores += score_rows(network, metrics)
        skill = metrics["species"]["pm25"]
        weather = "no weather"
        if stem in WITH_WEATHER:
            weather = "the past weather of the record, which no baseline reads"
        notes.append(
            f"{network}: {skill['origins']} origins, one every {metrics['every']} h, from {metrics['unseen_from']} on; "
            f"{skill['visible']['stations']} visible and {skill.get('hidden', {}).get('stations', 0)} hidden stations; "
            f"best steps {metrics['steps']}, training {metrics['processor']:.0f} s of processor time, with {weather}. "
            f"{' '.join(skill['notes'])}"
        )
        report(options.every, options.sets, notes, bars, scores)


def report(every: int, sets: list[str], notes: list[str], bars: list[str], scores: list[str]) -> None:
    """Write what has been measured so far; a network that is not done yet is not in it."""
    command = " ".join((f"--every {every}", *(f"--set {text}" for text in sets)))
    lines = [
        "# The long forecast of PM2.5: 336 h in, 168 h out, the last fifth of the timeline unseen",
        "",
        f"`benchmarks/forecast.py {command}`. Bar: at most {BAR} of the best baseline, aim {AIM}. MAE "
        "is that of medians, RMSE that of means, for every method that has both.",
        "",
        *notes,
        "",
        "| network | stations | horizon | score | AQ-Net | best baseline | ratio | bar |",
        "|" + "---|" * 8,
        *bars,
        "",
        "| network | stations | method | horizon | n | MAE | RMSE | R2 | CRPS | coverage 90 % |",
        "|" + "---|" * 10,
        *scores,
        "",
    ]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines[6:]))


if __name__ == "__main__":
    main()
