"""What an evaluation leaves in the model bundle: scores for whoever is handed the model, coverage for every cube."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.metrics import table_rows, write_json
from aqreanalysis.evaluation.protocols import MODEL
from aqreanalysis.model.bundle import Bundle
from aqreanalysis.species import SPECIES

_HEADING = "## Measured at hidden stations"


def record_in_bundle(bundle: Bundle, folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics` into the bundle in `folder`: all of them into ``metrics.json``, a table into the model card.

    Neither file decides a number of a cube, so the model's digest stays what it was.

    Raises
    ------
    OutputError
        If the bundle cannot be written.
    """
    header, rows = table_rows(metrics)
    table = [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {' | '.join(row)} |" for row in rows)]
    hours = metrics["hours"]
    said = (
        f"Hours {hours['choice']} to training, {hours['first']} to {hours['last']}, one in {hours['every']}; coverage "
        f"and width are those of the {metrics['coverage']:.0%} interval."
    )
    before = bundle.card.split(_HEADING)[0].rstrip("\n")
    bundle.metrics["evaluation"] = dict(metrics)
    bundle.card = "\n".join((before, "", _HEADING, "", said, "", *table, ""))
    try:
        (folder / "MODEL_CARD.md").write_text(bundle.card, encoding="utf-8")
        write_json(bundle.metrics, folder / "metrics.json")
    except OSError as error:
        raise OutputError(f"the scores cannot be written into the model {folder}: {error.strerror}") from None


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
