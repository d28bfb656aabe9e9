"""Observations and a config in, the bundle of a long forecast out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.files import as_path
from aqreanalysis.common.library_threads import library_threads
from aqreanalysis.common.progress import Progress, part_of
from aqreanalysis.configs import Config, ForecastConfig
from aqreanalysis.errors import ConfigError, CovariatesError, ObservationsError
from aqreanalysis.forecast.calibrate import HeldOutRows, calibrate_leads, held_out_rows
from aqreanalysis.forecast.linear_paths import TrainingStations
from aqreanalysis.forecast.trainer import ForecastTrainer
from aqreanalysis.forecast.windows import Windows, history_fields
from aqreanalysis.model import Bundle, Calibration, Scaling, choose_device, find_neighbours
from aqreanalysis.observations import Observations
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split, draw_split
from aqreanalysis.training.distributed import is_launched
from aqreanalysis.training.fields import ReadFields, covariates_provenance, read_fields, with_fields
from aqreanalysis.training.model_card import data_read, species_read
from aqreanalysis.training.run_folder import (
    Trained,
    TrainOptions,
    check_out,
    claimed,
    fit_scalings,
    make_bundle,
    open_run_folder,
    publish_bundle,
    resolve_species,
)

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates

# Fewer leave the stretches that are dealt to training and early stopping hardly longer than a window.
_FEWEST_DAYS = 120


def train_forecast(
    observations: Observations,
    config: Config,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
    options: TrainOptions | None = None,
) -> Path:
    """Train the long forecast and return the directory of its bundle.

    Parameters
    ----------
    observations : Observations
        Station records.
    config : Config
        With its section `forecast`.
    out : str or Path
        Directory of the bundle. While training runs, checkpoints lie in ``<out>.part``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    progress : callable, optional
        Called as ``progress(done, total, note)``.
    options : TrainOptions, optional
        Whether to go on with an interrupted training, and whether to replace a bundle.

    Raises
    ------
    ObservationsError
        Too few stations, hours or readings.
    OutputError
        If `out` exists or cannot be written, or an interrupted training there had other observations or another config.
    """
    out, options = as_path(out), (options or TrainOptions()).opened(config)
    if config.forecast is None:
        raise ConfigError("the config has no section forecast: take --config forecast")
    if options.static_source is not None:
        raise ConfigError("the long forecast has no drift, in which static fields stand: leave --static out")
    if is_launched():
        raise ConfigError("the long forecast trains in one process: start the command without torchrun")
    chosen, observations = choose_device(device), background_only(observations)
    config = resolve_species(config, observations)
    check_out(out, options)
    with claimed(out, options):
        split = draw_split(observations, config.split)
        windows, scaling = _windows(observations, config, split)
        read = _covariates(options.field_source, windows, split, progress)
        config = with_fields(config, read)
        if read is not None:
            windows = replace(windows, fields=torch.from_numpy(history_fields(read.values, read.scaling)))
        network = _network(config, split, scaling, chosen)
        part = open_run_folder(out, observations, config, options)
        with library_threads(config.training.threads):
            members, metrics, calibration = _train_members(config, windows.to(chosen), network, part, progress)
        bundle = make_bundle(observations, config, split, scaling, Trained(members, {"training": metrics}, chosen.type))
        bundle.calibration = calibration
        bundle.fields = read.scaling if read is not None else None
        bundle.provenance |= covariates_provenance(options.field_source, read)
        bundle.card = forecast_card(bundle, observations)
        return publish_bundle(bundle, part, out)


def _network(config: Config, split: Split, scaling: dict[str, Scaling], device: torch.device) -> TrainingStations:
    """Return the stations that are not hidden, each with its neighbours, and the scalings."""
    assert config.forecast is not None
    seen = ~split.where(HIDDEN_TENTH, HIDDEN_CITY)
    lat, lon = split.lat[seen], split.lon[seen]
    around = find_neighbours(lat, lon, lat, lon, config.forecast.neighbours, exclude_self=True).to(device)
    return TrainingStations(
        around, [scaling[s] for s in config.species], [scaling[s] for s in config.inputs or config.species]
    )


def _windows(observations: Observations, config: Config, split: Split) -> tuple[Windows, dict[str, Scaling]]:
    """Return the windows of the stations that are not hidden and the hours before the unseen ones, and the scalings."""
    assert config.forecast is not None
    inputs = list(config.inputs or config.species)
    unseen = int(split.unseen_from.astype("datetime64[h]").astype(np.int64))
    hours = int(np.clip(unseen - observations.first_hour, 0, len(observations.times)))
    if hours < 24 * _FEWEST_DAYS:
        raise ObservationsError(
            f"the hours that training may see are {hours // 24} days, and a long forecast needs at least "
            f"{_FEWEST_DAYS}: bring more hours or lower split.unseen_time"
        )
    seen = ~split.where(HIDDEN_TENTH, HIDDEN_CITY)
    values = np.array(observations.to_array(inputs)[:hours, seen])
    scaling = fit_scalings(values, inputs)
    forecast = config.forecast
    targets = [inputs.index(s) for s in config.species]
    span = [forecast.history_hours, forecast.lead_hours]
    return Windows.build(values, observations.first_hour, [scaling[k] for k in inputs], targets, span), scaling


def _covariates(
    covariates: Covariates | None, windows: Windows, split: Split, progress: Progress | None
) -> ReadFields | None:
    """Return the covariates that change by the hour, at the stations and over the hours that training may see."""
    if covariates is None:
        return None
    if not covariates.hourly:
        raise CovariatesError(
            f"a long forecast reads covariates of its history, and none of {', '.join(covariates.fields)} changes by "
            "the hour: give meteorology, or leave --covariates out"
        )
    seen = ~split.where(HIDDEN_TENTH, HIDDEN_CITY)
    places, span = (split.lat[seen], split.lon[seen]), (windows.first_hour, len(windows.scaled))
    return read_fields(covariates.select(covariates.hourly), places, span, np.ones(seen.sum(), bool), progress)


def _train_members(
    config: Config, windows: Windows, network: TrainingStations, part: Path, progress: Progress | None
) -> tuple[list[dict[str, torch.Tensor]], dict[str, Any], dict[str, Calibration]]:
    """Return the weights of all members, how their training went, and the calibration by what each held out.

    Each member goes on where an interruption left it.
    """
    settings = config.forecast
    assert settings is not None
    inputs = list(config.inputs or config.species)
    targets = [inputs.index(s) for s in config.species]
    members, states, spent = [], [], 0.0
    rows: dict[str, list[HeldOutRows]] = {s: [] for s in config.species}
    for member in range(settings.members):
        trainer = ForecastTrainer(settings, windows, network, targets, config.training.seed, member)
        left = _seconds_up_to(settings, member)
        member_progress = part_of(progress, member, settings.members, f"member {member + 1}, ")
        weights, state = trainer.run(part / f"member-{member}", member_progress, None if left is None else left - spent)
        spent += state["seconds"]
        members.append(weights)
        states.append(state)
        for key, held in zip(config.species, held_out_rows(trainer, weights, network.scalings), strict=True):
            rows[key].append(held)
    return members, {"members": states, "seconds": spent}, calibrate_leads(rows, settings.lead_hours)


def _seconds_up_to(settings: ForecastConfig, member: int) -> float | None:
    """Return when a member must be done, counted from the beginning of the first."""
    if settings.max_minutes is None:
        return None
    return 60 * settings.max_minutes * (member + 1) / settings.members


def forecast_card(bundle: Bundle, observations: Observations) -> str:
    """Return the card of a long forecast as Markdown. Scores are added by the evaluation, never typed in."""
    provenance, settings = bundle.provenance, bundle.config.forecast
    assert settings is not None
    (species, inputs), (record, roles) = species_read(bundle), data_read(bundle, observations)
    stops = ", ".join(str(m["best_step"]) for m in bundle.metrics["training"]["members"])
    lines = [
        "# Model card: long forecast",
        "",
        f"AQ-Net's forecaster trained by {provenance['program']} with torch {provenance['torch']} on "
        f"{provenance['device']}.",
        "",
        f"- Forecasts: hourly means of {species} for {settings.lead_hours} h and their daily means, from "
        f"{settings.history_hours} h of {inputs}.",
        f"- Data: {record}; {len(observations.lat)} stations.",
        f"- Roles of the stations: {roles}. Hours from {provenance['unseen_from']} on were not seen in training.",
        f"- Training: {settings.members} members, best at step {stops}, "
        f"{bundle.metrics['training']['seconds'] / 60:.1f} minutes.",
        "",
        "Not for: alarms, or places outside the network. It reads no weather forecast: beyond two days it says little "
        "more than the season and the level of the last two weeks.",
        "",
    ]
    return "\n".join(lines)
