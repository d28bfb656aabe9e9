"""What the interval covered where it was measured, as every cube says it: read without loading any evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aqreanalysis.species import SPECIES

#: What the model is called among the methods of an evaluation: in ``metrics.json``, and for people.
MODEL, MODEL_TITLE = "aq-net", "AQ-Net"


def measured_coverage(bundle_metrics: Mapping[str, Any]) -> str:
    """Return in one ASCII sentence what the interval covered where it was measured; empty before any evaluation."""
    metrics = bundle_metrics.get("evaluation")
    if not metrics:
        return ""
    parts = [
        f"{SPECIES[key].title} {found['methods'][MODEL]['overall']['coverage']:.3f} "
        f"({name}, {found['stations']} stations)"
        for key, protocols in metrics["species"].items()
        for name, found in protocols.items()
    ]
    hours = metrics["hours"]
    return (
        f"share of readings inside the {metrics['coverage']:.0%} interval at stations hidden from the model, "
        f"{hours['choice']} hours from {hours['first']} to {hours['last']}: {', '.join(parts)}"
    )
