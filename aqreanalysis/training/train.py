"""Observations and a config in, a model bundle out."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, ObservationsError, OutputError
from aqreanalysis.evaluation.splits import CALIBRATION, TRAINING, Split, draw_split
from aqreanalysis.model import NUMERICS, Bundle, Calibration, Scaling, choose_device, write_bundle
from aqreanalysis.observations import Observations, window
from aqreanalysis.species import get_species, in_order
from aqreanalysis.training.calibrate import Records, calibrate
from aqreanalysis.training.calibrate_means import calibrate_means
from aqreanalysis.training.card import model_card
from aqreanalysis.training.loop import Places, Progress, Trainer
from aqreanalysis.training.windows import Timeline


@dataclass(frozen=True)
class _Seen:
    """What training may see: readings of whole UTC days before the unseen hours, padded by the window."""

    values: NDArray[np.float32]
    hours: NDArray[np.int64]
    first_hour: int
    days: int


def train(
    observations: Observations,
    config: Config,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
    resume: bool = True,
    overwrite: bool = False,
) -> Path:
    """Train AQ-Net and return the directory of the model bundle.

    Parameters
    ----------
    observations : Observations
        Station records.
    config : Config
        What to estimate, the split, the sizes, the loop.
    out : str or Path
        Directory of the bundle. While training runs, checkpoints lie in ``<out>.part``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    progress : callable, optional
        Called as ``progress(done, total, note)`` after each step.
    resume : bool
        Go on with an interrupted training of the same observations and config; its result is that of an
        uninterrupted one.
    overwrite : bool
        Replace a bundle that is there.

    Raises
    ------
    ObservationsError
        Too few stations, days or pollutants.
    OutputError
        If `out` exists, or an interrupted training there had other observations or another config.
    """
    out = Path(out)
    chosen = choose_device(device)
    config = resolve(config, observations)
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists: choose another --out, or replace it with --overwrite")
    split = draw_split(observations, config.split)
    seen = _seen_hours(observations, config, split)
    scaling = _scalings(seen, config, split.where(TRAINING))
    _check_calibration(seen, config, split.where(CALIBRATION))
    part = out.with_name(out.name + ".part")
    _claim(part, observations, config, resume)
    trainers = _trainers(config, seen, scaling, split, chosen)
    weights = [
        trainer.run(part / f"member-{i}", _part_of(progress, i, len(trainers)), resume)
        for i, trainer in enumerate(trainers)
    ]
    bundle = Bundle(
        config=config,
        members=weights,
        scaling=scaling,
        calibration={s: Calibration.normal() for s in config.species},
        stations=split.to_frame(),
        metrics={"training": trainers[0].state, "further_members": [t.state for t in trainers[1:]]},
        provenance=_provenance(observations, split, chosen.type),
    )
    places = trainers[0].places
    records = Records(seen.values, seen.hours, places.lat, places.lon, places.training, places.calibration)
    bundle.calibration = calibrate(bundle, records, device)
    bundle.calibration_means = calibrate_means(bundle, records, device)
    bundle.card = model_card(bundle, observations)
    return _finish(bundle, part, out)


def _trainers(
    config: Config, seen: _Seen, scaling: dict[str, Scaling], split: Split, device: torch.device
) -> list[Trainer]:
    """Return a trainer a member: they share data and config and differ in the seed of weights, batches and masks."""
    inputs = list(config.inputs or config.species)
    whole = slice(config.window.history_hours, config.window.history_hours + 24 * seen.days)
    timeline = Timeline.build(
        seen.values[whole],
        seen.first_hour,
        [scaling[k] for k in inputs],
        [inputs.index(s) for s in config.species],
        config.window,
    ).to(device)
    places = Places(split.lat, split.lon, split.where(TRAINING), split.where(CALIBRATION))
    training, found = config.training, []
    for member in range(training.members):
        minutes = training.max_minutes and training.max_minutes / training.members
        own = training.model_copy(update={"seed": training.seed + member, "max_minutes": minutes})
        one = config.model_copy(update={"training": own})
        found.append(Trainer(one, timeline, places, [scaling[s] for s in config.species], device))
    return found


def _part_of(progress: Progress | None, member: int, members: int) -> Progress | None:
    """Return a callable that reports one member's progress as part of all."""
    if progress is None or members == 1:
        return progress

    def report(done: int, total: int, note: str) -> None:
        progress(member * total + done, members * total, f"member {member + 1} of {members}: {note}")

    return report


