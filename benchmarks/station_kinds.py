"""Kerbs, works and a poor network of many sensors in a map of background air, and kinds told from the record.

    python benchmarks/station_kinds.py [--seeds 1 2 3] [--days 45] [--sensors 300] [--only kriging]

On the nature run with streets, works and cheap sensors (noise 30 %, bias 1.3, more in damp air). A fifth of the
background stations is hidden; every 29th hour is estimated there and at every fourth cell both ways, by kriging of the
logarithm and, at every second of these hours, by the pretrained AQ-Net calibrated on the record: from background
stations alone, from all stations counted alike, and from all as this package reads them. The covariance of kriging is
fitted to what it reads from.

Kinds told from the record are held against the true ones; the discriminants in `observations/kinds_from_record.py`
were fitted to seeds 0, 1, 2 and 6 (linear discriminant analysis, shrinkage 0.2, shares 0.7, 0.2 and 0.1). Writes
benchmarks/results/station_kinds.json, one entry a seed, and station_kinds.md from all that lie in it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.background_air.groups import background_only, choose_kinds
from aqreanalysis.background_air.kriging import air_covariance, distances
from aqreanalysis.background_air.learning import fit_air, learn_groups
from aqreanalysis.background_air.record import as_background
from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.evaluation.predict_at_stations import Targets, estimate
from aqreanalysis.geostatistics.kriging import ordinary_kriging
from aqreanalysis.model import Scaling
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.nature.local_sources import Sites
from aqreanalysis.observations import Observations
from aqreanalysis.observations.kinds_from_record import kinds_from_record
from aqreanalysis.observations.station_kinds import is_low_cost

RESULTS = Path(__file__).parent / "results"
KEY, LAYER = "pm25", "pm2p5"
STATIONS, HIDDEN_SHARE, EVERY, CELLS = 90, 0.2, 29, 4
FITTED = (0, 1, 2, 6)
REFERENCE = ["background", "traffic", "industrial"]
WAYS = {
    "alone": "background stations alone",
    "kerbs": "and kerbs and works, as made here",
    "ours": "and the poor network, as made here",
    "kerbs alike": "kerbs and works counted alike",
    "alike": "all counted alike, the poor network too",
}


def seen_and_hidden(run: Nature, seed: int) -> tuple[Observations, Observations]:
    """Return the stations in sight, of all kinds, and the background stations that are hidden."""
    record = Observations(run.observations.dataset[[KEY, f"{KEY}_flag"]])
    background = np.array(background_only(record).stations)
    chosen = np.random.default_rng(seed).permutation(len(background))[: int(HIDDEN_SHARE * len(background))]
    hidden = record.select(stations=sorted(background[chosen]))
    return record.select(stations=[s for s in record.stations if s not in set(hidden.stations)]), hidden


def measure(run: Nature, seed: int) -> dict[str, Any]:
    """Return what one seed shows: agreement of kinds, MAE at hidden stations and at cells by way, what was learned."""
    whole = run.observations
    cheap = np.array([is_low_cost(name) for name in whole.networks or ()])
    reference = whole.select(stations=np.array(whole.stations)[~cheap].tolist())
    kinds, true = np.array(kinds_from_record(reference)), np.array(reference.kinds)
    visible, hidden = seen_and_hidden(run, seed)
    scaling = {KEY: Scaling.fit(background_only(visible).values(KEY))}
    known = learn_groups(visible, scaling)
    kerbs = choose_kinds(visible, REFERENCE)
    ways = {
        "alone": background_only(visible),
        "kerbs": as_background(kerbs, known, scaling),
        "ours": as_background(visible, known, scaling),
        "kerbs alike": choose_kinds(kerbs, ["alike"]),
        "alike": choose_kinds(visible, ["alike"]),
    }
    return {
        "seed": seed,
        "days": len(whole.times) // 24,
        "sensors": int(cheap.sum()),
        "agreement": {
            "all": float((kinds == true).mean()),
            **{kind: float((kinds[true == kind] == kind).mean()) for kind in np.unique(true)},
        },
        "stations": {kind: int((true == kind).sum()) for kind in np.unique(true)} | {"hidden": len(hidden.stations)},
        "kriging": {name: krige(one, run, hidden, scaling[KEY], ways["alone"], name) for name, one in ways.items()},
        "groups": {name: vars(one) for name, one in known.groups[KEY].items()},
    }


def places(run: Nature, hidden: Observations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitudes and longitudes of the hidden stations, then of cells, and the rows of the hours that count."""
    lat, lon = np.meshgrid(run.grid.lat[::CELLS], run.grid.lon[::CELLS], indexing="ij")
    rows = np.arange(EVERY, len(hidden.times), EVERY)
    return np.append(hidden.lat, lat.ravel()), np.append(hidden.lon, lon.ravel()), rows


