"""One HTML page that carries an evaluation's tables and pictures in itself, and the numbers of its pictures as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from aqreanalysis.common.files import replacing, write_json
from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.pictures.draw import NETWORK
from aqreanalysis.evaluation.pictures.style import Picture
from aqreanalysis.evaluation.verdict import floor_text
from aqreanalysis.model.bundle import MODEL, MODEL_TITLE
from aqreanalysis.species import SPECIES

#: Page of a long forecast's evaluation, whose section is shown if it lies beside this page.
FORECAST = "forecast.html"
_CLASSES = {
    "by_distance": "distance to the nearest visible station",
    "by_level": "level of the estimate (tercile)",
    "by_season": "season",
    "by_hour": "hour of the day",
}
#: Scores in the order of the tables: key, title, digits after the point. One that no method has is left out.
_SCORES = (
    ("mae", "MAE", 2),
    ("rmse", "RMSE", 2),
    ("r2", "R2", 3),
    ("bias", "bias", 2),
    ("crps", "CRPS", 2),
    ("coverage_50", "50 % cov.", 3),
    ("coverage", "coverage", 3),
    ("coverage_95", "95 % cov.", 3),
    ("width", "width", 1),
    ("calibrated_coverage", "cal. coverage", 3),
    ("calibrated_width", "cal. width", 1),
)
_WITHOUT_UNITS = ("r2", "coverage", "coverage_50", "coverage_95", "calibrated_coverage")
#: Dark on white, one column on a phone and two on a screen, no figure or row torn apart on paper.
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #fff }
main { max-width: 76em; margin: 0 auto; padding: 1em }
h1 { line-height: 1.2 } h2 { margin-top: 2.2em; border-top: 2px solid #444; padding-top: .5em } h3 { margin-top: 1.6em }
a { color: #0b4f8a } .note { border-left: 4px solid #b98900; padding: .2em .8em; background: #fdf6e0 }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: .8em 0; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding: .3em 0 }
td, th { padding: .22em .7em; text-align: right; white-space: nowrap } th { border-bottom: 2px solid #777 }
th[scope=row], th.text { text-align: left; font-weight: inherit } thead th { font-weight: 600 }
tbody th { border: 0 } tbody tr:nth-child(even) { background: #f4f4f4 } tr.model { font-weight: 700 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 33em), 1fr)); gap: 1em 2em }
figure { margin: 0 } figcaption { font-size: .92em; color: #333 } img { max-width: 100%; height: auto }
summary { cursor: pointer; padding: .3em 0 } code { font-size: .95em }
@media (max-width: 66em) { th[scope=row] { white-space: normal } td, th { padding: .2em .5em } }
@media (max-width: 40em) { body { font-size: 15px } td, th { padding: .2em .35em; font-size: 14px } }
@media print {
  body { font-size: 10pt } main { max-width: none; padding: 0 } h2 { break-before: page } a { color: inherit }
  figure, tr { break-inside: avoid } .wide { overflow: visible } td, th { padding: .1em .35em; font-size: 8.5pt }
  .figures { grid-template-columns: 1fr 1fr; gap: .6em 1em } tbody tr:nth-child(even) { background: none }
}
"""
#: Paper has nothing to click on: what is folded on the screen is opened before printing.
SCRIPT = "addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(d => { d.open = true }));"


