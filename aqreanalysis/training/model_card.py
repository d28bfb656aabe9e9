"""The model card: what the model is, what it saw, what it must not be used for."""

from __future__ import annotations

from typing import Any

import numpy as np

from aqreanalysis.model.bundle import CALIBRATED_FROM, MEASURED_HEADING, NONE_HIDDEN, Bundle, static_fields_lines
from aqreanalysis.observations import Observations
from aqreanalysis.species import get_species

# `evaluate` puts what it measured in the place of these lines.
_NOT_MEASURED = f"{MEASURED_HEADING}\nNot yet: run `aqreanalysis evaluate`. Until then nothing is known of its errors."


def model_card(bundle: Bundle, observations: Observations) -> str:
    """Return the card as Markdown. Scores are added by `evaluate`, never typed in."""
    lines = [
        "# Model card",
        "",
        *_what(bundle),
        "",
        "## Data",
        *_data(bundle, observations),
        "",
        "## Intervals",
        *_intervals(bundle),
        "",
        "## Not for",
        *_limits(bundle, observations),
        "",
        _NOT_MEASURED,
        "",
    ]
    return "\n".join(lines)


def calibrated_card(bundle: Bundle, observations: Observations) -> str:
    """Return the card of a model that was calibrated on a network, its weights learned elsewhere."""
    species = species_read(bundle)
    lines = [
        "# Model card",
        "",
        f"AQ-Net, calibrated and not trained, by {bundle.provenance['program']}. "
        f"{bundle.provenance[CALIBRATED_FROM]['remark']}.",
        "",
        f"- Estimates: hourly means of {species[0]}; reads {species[1]}.",
        *_drift(bundle),
        *_covariates(bundle),
        *_static(bundle),
        *_start(bundle),
        "",
        "## Data",
        *_data(bundle, observations, "calibration"),
        *([f"- {bundle.provenance[NONE_HIDDEN]}."] if NONE_HIDDEN in bundle.provenance else []),
        "",
        "## Intervals",
        "- Measured at this network's own stations and hours left out in turn, by distance and level, and drawn to "
        "those of the model as far as so few stations cannot tell, for "
        f"{bundle.config.uncertainty.coverage:.0%} coverage. What they cover at stations and hours never seen is "
        "measured by `aqreanalysis evaluate`.",
        "",
        "## Not for",
        *_limits(bundle, observations),
        "",
        _NOT_MEASURED,
        "",
    ]
    return "\n".join(lines)


def pretrained_card(bundle: Bundle) -> str:
    """Return the card of a model that is to serve any network once it was calibrated there."""
    state, species = bundle.metrics["training"], species_read(bundle)
    lines = [
        "# Model card",
        "",
        f"AQ-Net for any network of stations, pretrained by {bundle.provenance['program']} with torch "
        f"{bundle.provenance['torch']}.",
        "",
        "**It learned from synthetic records, not from measurements.**",
        "",
        f"- Estimates: hourly means of {species[0]}; reads those of them that a network has.",
        f"- Learned from {bundle.provenance['trained_on']['source']}.",
        f"- Training: {state['epoch']} epochs, best at epoch {state['best_epoch']} (scaled CRPS "
        f"{state['best_score']:.4f} at the stations left out of the networks kept back); where it began, untrained, "
        f"{state['start_score']:.4f}.",
        "",
        "## Not for",
        "- Any network before `aqreanalysis calibrate` there: scaling, ranges and intervals are each network's own. "
        "`produce` without `--model` and `map` do it first.",
        "",
        _NOT_MEASURED,
        "",
    ]
    return "\n".join(lines)


def species_read(bundle: Bundle) -> tuple[str, str]:
    """Return in words the pollutants that a model estimates, with their units, and those that it reads."""
    estimated = ", ".join(f"{get_species(s).title} ({get_species(s).units})" for s in bundle.config.species)
    return estimated, ", ".join(get_species(s).title for s in bundle.config.inputs or [])


def data_read(bundle: Bundle, observations: Observations) -> tuple[str, str]:
    """Return in words where a model's readings come from and how long they are, and the roles of the stations."""
    provenance = bundle.provenance
    label = observations.attributes.get("source") or observations.attributes.get("title") or "not stated"
    roles = ", ".join(f"{count} {role}" for role, count in provenance["stations_by_role"].items())
    return f"{label}; {provenance['time_coverage_start']} to {provenance['time_coverage_end']} UTC", roles


def _what(bundle: Bundle) -> list[str]:
    provenance, state, config = bundle.provenance, bundle.metrics["training"], bundle.config
    species, inputs = species_read(bundle)
    lines = [
        f"AQ-Net trained by {provenance['program']} with torch {provenance['torch']} on {provenance['device']}.",
        "",
    ]
    if provenance.get("synthetic"):
        lines += ["**It learned from synthetic records, not from measurements.**", ""]
    return [
        *lines,
        f"- Estimates: hourly means of {species}; reads {inputs}.",
        f"- Reads {config.window.history_hours} h before and {config.window.lookahead_hours} h after each UTC day, at "
        f"the {config.model.neighbours} stations nearest to each place.",
        *_drift(bundle),
        *_crowding(bundle),
        *_covariates(bundle),
        *_static(bundle),
        *_start(bundle),
        f"- Training: {state['epoch']} epochs, best at epoch {state['best_epoch']} (scaled CRPS "
        f"{state['best_score']:.4f} at the calibration stations), {state['seconds'] / 60:.1f} minutes on "
        f"{_processors(provenance)}; "
        f"{len(bundle.members)} member{'s' * (len(bundle.members) != 1)}, seed {config.training.seed}.",
    ]


