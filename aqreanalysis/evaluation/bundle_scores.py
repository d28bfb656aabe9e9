"""What an evaluation leaves in the model bundle: scores for whoever is handed the model, coverage for every cube."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aqreanalysis.common.files import write_json
from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.protocols import MODEL
from aqreanalysis.evaluation.tables import coverage_texts, ratio_texts, table_rows
from aqreanalysis.model.bundle import MEASURED_HEADING, Bundle
from aqreanalysis.species import SPECIES


def record_in_bundle(bundle: Bundle, folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics` into the bundle in `folder`: all of them into ``metrics.json``, what matters into the model card.

    Neither file decides a number of a cube, so the model's digest stays what it was.

    Raises
    ------
    OutputError
        If the bundle cannot be written.
    """
    before = bundle.card.split(MEASURED_HEADING)[0].rstrip("\n")
    bundle.metrics["evaluation"] = dict(metrics)
    bundle.card = "\n".join((before, "", MEASURED_HEADING, *card_section(metrics), ""))
    try:
        (folder / "MODEL_CARD.md").write_text(bundle.card, encoding="utf-8")
        write_json(bundle.metrics, folder / "metrics.json")
    except OSError as error:
        raise OutputError(f"the scores cannot be written into the model {folder}: {error.strerror}") from None


def card_section(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines of the card that were measured: the split, the table, ratios to baselines, and the coverage."""
    hours = metrics["hours"]
    header, rows = table_rows(metrics)
    every = "every hour" if hours["every"] == 1 else f"one hour in {hours['every']}"
    lines = [
        f"Hours {hours['choice']} to training, {hours['first']} to {hours['last']}, {every}. All methods saw the same "
        "visible stations and are scored on the same hours of the hidden ones. Coverage and width are those of the "
        f"{metrics['coverage']:.0%} interval.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    for key, protocols in metrics["species"].items():
        for name, found in protocols.items():
            lines += _remarks(f"{SPECIES[key].title}, {name}", found)
    return lines


def _remarks(what: str, found: Mapping[str, Any]) -> list[str]:
    """Return what is said of one pollutant and protocol: the split, the best baseline, the coverage by class."""
    own = found["methods"][MODEL]
    lines = [
        f"- {what}: {found['stations']} hidden stations, in the median {found['median_nearest_km']:.0f} km from the "
        f"nearest visible one. AQ-Net over the best baseline: {', '.join(ratio_texts(found['against_best_baseline']))}."
    ]
    by_class = coverage_texts(own)
    if by_class:
        lines.append(f"  Coverage by class, least to greatest: {'; '.join(by_class)}.")
    return lines