def write_report(
    metrics: Mapping[str, Any], pictures: Mapping[str, Sequence[Picture]], path: Path, notes: Sequence[str] = ()
) -> Path:
    """Write the page to `path` and return it; pictures are embedded, nothing is fetched from anywhere.

    Beside it goes a JSON of the same name with the numbers in the pictures.

    Parameters
    ----------
    metrics : mapping
        Content of ``metrics.json``; a kind of scores that it lacks is not shown.
    pictures : mapping of str to sequence of Picture
        By ``<pollutant> <protocol>``; those of the network itself under `NETWORK`.
    path : Path
        Page to write; replaced as a whole.
    notes : sequence of str
        What could not be drawn, and why.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    numbers = {part: {p.name: p.numbers for p in drawn} for part, drawn in pictures.items()}
    write_json({"model_digest": metrics["model_digest"], "pictures": numbers}, path.with_suffix(".json"))
    body = [*_preface(metrics), *_summary(metrics, bool(pictures.get(NETWORK) or notes))]
    for key, protocols in metrics["species"].items():
        for protocol, task_scores in protocols.items():
            body += _protocol(key, protocol, task_scores, pictures.get(f"{key} {protocol}", ()))
    body += _network(pictures.get(NETWORK, ()), notes)
    body += _forecast(path.with_name(FORECAST))
    page = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>AQ-Net: skill at hidden stations</title><style>{STYLE}</style></head><body><main>",
        *body,
        f"</main><script>{SCRIPT}</script></body></html>",
    ]
    try:
        with replacing(path) as part:
            part.write_text("\n".join(page) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


def _preface(metrics: Mapping[str, Any]) -> list[str]:
    hours, observations = metrics["hours"], metrics["observations"]
    every = "every hour" if hours["every"] == 1 else f"one hour in {hours['every']}"
    lines = ["<h1>Skill at stations that the model never saw</h1>"]
    if observations.get("synthetic"):
        lines.append(paragraph("These observations are synthetic: a nature run, not measurements.", "note"))
    if "network" in metrics:
        lines.append(paragraph(f"The network is {metrics['network']}.", "note"))
    source = observations.get("source") or observations.get("title")
    lines += [
        paragraph(
            f"{observations['stations']} stations{f' ({source})' if source else ''}, {hours['choice']} hours from "
            f"{hours['first']} to {hours['last']}, {every}. Hidden stations were kept from the model and from every "
            "baseline; the baselines were tuned on the visible ones. All methods are scored on the same hours and "
            f"stations, those that every method answered. Coverage and width are those of the "
            f"{100 * metrics['coverage']:g} % interval."
        ),
        paragraph(
            "MAE, RMSE: mean absolute and root mean squared error. R2: 1 minus squared error over variance. Bias: mean "
            "of estimate minus reading. CRPS: continuous ranked probability score, the error of the whole "
            "distribution. In all of them but R2, nearer to zero is better. Coverage: share of readings inside the "
            "interval; width: its mean width, to be small at the right coverage."
        ),
        f"<p>Model <code>{escape(str(metrics['model_digest'])[:16]) or 'one a fold'}</code>, observations "
        f"<code>{escape(str(metrics['observations_digest'])[:16])}</code>. All scores: <code>metrics.json</code>; the "
        "numbers in the pictures: <code>report.json</code>.</p>",
    ]
    return lines


def _summary(metrics: Mapping[str, Any], network: bool) -> list[str]:
    """Return the table that says at one look whether the model is better than the best baseline, with links."""
    # What is looked for first stands first: on a telephone the rest is beyond the edge.
    header = ["pollutant", "protocol", "score", "ratio", "bounds", MODEL_TITLE, "best baseline", "its score"]
    rows, links = [], []
    for key, protocols in metrics["species"].items():
        species = SPECIES[key]
        for protocol, task_scores in protocols.items():
            links.append(f'<li><a href="#{key}-{escape(protocol)}">{escape(_title(key, task_scores))}</a></li>')
            methods = task_scores["methods"]
            for score, against in task_scores["against_best_baseline"].items():
                if against["ratio"] is None:
                    continue
                best = methods[against["best"]]
                scores = [_number(m["overall"][score]) for m in (methods[MODEL], best)]
                named = [f"{species.title} ({species.units})", protocol, score.upper()]
                rows.append([*named, f"{against['ratio']:.3f}", _bounds(against), scores[0], best["title"], scores[1]])
    if all(row[4] == "-" for row in rows):
        header, rows = (header[:4] + header[5:], [row[:4] + row[5:] for row in rows])
    return [
        table("AQ-Net against the best baseline of each score (a ratio below 1: AQ-Net is better)", header, rows, 3),
        *_bootstrap(metrics),
        *([paragraph(metrics["verdict"])] if metrics.get("verdict") else []),
        "<nav><p>Sections:</p><ul>",
        *links,
        *(['<li><a href="#network">What the network has learned</a></li>'] if network else []),
        "</ul></nav>",
    ]


def _bounds(against: Mapping[str, Any]) -> str:
    low, high = against.get("low"), against.get("high")
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _bootstrap(metrics: Mapping[str, Any]) -> list[str]:
    """Return the sentence that says what the bounds of the ratios are, where there are some."""
    drawn = [f["bootstrap"] for p in metrics["species"].values() for f in p.values() if f.get("bootstrap")]
    if not drawn:
        return []
    one = drawn[0]
    return [
        paragraph(
            f"Bounds: {one['confidence']:.0%} of {one['draws']} bootstrap draws of stations and of blocks of "
            f"{one['block_days']} days (seed {one['seed']})."
        )
    ]


def _title(key: str, task_scores: Mapping[str, Any]) -> str:
    return f"{SPECIES[key].title}, {task_scores['title']}"


def _protocol(key: str, protocol: str, task_scores: Mapping[str, Any], drawn: Sequence[Picture]) -> list[str]:
    species = SPECIES[key]
    small = species.units.startswith("mg")
    methods = task_scores["methods"].values()
    header, rows = _scores([((m["title"],), m["overall"]) for m in methods], small)
    return [
        f'<h2 id="{key}-{escape(protocol)}">{escape(_title(key, task_scores))} ({escape(protocol)})</h2>',
        paragraph(
            f"{task_scores['stations']} hidden stations, in the median {task_scores['median_nearest_km']:.1f} km from "
            f"the nearest visible one. Of {task_scores['station_hours_observed']} observed station-hours, "
            f"{task_scores['first']} to {task_scores['last']}, every method answered "
            f"{task_scores['station_hours_scored']}."
        ),
        *(paragraph(f"Note: {note}.", "note") for note in task_scores.get("notes", ())),
        table(
            f"{species.title} in {species.units}, {task_scores['title']}",
            ["method", *header],
            rows,
            strong=MODEL_TITLE,
        ),
        *_against_kriging(task_scores),
        *_beside_floor(task_scores, species.units),
        *_means(task_scores, species.units, small),
        figures(drawn),
        *(
            folded(f"Scores by {_CLASSES.get(kind, kind.removeprefix('by_').replace('_', ' '))}", content)
            for kind in _kinds(task_scores)
            if (content := _by_class(task_scores, kind, species.units, small))
        ),
        folded("What each baseline chose on the visible stations", _tuned(task_scores)),
    ]


def _against_kriging(task_scores: Mapping[str, Any]) -> list[str]:
    """Return what is said of the model's distribution against that of the best kriging, where it was compared."""
    ratios = task_scores.get("against_best_kriging") or {}
    clauses = []
    if "crps" in ratios:
        clauses.append(f"CRPS {ratios['crps']['ratio']:.3f} of that of {_method(task_scores, ratios['crps'])}")
    if "width" in ratios:
        both = [
            _number(task_scores["methods"][m]["overall"].get("calibrated_coverage"))
            for m in (MODEL, ratios["width"]["best"])
        ]
        clauses.append(
            f"width {ratios['width']['ratio']:.3f} of that of {_method(task_scores, ratios['width'])}, once both were "
            f"calibrated at left-out visible stations (they cover {both[0]} and {both[1]} here)"
        )
    return [paragraph(f"{MODEL_TITLE} against the better kriging: {'; '.join(clauses)}.")] if clauses else []