def _drift(bundle: Bundle) -> list[str]:
    if bundle.drift is None:
        return []
    titles = ", ".join(get_species(k).title for k in bundle.config.species if any(bundle.drift.slopes.get(k, ())))
    return [f"- Height and population of a place enter the estimates of {titles}."] if titles else []


def _crowding(bundle: Bundle) -> list[str]:
    if bundle.crowding is None:
        return []
    shares = ", ".join(f"{get_species(k).title} {x:.0%}" for k, x in bundle.crowding.explained.items())
    return [
        "- How close stations stand round a place enters its estimates. Of what kriging lastingly misses of stations "
        f"left out it explains: {shares}."
    ]


def _covariates(bundle: Bundle) -> list[str]:
    if bundle.fields is None:
        return []
    explained = bundle.metrics.get("covariate_drift_explained", {})
    shares = [f"{get_species(k).title} {explained.get(k, 0.0):.0%}" for k in bundle.config.species]
    return [
        f"- Covariates: {', '.join(bundle.fields.names)}. The network starts from a regression on them, which explains "
        f"of the variance within the hours, at towns that it was not fitted to: {', '.join(shares)}."
    ]


def _static(bundle: Bundle) -> list[str]:
    return [f"- {line}." for line in static_fields_lines(bundle)]


def _processors(provenance: dict[str, Any]) -> str:
    threads = provenance.get("threads", 1)
    return f"{threads} thread{'s' * (threads != 1)}" if provenance["device"] == "cpu" else str(provenance["device"])


def _start(bundle: Bundle) -> list[str]:
    """Return what the covariance models were before training, and what was left of the network's departure."""
    lines, models = [], bundle.metrics.get("starting_covariances")
    if models is not None:
        whole = models["whole"]
        lines.append(
            "- Before training, covariance models under which the record is most likely: ranges "
            f"{whole['short_km']:.0f} and {whole['long_km']:.0f} km, {whole['long_share']:.0%} of it the far one, "
            f"nugget {whole['nugget']:.2f}."
        )
    training = bundle.metrics["training"]
    if "went_on" in training:
        lines.append(
            f"- Went on from model {bundle.provenance['went_on_from'][:12]}, and kept {training['went_on']}: what is "
            "learned must be surely better at the calibration stations."
        )
    departure = training.get("departure", {})
    if departure:
        shares = ", ".join(f"{get_species(k).title} {share:.0%}" for k, share in departure.items())
        lines.append(
            f"- Of what the head learned to move estimates by, left as far as the calibration stations bear it out: "
            f"{shares}. The rest is kriging with learned covariances."
        )
    fitted = [get_species(key).title for key, here in training.get("spread_fitted", {}).items() if here]
    if fitted:
        lines.append(
            f"- How the spread goes from hour to hour was fitted again to this network for {', '.join(fitted)}: "
            "stations that the fit did not look at are the better for it."
        )
    return lines


def _data(bundle: Bundle, observations: Observations, use: str = "training") -> list[str]:
    """Return what was read, `use` says for what."""
    provenance, lat, lon = bundle.provenance, observations.lat, observations.lon
    record, roles = data_read(bundle, observations)
    present = ", ".join(
        f"{get_species(key).title} {_present(observations, key):.0%}"
        for key in bundle.config.inputs or bundle.config.species
        if key in observations.species
    )
    return [
        f"- Data: {record}; {len(lat)} stations, {lat.min():.2f}..{lat.max():.2f} N, "
        f"{lon.min():.2f}..{lon.max():.2f} E.",
        f"- Station-hours with a usable reading: {present}.",
        f"- Roles of the stations: {roles} (seed {bundle.config.split.seed}). Hours from {provenance['unseen_from']} "
        f"on were not seen in {use}.",
    ]


def _intervals(bundle: Bundle) -> list[str]:
    return [
        "- Calibrated in the hours seen, at the calibration stations and at training stations left out in turn, by "
        "distance and level, for "
        f"{bundle.config.uncertainty.coverage:.0%} coverage. What they cover at stations and hours never seen is "
        "measured by `aqreanalysis evaluate`."
    ]


def _present(observations: Observations, key: str) -> float:
    """Return the share of station-hours with a usable reading."""
    count = sum(int(np.isfinite(usable).sum()) for usable, _ in observations.iter_blocks(key))
    return count / (len(observations.times) * len(observations.stations))


def _limits(bundle: Bundle, observations: Observations) -> list[str]:
    """Return what the model must not be used for; figures are those of this model."""
    reached = {key: table.reach_km for key, table in bundle.calibration.items() if table.reach_km is not None}
    calibrated = ", ".join(f"{get_species(key).title} {km:.4g} km" for key, km in reached.items())
    reach = bundle.config.window.lookahead_hours
    lat, lon = observations.lat, observations.lon
    lines = [
        f"- Places farther from every station that reports than the intervals were calibrated ({calibrated}): cubes "
        "flag them as extrapolated."
        if reached
        else "- Intervals that must hold: they were not calibrated by distance.",
        f"- Regions outside {lat.min():.1f}..{lat.max():.1f} N, {lon.min():.1f}..{lon.max():.1f} E, other networks, or "
        "later years, before `aqreanalysis evaluate` was run there.",
        "- The street canyon or the chimney next door: an estimate is for the ambient background around stations like "
        "those of the network.",
        "- Alarms, legal compliance or a single person's exposure at a place without a measurement there.",
        "- Error bars of daily, monthly or annual means made by averaging those of hours: errors of neighbouring hours "
        "go together.",
        "- Trends over years in which stations came and went.",
        f"- Hours later than {reach} h after the last reading; those before are flagged as forecast hours.",
    ]
    if bundle.provenance.get("synthetic"):
        lines.insert(0, "- Real air: nothing here was measured.")
    return lines
