"""One HTML page that carries an evaluation's tables and pictures in itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.metrics import table_rows
from aqreanalysis.species import SPECIES

_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .25em .7em; text-align: right }
td:nth-child(-n+3), th:nth-child(-n+3) { text-align: left } th { border-bottom: 2px solid #888 }
tr:nth-child(even) td { background: #f5f5f5 } figure { margin: 1.5em 0 } img { max-width: 100% }
figcaption { color: #555 } .synthetic { background: #ffe9b3; padding: .5em 1em }
"""


def write_report(metrics: Mapping[str, Any], pictures: Mapping[str, Mapping[str, Path]], path: Path) -> Path:
    """Write the page to `path` and return it; pictures are embedded, nothing is fetched from anywhere.

    Parameters
    ----------
    metrics : mapping
        Content of ``metrics.json``.
    pictures : mapping of str to mapping of str to Path
        By ``<pollutant> <protocol>`` and by caption, PNG files.
    path : Path
        Page to write; replaced as a whole.
    """
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title><style>{_STYLE}</style></head><body>',
        "<h1>Skill at stations that the model never saw</h1>",
        *_preface(metrics),
        *_table(*table_rows(metrics)),
    ]
    for key, protocols in metrics["species"].items():
        for protocol, found in protocols.items():
            parts.append(f"<h2>{escape(SPECIES[key].title)}, {escape(found['title'])} ({escape(protocol)})</h2>")
            parts += _section(found, SPECIES[key].units)
            parts += [_figure(caption, png) for caption, png in pictures.get(f"{key} {protocol}", {}).items()]
    parts.append("</body></html>")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text("\n".join(parts) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


def _preface(metrics: Mapping[str, Any]) -> list[str]:
    hours, observations = metrics["hours"], metrics["observations"]
    every = "every hour" if hours["every"] == 1 else f"one hour in {hours['every']}"
    lines = []
    if observations.get("synthetic"):
        lines.append('<p class="synthetic">These observations are synthetic: a nature run, not measurements.</p>')
    lines.append(
        f"<p>{observations['stations']} stations, {escape(hours['choice'])} hours from {escape(hours['first'])} to "
        f"{escape(hours['last'])}, {every}. All methods are scored on the same hours and stations, those that every "
        f"method answered. Coverage and width are those of the {100 * metrics['coverage']:g} % interval. "
        "Baselines were tuned on the visible stations.</p>"
    )
    return lines


def _section(found: Mapping[str, Any], units: str) -> list[str]:
    lines = [
        f"<p>{found['stations']} hidden stations, in the median {found['median_nearest_km']:.1f} km from the nearest "
        f"visible one; {found['station_hours_scored']} of {found['station_hours_observed']} observed station-hours "
        "were answered by every method.</p>",
        *(f"<p>Note: {escape(note)}.</p>" for note in found["notes"]),
    ]
    for kind, title in (("by_distance", "distance to the nearest visible station"), ("by_level", "level (tercile)")):
        rows = [
            [method["title"], name, str(s["n"]), *(_number(s[k]) for k in ("mae", "crps", "coverage", "width"))]
            for method in found["methods"].values()
            for name, s in method[kind].items()
        ]
        header = ["method", title, "n", f"MAE ({units})", f"CRPS ({units})", "coverage", f"width ({units})"]
        lines += ["<details><summary>By " + escape(title) + "</summary>", *_table(header, rows), "</details>"]
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

    return ["<table>", row(header, "th"), *(row(r, "td") for r in rows), "</table>"]


def _figure(caption: str, png: Path) -> str:
    data = base64.b64encode(png.read_bytes()).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
