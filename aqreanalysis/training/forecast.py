"""Observations and a config in, the bundle of a long forecast out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aqreanalysis.configs import Config, ForecastConfig
from aqreanalysis.errors import ConfigError, ObservationsError, OutputError
from aqreanalysis.evaluation.splits import HIDDEN_CITY, HIDDEN_TENTH, Split, draw_split
from aqreanalysis.model import Bundle, Calibration, Scaling, choose_device, find_neighbours, write_bundle
from aqreanalysis.observations import Observations
from aqreanalysis.species import get_species
from aqreanalysis.training.forecast_loop import ForecastTrainer, Progress
from aqreanalysis.training.forecast_straight import Network
from aqreanalysis.training.forecast_windows import Windows
from aqreanalysis.training.train import resolve

# Fewer leave the stretches that are dealt to training and early stopping hardly longer than a window.
_FEWEST_DAYS = 120


def train_forecast(
    observations: Observations,
    config: Config,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Path:
    """Train the long forecast and return the directory of its bundle.

    Parameters
    ----------
    observations : Observations
        Station records.
    config : Config
        With its section `forecast`.
    out : str or Path
        Directory of the bundle.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    progress : callable, optional
        Called as ``progress(done, total, note)``.
    overwrite : bool
        Replace a bundle that is there.

    Raises
    ------
    ObservationsError
        Too few stations, hours or readings.
    OutputError
        If `out` exists or cannot be written.
    """
    out = Path(out)
    settings = config.forecast
    if settings is None:
        raise ConfigError("the config has no section forecast: take --config forecast")
    chosen = choose_device(device)
    config = resolve(config, observations)
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists: choose another --out, or replace it with --overwrite")
    split = draw_split(observations, config.split)
    windows, scaling = _windows(observations, config, split)
    windows = windows.to(chosen)
    seen = ~split.where(HIDDEN_TENTH, HIDDEN_CITY)
    lat, lon = split.lat[seen], split.lon[seen]
    around = find_neighbours(lat, lon, lat, lon, settings.neighbours, exclude_self=True).to(chosen)
    network = Network(
        around, [scaling[s] for s in config.species], [scaling[s] for s in config.inputs or config.species]
    )
    members, states = _train_members(config, settings, windows, network, progress)
    bundle = Bundle(
        config=config,
        members=members,
        scaling=scaling,
        calibration={s: Calibration.normal() for s in config.species},
        stations=split.to_frame(),
        metrics={"training": states},
        provenance=_provenance(observations, split, chosen.type),
    )
    bundle.card = _card(bundle, observations)
    return _write(bundle, out)


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
    values = np.array(observations.stacked(inputs)[:hours, seen])
    scaling = {}
    for i, key in enumerate(inputs):
        try:
            scaling[key] = Scaling.fit(values[..., i])
        except ValueError:
            raise ObservationsError(
                f"{get_species(key).title} has no two different readings at the training stations in the hours that "
                "training may see: leave it out of 'inputs' and 'species', or bring more data"
            ) from None
    forecast = config.forecast
    targets = [inputs.index(s) for s in config.species]
    span = [forecast.history_hours, forecast.lead_hours]
    return Windows.build(values, observations.first_hour, [scaling[k] for k in inputs], targets, span), scaling


def _train_members(
    config: Config, settings: ForecastConfig, windows: Windows, network: Network, progress: Progress | None
) -> tuple[list[dict[str, torch.Tensor]], dict[str, Any]]:
    began = time.monotonic()
    inputs = list(config.inputs or config.species)
    targets = [inputs.index(s) for s in config.species]
    members, states = [], []
    for member in range(settings.members):

        def told(done: int, total: int, note: str, member: int = member) -> None:
            if progress:
                progress(member * total + done, settings.members * total, f"member {member + 1}, {note}")

        share = (member + 1) / settings.members
        until = began + 60 * share * settings.max_minutes if settings.max_minutes else None
        trainer = ForecastTrainer(settings, windows, network, targets, config.training.seed, member)
        weights, state = trainer.run(told, until)
        members.append(weights)
        states.append(state)
    return members, {"members": states, "seconds": time.monotonic() - began}


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


def _card(bundle: Bundle, observations: Observations) -> str:
    """Return the model card as Markdown. Scores are added by the evaluation, never typed in."""
    provenance, settings = bundle.provenance, bundle.config.forecast
    assert settings is not None
    roles = ", ".join(f"{count} {role}" for role, count in provenance["stations_by_role"].items())
    species = ", ".join(f"{get_species(s).title} ({get_species(s).units})" for s in bundle.config.species)
    inputs = ", ".join(get_species(s).title for s in bundle.config.inputs or [])
    label = observations.attributes.get("source") or observations.attributes.get("title") or "not stated"
    stops = ", ".join(str(m["best_step"]) for m in bundle.metrics["training"]["members"])
    lines = [
        "# Model card: long forecast",
        "",
        f"AQ-Net's forecaster trained by {provenance['program']} with torch {provenance['torch']} on "
        f"{provenance['device']}.",
        "",
        f"- Forecasts: hourly means of {species} for {settings.lead_hours} h and their daily means, from "
        f"{settings.history_hours} h of {inputs}.",
        f"- Data: {label}; {provenance['time_coverage_start']} to {provenance['time_coverage_end']} UTC; "
        f"{len(observations.lat)} stations.",
        f"- Roles of the stations: {roles}. Hours from {provenance['unseen_from']} on were not seen in training.",
        f"- Training: {settings.members} members, best at step {stops}, "
        f"{bundle.metrics['training']['seconds'] / 60:.1f} minutes.",
        "",
        "Not for: alarms, or places outside the network. It reads no weather forecast: beyond two days it says little "
        "more than the season and the level of the last two weeks.",
        "",
    ]
    return "\n".join(lines)


def _write(bundle: Bundle, out: Path) -> Path:
    """Write the bundle beside its place and move it there whole."""
    whole = out.with_name(out.name + ".part")
    try:
        if whole.exists():
            shutil.rmtree(whole)
        write_bundle(bundle, whole)
        if out.exists():
            shutil.rmtree(out)
        whole.rename(out)
    except OSError as error:
        raise OutputError(f"the model cannot be written to {out}: {error.strerror or error}") from None
    return out