def _beside_floor(task_scores: Mapping[str, Any], units: str) -> list[str]:
    """Return what is said of the readings' own error, where enough instruments stand side by side to tell it."""
    floor = task_scores.get("instrument_floor")
    return [paragraph(f"Readings: {floor_text(floor, units)}.")] if floor else []


def _method(task_scores: Mapping[str, Any], ratio: Mapping[str, Any]) -> str:
    return str(task_scores["methods"][ratio["best"]]["title"])


def _means(task_scores: Mapping[str, Any], units: str, small: bool) -> list[str]:
    """Return the table of scores of daily and monthly means, where every hour was asked for."""
    labelled = [
        ((frequency, m["title"]), scores)
        for m in task_scores["methods"].values()
        for frequency, scores in (m.get("means") or {}).items()
        if scores.get("n")
    ]
    labelled.sort(key=lambda row: row[0][0])
    header, rows = _scores(labelled, small)
    title = f"Means over days and months of hours that were read, in {units}"
    return [table(title, ["mean", "method", *header], rows, 2, MODEL_TITLE)] if rows else []


def _kinds(task_scores: Mapping[str, Any]) -> list[str]:
    """Return the kinds of classes that any method was scored by, those known by name first."""
    there = {k: None for m in task_scores["methods"].values() for k in m if k.startswith("by_")}
    return [*(k for k in _CLASSES if k in there), *(k for k in there if k not in _CLASSES)]