def resolve(config: Config, observations: Observations) -> Config:
    """Return `config` with its pollutants checked against the observations and its inputs filled in.

    Raises
    ------
    ObservationsError
        If a pollutant to estimate or to read is not in the observations.
    """
    species = in_order(config.species)
    inputs = in_order(config.inputs) if config.inputs else observations.species
    for key in (*species, *inputs):
        if key not in observations.species:
            have = ", ".join(observations.species)
            raise ObservationsError(f"no {get_species(key).title} ({key}) in the observations, which hold {have}")
    inputs = in_order((*species, *inputs))
    return config.model_copy(update={"species": list(species), "inputs": list(inputs)})


def _seen_hours(observations: Observations, config: Config, split: Split) -> _Seen:
    first = observations.first_hour
    first += (1 - first) % 24  # the first whole UTC day
    last = min(int(observations.hours[-1]), int(split.unseen_from.astype("datetime64[h]").astype(np.int64)) - 1)
    days = (last - first + 1) // 24
    if days < 3:
        raise ObservationsError(
            f"the hours that training may see hold {max(days, 0)} whole UTC days, and at least 3 are needed: bring "
            "more hours or lower split.unseen_time"
        )
    before, after = config.window.history_hours, config.window.lookahead_hours
    inputs = list(config.inputs or config.species)
    values, hours = window(observations, inputs, first - before, before + 24 * days + after)
    values[before + 24 * days :] = np.nan  # the unseen hours stay unseen, also as lookahead
    return _Seen(values, hours, first, days)


def _scalings(seen: _Seen, config: Config, training: NDArray[np.bool_]) -> dict[str, Scaling]:
    found = {}
    for i, key in enumerate(config.inputs or config.species):
        try:
            found[key] = Scaling.fit(seen.values[:, training, i])
        except ValueError:
            raise ObservationsError(
                f"{get_species(key).title} has no two different readings at the training stations in the hours that "
                "training may see: leave it out of 'inputs' and 'species', or bring more data"
            ) from None
    return found


def _check_calibration(seen: _Seen, config: Config, stations: NDArray[np.bool_]) -> None:
    """Refuse a training that early stopping and calibration would have nothing to look at."""
    if not stations.any():
        raise ConfigError(
            f"split.calibration_stations = {config.split.calibration_stations:g} leaves no station for early stopping "
            "and for calibrating the intervals: set it to 0.1"
        )
    inputs = list(config.inputs or config.species)
    for key in config.species:
        if not np.isfinite(seen.values[:, stations, inputs.index(key)]).any():
            raise ObservationsError(
                f"no reading of {get_species(key).title} at the {stations.sum()} calibration stations in the hours "
                "that training may see: raise split.calibration_stations or change split.seed"
            )


def _fingerprint(observations: Observations, config: Config) -> dict[str, Any]:
    described = config.model_dump(mode="json")
    text = json.dumps({k: v for k, v in described.items() if k not in {"metadata", "production"}}, sort_keys=True)
    return {
        "observations": observations.digest(),
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "numerics": NUMERICS,
    }


def _claim(part: Path, observations: Observations, config: Config, resume: bool) -> None:
    """Make the working directory, or make sure that the one there belongs to this very training."""
    mine = _fingerprint(observations, config)
    record = part / "fingerprint.json"
    if part.exists() and not resume:
        shutil.rmtree(part)
    if record.is_file():
        theirs = json.loads(record.read_text(encoding="utf-8"))
        for name, value in mine.items():
            if theirs.get(name) != value:
                raise OutputError(
                    f"{part} holds an interrupted training with other {name} ({theirs.get(name)!s:.12} there, "
                    f"{value!s:.12} here): go on with the old one, or begin anew with --fresh"
                )
        return
    try:
        part.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(mine), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{part} cannot be written: {error.strerror or error}; choose another --out") from None


def _provenance(observations: Observations, split: Split, device: str) -> dict[str, Any]:
    from aqreanalysis import __version__

    return {
        "program": f"aqreanalysis {__version__}",
        "torch": torch.__version__,
        "device": device,
        "observations_digest": observations.digest(),
        **({"synthetic": observations.attributes["synthetic"]} if "synthetic" in observations.attributes else {}),
        "observations_attributes": {k: str(v) for k, v in observations.attributes.items()},
        "time_coverage_start": str(observations.times[0]),
        "time_coverage_end": str(observations.times[-1]),
        "unseen_from": str(split.unseen_from),
        "cluster_km": split.cluster_km,
        "stations_by_role": split.counts(),
    }


def _finish(bundle: Bundle, part: Path, out: Path) -> Path:
    """Write the bundle beside its place and move it there whole."""
    whole = part / "bundle"
    try:
        if whole.exists():
            shutil.rmtree(whole)
        write_bundle(bundle, whole)
        if out.exists():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        whole.rename(out)
        shutil.rmtree(part)
    except OSError as error:
        raise OutputError(f"the model cannot be written to {out}: {error.strerror or error}") from None
    return out