def errors(best: np.ndarray, run: Nature, hidden: Observations, rows: np.ndarray) -> dict[str, float]:
    """Return MAE at hidden stations and at cells of estimates (hour, place)."""
    count = len(hidden.stations)
    truth = run.truth[LAYER].values[rows][:, ::CELLS, ::CELLS].reshape(len(rows), -1)
    off = best[:, :count] - hidden.values(KEY)[rows], best[:, count:] - truth
    return {"hidden": float(np.nanmean(np.abs(off[0]))), "cells": float(np.nanmean(np.abs(off[1])))}


def krige(
    record: Observations, run: Nature, hidden: Observations, scaling: Scaling, background: Observations, way: str
) -> dict[str, float]:
    """Return the errors of kriging of the logarithm from a record; equivalents krige with the air's own covariance."""
    lat, lon, rows = places(run, hidden)
    fitted = record if "alike" in way else background
    air = fit_air(scaling.forward(fitted.values(KEY)[::5]).astype(float), distances(fitted.lat, fitted.lon))
    among = air_covariance(air, distances(record.lat, record.lon))
    across = air_covariance(air, np.maximum(distance_matrix_km(record.lat, record.lon, lat, lon), 1e-3))
    z = scaling.forward(record.values(KEY)[rows]).astype(float)
    best = np.full((len(rows), len(lat)), np.nan)
    for row, hour in enumerate(z):
        at = np.flatnonzero(np.isfinite(hour))
        if len(at) == 0:  # the whole network is silent for some hours
            continue
        logs, _ = ordinary_kriging(among[np.ix_(at, at)], across[at], hour[at], air.variance)
        best[row] = np.exp(logs * scaling.std + scaling.mean) - scaling.offset
    return errors(best, run, hidden, rows)