def _by_class(task_scores: Mapping[str, Any], kind: str, units: str, small: bool) -> str:
    labelled = [
        ((name, m["title"]), scores)
        for m in task_scores["methods"].values()
        for name, scores in (m.get(kind) or {}).items()
    ]
    order = {name: i for i, name in enumerate(dict.fromkeys(names[0] for names, _ in labelled))}
    labelled.sort(key=lambda row: order[row[0][0]])
    header, rows = _scores(labelled, small)
    title = f"By {_CLASSES.get(kind, kind)}, in {units}"
    return table(title, ["class", "method", *header], rows, 2, MODEL_TITLE) if rows else ""


def _scores(
    labelled: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]], small: bool
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the scores that any of `labelled` has; `small` units get two digits more."""
    shown = [c for c in _SCORES if any(scores.get(c[0]) is not None for _, scores in labelled)]
    rows = [
        [*names, str(scores["n"]), *(_fixed(scores.get(key), key, digits, small) for key, _, digits in shown)]
        for names, scores in labelled
    ]
    return ["n", *(title for _, title, _ in shown)], rows


def _fixed(value: float | None, key: str, digits: int, small: bool) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    digits += 2 if small and key not in _WITHOUT_UNITS else 0
    return f"{value:+.{digits}f}" if key == "bias" else f"{value:.{digits}f}"


def _tuned(task_scores: Mapping[str, Any]) -> str:
    rows = [
        [m["title"], ", ".join(f"{k} {_value(v)}" for k, v in m.get("tuned", {}).items()) or "nothing to choose"]
        for name, m in task_scores["methods"].items()
        if name != MODEL
    ]
    return table("Tuned by leaving visible stations out", ["method", "choice"], rows, 2)


def _forecast(path: Path) -> list[str]:
    """Return the section on the long forecast, where its page lies in the same folder."""
    if not path.is_file():
        return []
    _, start, rest = path.read_text(encoding="utf-8").partition("<section id='forecast'>")
    section, ended, _ = rest.partition("</section>")
    if not start or not ended:
        raise OutputError(f"{path} is no evaluation of a forecast (it has no such section): move it out of the folder")
    return [f'<div class="wide">{start}{section}{ended}</div>']


def _network(drawn: Sequence[Picture], notes: Sequence[str]) -> list[str]:
    if not drawn and not notes:
        return []
    return [
        '<h2 id="network">What the network has learned</h2>',
        *(paragraph(f"Note: {note}.", "note") for note in notes),
        figures(drawn),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return " ".join(map(_value, value))
    return str(value)


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, strong: str = "") -> str:
    """Return a table whose first `left` columns are text; rows with a cell equal to `strong` are set in bold."""
    head = "".join(f'<th scope="col"{_text(i, left)}>{escape(c)}</th>' for i, c in enumerate(header))
    lines = [f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>']
    for row in rows:
        cells = "".join(
            f'<th scope="row">{escape(c)}</th>' if i < left else f"<td>{escape(c)}</td>" for i, c in enumerate(row)
        )
        mark = ' class="model"' if strong and strong in row else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def figure(picture: Picture) -> str:
    """Return a picture with its words, the PNG inside."""
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(picture.alt)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def figures(pictures: Sequence[Picture]) -> str:
    """Return pictures side by side where there is room, below each other where not; nothing for none."""
    return "\n".join(['<div class="figures">', *map(figure, pictures), "</div>"]) if pictures else ""


def folded(summary: str, content: str) -> str:
    """Return `content` behind a line that opens it; open on paper."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text, of class `kind` if given."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>"


def _text(column: int, left: int) -> str:
    return ' class="text"' if column < left else ""
