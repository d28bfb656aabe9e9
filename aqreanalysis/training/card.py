"""The model card: what the model is, what it saw, what it must not be used for."""

from __future__ import annotations

from aqreanalysis.model import Bundle
from aqreanalysis.observations import Observations
from aqreanalysis.species import get_species


def model_card(bundle: Bundle, observations: Observations) -> str:
    """Return the card as Markdown. Scores are added by `evaluate`, never typed in."""
    provenance, state = bundle.provenance, bundle.metrics["training"]
    roles = ", ".join(f"{count} {role}" for role, count in provenance["stations_by_role"].items())
    lat, lon = observations.lat, observations.lon
    species = ", ".join(f"{get_species(s).title} ({get_species(s).units})" for s in bundle.config.species)
    inputs = ", ".join(get_species(s).title for s in bundle.config.inputs or [])
    label = observations.attributes.get("source") or observations.attributes.get("title") or "not stated"
    lines = [
        "# Model card",
        "",
        f"AQ-Net trained by {provenance['program']} with torch {provenance['torch']} on {provenance['device']}.",
        "",
        f"- Estimates: hourly means of {species}; reads {inputs}.",
        f"- Data: {label}; {provenance['time_coverage_start']} to {provenance['time_coverage_end']} UTC; "
        f"{len(lat)} stations, {lat.min():.2f}..{lat.max():.2f} N, {lon.min():.2f}..{lon.max():.2f} E.",
        f"- Roles of the stations: {roles}. Hours from {provenance['unseen_from']} on were not seen in training.",
        f"- Training: {state['epoch']} epochs, best at epoch {state['best_epoch']} (scaled CRPS "
        f"{state['best_score']:.4f} at the calibration stations), {state['seconds'] / 60:.1f} minutes.",
        f"- Intervals: calibrated at the calibration stations in the hours seen, by distance and level, for "
        f"{bundle.config.uncertainty.coverage:.0%} coverage. What they cover at stations and hours never seen is "
        "measured by `aqreanalysis evaluate`.",
        "",
        "Not for: places farther from every station than the calibration reached; the street canyon or the chimney "
        "next door (an estimate is for the ambient background around stations like those of the network); alarms, "
        "or legal compliance at a place, without a measurement there.",
        "",
    ]
    return "\n".join(lines)
