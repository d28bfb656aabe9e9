"""From outcomes to ``metrics.json`` and to the table on the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.protocols import MODEL, Outcome
from aqreanalysis.evaluation.scores import distance_classes, level_terciles, score, score_by
from aqreanalysis.species import SPECIES

#: Raised when a key of ``metrics.json`` changes its meaning.
SCHEMA = 1

_COLUMNS = (
    ("mae", "MAE", "{:.2f}"),
    ("rmse", "RMSE", "{:.2f}"),
    ("r2", "R2", "{:.3f}"),
    ("bias", "bias", "{:+.2f}"),
    ("crps", "CRPS", "{:.2f}"),
    ("coverage", "coverage", "{:.3f}"),
    ("width", "width", "{:.1f}"),
)
#: CO is in mg m-3, a thousandth of the others: it needs three more digits to say as much.
_SMALL_UNITS = {"{:.1f}": "{:.3f}", "{:.2f}": "{:.4f}", "{:+.2f}": "{:+.4f}"}


def outcome_metrics(outcome: Outcome) -> dict[str, Any]:
    """Return the scores of every method overall, by distance class and by level tercile, and what they rest on."""
    labels, classes = distance_classes(outcome.nearest_km)
    methods: dict[str, Any] = {}
    for name in outcome.estimates:
        sample = outcome.sample(name)
        level, terciles = level_terciles(sample.best)
        methods[name] = {
            "title": outcome.titles[name],
            "overall": score(sample),
            "by_distance": score_by(sample, labels[None, :], classes),
            "by_level": score_by(sample, level, terciles),
            "unanswered": outcome.unanswered()[name],
            "tuned": outcome.tuned.get(name, {}),
        }
    observed = int(np.isfinite(outcome.observed).sum())
    return {
        "title": outcome.protocol.title,
        "stations": len(outcome.stations),
        "hours": len(outcome.hours),
        "station_hours_observed": observed,
        "station_hours_scored": int(outcome.answered.sum()),
        "median_nearest_km": float(np.median(outcome.nearest_km)),
        "first": _stamp(outcome.hours[0]),
        "last": _stamp(outcome.hours[-1]),
        "notes": outcome.notes,
        "methods": methods,
        "against_best_baseline": _against_best(methods),
    }


def _against_best(methods: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's score as a share of the best baseline's, for the scores where less is better."""
    ratios: dict[str, Any] = {}
    for key in ("mae", "rmse", "crps"):
        others = {n: m["overall"][key] for n, m in methods.items() if n != MODEL and math.isfinite(m["overall"][key])}
        if others:
            best = min(others, key=lambda n: others[n])
            ratios[key] = {"ratio": methods[MODEL]["overall"][key] / others[best], "best": best}
    return ratios


def _stamp(hour: int) -> str:
    return str(np.datetime64(int(hour), "h").astype("datetime64[m]")) + "Z"


def plain(value: Any) -> Any:
    """Return `value` in types that JSON knows: numpy scalars become numbers, and what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write `content` under a temporary name beside `path`, then rename: a reader never sees half of it."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


def table_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of scores: pollutant, protocol, method, n, and the scores."""
    header = ["pollutant", "protocol", "method", "n", *(title for _, title, _ in _COLUMNS)]
    rows = []
    for key, protocols in metrics["species"].items():
        species = SPECIES[key]
        small = species.units.startswith("mg")
        for protocol, found in protocols.items():
            named = [f"{species.title} ({species.units})", protocol]
            rows += [
                [*named, method["title"], str(method["overall"]["n"]), *_cells(method["overall"], small)]
                for method in found["methods"].values()
            ]
    return header, rows


def _cells(scores: Mapping[str, Any], small: bool) -> list[str]:
    cells = []
    for key, _, pattern in _COLUMNS:
        value = scores[key]
        pattern = _SMALL_UNITS.get(pattern, pattern) if small else pattern
        cells.append("-" if value is None or not math.isfinite(value) else pattern.format(value))
    return cells


def format_table(metrics: Mapping[str, Any]) -> str:
    """Return the table of scores as plain text, one row a method, with what it rests on below."""
    header, rows = table_rows(metrics)
    lines = aligned(header, rows, left=3)
    hours = metrics["hours"]
    share = "every hour" if hours["every"] == 1 else f"one hour in {hours['every']}"
    lines.append(
        f"{hours['choice']} hours, {share}, {hours['first']} to {hours['last']}; "
        f"coverage and width of the {100 * metrics['coverage']:g} % interval"
    )
    for key, protocols in metrics["species"].items():
        for protocol, found in protocols.items():
            ratios = ", ".join(
                f"{name.upper()} {r['ratio']:.3f} ({r['best']})" for name, r in found["against_best_baseline"].items()
            )
            lines.append(f"{key} {protocol}: AQ-Net over the best baseline: {ratios}")
            lines += [f"{key} {protocol}: {note}" for note in found["notes"]]
    return "\n".join(lines)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return header, a rule and the rows as lines with columns of one width, the first `left` aligned to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells).rstrip()

    return [line(header), "  ".join("-" * w for w in widths), *(line(r) for r in rows)]
