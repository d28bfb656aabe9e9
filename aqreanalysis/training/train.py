"""Observations and a config in, a model bundle out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, ObservationsError
from aqreanalysis.evaluation.splits import CALIBRATION, TRAINING, Split, draw_split
from aqreanalysis.model import Scaling, choose_device
from aqreanalysis.model.fields import field_reach
from aqreanalysis.observations import Observations, window
from aqreanalysis.species import get_species
from aqreanalysis.training.bundling import (
    Progress,
    Trained,
    TrainOptions,
    check_out,
    claim,
    finish,
    fit_scalings,
    resolve,
    uncalibrated,
)
from aqreanalysis.training.calibrate import Records, calibrate
from aqreanalysis.training.calibrate_means import calibrate_means
from aqreanalysis.training.card import model_card
from aqreanalysis.training.fields import ReadFields, TimelineFields, read_fields
from aqreanalysis.training.loop import Places, Trainer
from aqreanalysis.training.windows import Timeline

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates


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
    options: TrainOptions | None = None,
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
    options : TrainOptions, optional
        Whether to go on with an interrupted training, and whether to replace a bundle.

    Raises
    ------
    ObservationsError
        Too few stations, days or pollutants.
    OutputError
        If `out` exists, or an interrupted training there had other observations or another config.
    """
    out, options = Path(out), options or TrainOptions()
    chosen = choose_device(device)
    config = _with_fields(resolve(config, observations), options.covariates)
    check_out(out, options)
    split = draw_split(observations, config.split)
    seen = _seen_hours(observations, config, split)
    scaling = fit_scalings(seen.values[:, split.where(TRAINING)], config.inputs or config.species)
    _check_calibration(seen, config, split.where(CALIBRATION))
    read = _covariates(options.covariates, seen, config, split, progress)
    part = claim(out, observations, config, options)
    trainers = _trainers(config, (seen, read), scaling, split, chosen)
    weights = [
        trainer.run(part / f"member-{i}", _part_of(progress, i, len(trainers)), options.resume)
        for i, trainer in enumerate(trainers)
    ]
    bundle = uncalibrated(observations, config, split, scaling, Trained(weights, trainers[0].state, chosen.type))
    bundle.metrics["further_members"] = [t.state for t in trainers[1:]]
    bundle.fields = read.scaling if read is not None else None
    bundle.provenance |= _provenance_of(options.covariates, read)
    places = trainers[0].places
    records = Records(seen.values, seen.hours, places.lat, places.lon, places.training, places.calibration, read)
    bundle.calibration = calibrate(bundle, records, device)
    bundle.calibration_means = calibrate_means(bundle, records, device)
    bundle.card = model_card(bundle, observations)
    return finish(bundle, part, out)


def _trainers(
    config: Config,
    data: tuple[_Seen, ReadFields | None],
    scaling: dict[str, Scaling],
    split: Split,
    device: torch.device,
) -> list[Trainer]:
    """Return a trainer a member: they share data and config and differ in the seed of weights, batches and masks."""
    seen, read = data
    inputs = list(config.inputs or config.species)
    whole = slice(config.window.history_hours, config.window.history_hours + 24 * seen.days)
    timeline = Timeline.build(
        seen.values[whole],
        seen.first_hour,
        [scaling[k] for k in inputs],
        [inputs.index(s) for s in config.species],
        config.window,
    )
    if read is not None:
        timeline = replace(timeline, fields=TimelineFields.of(read, config.window))
    timeline = timeline.to(device)
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


def _covariates(
    covariates: Covariates | None, seen: _Seen, config: Config, split: Split, progress: Progress | None
) -> ReadFields | None:
    """Return the covariates at all stations over the hours of training and what the network reads round them."""
    if covariates is None:
        return None
    before, after = field_reach(config.window)
    span = seen.first_hour - before, before + 24 * seen.days + after
    return read_fields(covariates, (split.lat, split.lon), span, split.where(TRAINING), progress)


def _with_fields(config: Config, covariates: Covariates | None) -> Config:
    """Return `config` with the fields that the model reads filled in, in their order."""
    if covariates is None:
        return config
    fields = config.covariates.model_copy(update={"fields": list(covariates.fields)})
    return config.model_copy(update={"covariates": fields})


def _provenance_of(covariates: Covariates | None, read: ReadFields | None) -> dict[str, Any]:
    if covariates is None or read is None:
        return {}
    return {"covariates_digest": covariates.digest(), "covariates_missing": read.missing()}


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