def ask_model(run: Nature, seed: int) -> dict[str, Any]:
    """Return the errors of the pretrained model, calibrated on what it reads; coverage of its 90 % interval beside."""
    from aqreanalysis.model import read_bundle
    from aqreanalysis.model.predictor import load_analysis
    from aqreanalysis.pretrained import FOLDER
    from aqreanalysis.pretrained.own_model import with_split
    from aqreanalysis.training.recalibrate import recalibrate
    from aqreanalysis.training.transfer import of_these_pollutants

    visible, hidden = seen_and_hidden(run, seed)
    lat, lon, rows = places(run, hidden)
    rows = rows[1::2]
    observed = {KEY: np.full((len(rows), len(lat)), np.nan, np.float32)}
    observed[KEY][:, : len(hidden.stations)] = hidden.values(KEY)[rows]
    targets, known = Targets(lat, lon, hidden.hours[rows], observed), np.isfinite(observed[KEY])
    everything = {"hidden_stations": 0.0, "hidden_cities": 0.0, "unseen_time": 0.0}
    start = with_split(of_these_pollutants(read_bundle(FOLDER), (KEY,)), **everything)
    out: dict[str, Any] = {"days": len(visible.times) // 24}
    for name, record in (("ours", visible), ("alike", choose_kinds(visible, ["alike"]))):
        with tempfile.TemporaryDirectory() as folder:
            own = load_analysis(recalibrate(start, record, Path(folder) / "model", "cpu", means=False), "cpu")
        reads = {name: as_background(record, own.bundle.groups, own.bundle.scaling)}
        if name == "ours":
            kerbs = as_background(choose_kinds(record, REFERENCE), own.bundle.groups, own.bundle.scaling)
            reads = {"alone": background_only(record), "kerbs": kerbs, **reads}
        for way, one in reads.items():
            answer = estimate(own, one, targets)[KEY]
            inside = (observed[KEY] >= answer.lower) & (observed[KEY] <= answer.upper)
            out[way] = errors(answer.best, run, hidden, rows) | {"coverage": float(inside[known].mean())}
    return out


def report(entries: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    first, seeds = entries[0], " ".join(str(entry["seed"]) for entry in entries)
    command = f"`python benchmarks/station_kinds.py --seeds {seeds} --days {first['days']}`"
    lines = ["# Kinds of station and a poor network", "", command, ""]
    lines += [
        f"PM2.5 of the nature run, {first['days']} days, {STATIONS} stations of which a third stands at kerbs and "
        f"works, {first['sensors']} cheap sensors (noise 30 %, bias 1.3, more in damp air). A fifth of the background "
        "stations hidden; every 29th hour, every fourth cell both ways. MAE in ug m-3.",
        "",
        "## Kriging of the logarithm",
        "",
    ]
    for where, title in (("hidden", "hidden background stations"), ("cells", "every cell")):
        lines += [f"MAE at {title}, by what is read:", "", f"| seed | {' | '.join(WAYS.values())} |"]
        lines += ["|---" * (len(WAYS) + 1) + "|"]
        for entry in entries:
            row = " | ".join(f"{entry['kriging'][way][where]:.2f}" for way in WAYS)
            lines.append(f"| {entry['seed']} | {row} |")
        means = [np.mean([entry["kriging"][way][where] for entry in entries]) for way in WAYS]
        lines += [f"| mean | {' | '.join(f'{mean:.2f}' for mean in means)} |"]
        worse = [
            entry["seed"] for entry in entries if entry["kriging"]["ours"][where] > entry["kriging"]["kerbs"][where]
        ]
        lines += ["", f"Seeds at which adding the poor network made it worse: {worse or 'none'}.", ""]
    asked = [entry for entry in entries if "model" in entry]
    if asked:
        lines += [f"## The pretrained AQ-Net, calibrated on what it reads, {asked[0]['model']['days']} days", ""]
        lines += ["| seed | read | MAE hidden | MAE cells | coverage of 90 % at hidden |", "|---|---|---|---|---|"]
        names = {way: WAYS[way] for way in ("alone", "kerbs", "ours", "alike")}
        for entry in asked:
            for way, title in names.items():
                one = entry["model"][way]
                figures = f"{one['hidden']:.2f} | {one['cells']:.2f} | {one['coverage']:.3f}"
                lines.append(f"| {entry['seed']} | {title} | {figures} |")
        lines.append("")
    lines += ["## Kinds told from the record", "", "Share of stations whose kind is right, all six pollutants:", ""]
    lines += ["| seed | all | background | traffic | industrial | |", "|---|---|---|---|---|---|"]
    for entry in entries:
        right, there = entry["agreement"], entry["stations"]
        parts = " | ".join(f"{right[kind]:.2f} of {there[kind]}" for kind in ("background", "traffic", "industrial"))
        lines.append(f"| {entry['seed']} | {right['all']:.3f} | {parts} | {'fitted' * (entry['seed'] in FITTED)} |")
    unseen = [entry["agreement"]["all"] for entry in entries if entry["seed"] not in FITTED]
    if unseen:
        lines += ["", f"Mean over the {len(unseen)} seeds that nothing was fitted to: {np.mean(unseen):.3f}."]
    lines += ["", "## What was learned", ""]
    lines += ["In standardised log units; `helps`: background stations left out were told better with it.", ""]
    lines += ["| seed | group | stations | mean | spread | noise | shared | km | helps |", "|---" * 9 + "|"]
    for entry in entries:
        for name, one in entry["groups"].items():
            figures = " | ".join(f"{one[part]:.3f}" for part in ("mean", "spread", "noise", "shared"))
            row = f"{one['stations']} | {figures} | {one['shared_km']:.0f} | {one['helps']}"
            lines.append(f"| {entry['seed']} | {name} | {row} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--days", type=int, default=45)
    parser.add_argument("--sensors", type=int, default=300)
    parser.add_argument("--only", choices=["kriging", "model"], nargs="*", default=["kriging", "model"])
    given = parser.parse_args()
    file = RESULTS / "station_kinds.json"
    entries = {entry["seed"]: entry for entry in json.loads(file.read_text())} if file.exists() else {}
    for seed in given.seeds:
        run = nature_run(seed, given.days, STATIONS, sites=Sites(0.25, 0.12, given.sensors))
        entry = entries.get(seed, {})
        if "kriging" in given.only:
            entry |= measure(run, seed)
        if "model" in given.only:
            entry |= {"seed": seed, "model": ask_model(run, seed)}
        entries[seed] = entry
        print(json.dumps(entry), flush=True)
        file.write_text(json.dumps([entries[key] for key in sorted(entries)], indent=1) + "\n")
        whole = [entries[key] for key in sorted(entries) if "kriging" in entries[key]]
        if whole:
            (RESULTS / "station_kinds.md").write_text(report(whole))


if __name__ == "__main__":
    main()
