"""The table of scores on the terminal and in the report, and what an evaluation leaves in the model bundle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.verdict import floor_text
from aqreanalysis.model.bundle import MEASURED_HEADING, MODEL, Bundle, read_bundle, write_description
from aqreanalysis.species import SPECIES

# As long as another evaluation may take to write its scores into the same model.
_WAIT_SECONDS = 30.0

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


@dataclass(frozen=True)
class Table:
    """A table for people, and what is said below it.

    Attributes
    ----------
    header, rows : list
        Cells as text.
    left : int
        So many columns are names, aligned to the left; the others are numbers.
    notes : list of str
        A line each.
    """

    header: list[str]
    rows: list[list[str]]
    left: int
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as plain text."""
        return "\n".join([*(aligned(self.header, self.rows, self.left) if self.rows else []), *self.notes])


def table_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of scores: pollutant, protocol, method, n, and the scores."""
    header = ["pollutant", "protocol", "method", "n", *(title for _, title, _ in _COLUMNS)]
    rows = []
    for key, protocols in metrics["species"].items():
        species = SPECIES[key]
        small = species.units.startswith("mg")
        for protocol, task_scores in protocols.items():
            named = [f"{species.title} ({species.units})", protocol]
            rows += [
                [*named, method["title"], str(method["overall"]["n"]), *_cells(method["overall"], small)]
                for method in task_scores["methods"].values()
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
    """Return the table of scores as plain text."""
    return score_table(metrics).text()


def score_table(metrics: Mapping[str, Any]) -> Table:
    """Return the table of scores, one row a method, with what it rests on below."""
    header, rows = table_rows(metrics)
    lines = []
    hours = metrics["hours"]
    if hours:
        share = "every hour" if hours["every"] == 1 else f"one hour in {hours['every']}"
        lines.append(
            f"{hours['choice']} hours, {share}, {hours['first']} to {hours['last']}; "
            f"coverage and width of the {100 * metrics['coverage']:g} % interval"
        )
    if "network" in metrics:
        lines.append(f"network: {metrics['network']}")
    for key, protocols in metrics["species"].items():
        for protocol, task_scores in protocols.items():
            lines += [f"{key} {protocol}: {text}" for text in _remarks(key, task_scores, metrics["coverage"])]
    lines += [f"not scored: {text}" for text in metrics.get("skipped", ())]
    lines += [metrics["verdict"]] if "verdict" in metrics else []
    return Table(header, rows, 3, lines)


def _remarks(key: str, task_scores: Mapping[str, Any], coverage: float) -> Iterator[str]:
    """Yield what is said of one pollutant and protocol below the table."""
    own = task_scores["methods"][MODEL]
    yield f"AQ-Net over the best baseline: {', '.join(ratio_texts(task_scores['against_best_baseline']))}"
    if task_scores.get("instrument_floor"):
        yield floor_text(task_scores["instrument_floor"], SPECIES[key].units)
    kriging = task_scores["against_best_kriging"]
    if "width" in kriging:
        width = kriging["width"]
        both = [task_scores["methods"][n]["overall"]["calibrated_coverage"] for n in (MODEL, width["best"])]
        yield (
            f"width over the narrower kriging's, both calibrated at left-out visible stations: {width['ratio']:.3f} "
            f"({width['best']}; they cover {both[0]:.3f} and {both[1]:.3f} here)"
        )
    yield f"coverage of {100 * coverage:g} % by class, least to greatest: {'; '.join(coverage_texts(own))}"
    for frequency, scores in own.get("means", {}).items():
        if scores["n"]:
            yield f"{frequency} means: MAE {_plain(scores['mae'], 4)}, R2 {_plain(scores['r2'], 3)}, n {scores['n']}"
    yield from task_scores["notes"]


def ratio_texts(ratios: Mapping[str, Any]) -> list[str]:
    """Return one text a score: the ratio, the bounds that the bootstrap puts on it, and the baseline it is to."""
    texts = []
    for name, ratio in ratios.items():
        if ratio["ratio"] is None:
            continue
        bounds = "" if ratio["low"] is None else f" [{ratio['low']:.3f}, {ratio['high']:.3f}]"
        texts.append(f"{name.upper()} {ratio['ratio']:.3f}{bounds} ({ratio['best']})")
    return texts


#: A class with fewer station-hours says little of a share.
FEWEST_OF_A_CLASS = 100
KINDS = {"by_distance": "distance", "by_level": "level", "by_season": "season", "by_hour": "hour of day"}


def coverage_texts(method: Mapping[str, Any]) -> list[str]:
    """Return one text a kind of class: the least and the greatest coverage and their classes."""
    texts = []
    for kind, title in KINDS.items():
        known = {n: s["coverage"] for n, s in method[kind].items() if s["n"] >= FEWEST_OF_A_CLASS}
        if known:
            low, high = min(known, key=lambda n: known[n]), max(known, key=lambda n: known[n])
            texts.append(f"{title} {known[low]:.3f} ({low}) to {known[high]:.3f} ({high})")
    return texts


def _plain(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return header, a rule and the rows as lines with columns of one width, the first `left` aligned to the left."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells).rstrip()

    return [line(header), "  ".join("-" * w for w in widths), *(line(r) for r in rows)]


def record_in_bundle(bundle: Bundle, folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics` into the bundle in `folder`: all of them into ``metrics.json``, what matters into the model card.

    Neither file decides a number of a cube, so the model's digest stays what it was.

    Raises
    ------
    OutputError
        If the bundle cannot be written.
    """
    write_scores(bundle, folder, "evaluation", metrics, card_section(metrics))


def write_scores(bundle: Bundle, folder: Path, name: str, metrics: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Write `metrics` under `name` into the bundle in `folder`, and `lines` as the card's section of what was measured.

    Raises
    ------
    OutputError
        If the bundle cannot be written.
    """
    before = bundle.card.split(MEASURED_HEADING)[0].rstrip("\n")
    card = "\n".join((before, "", MEASURED_HEADING, *lines, ""))
    try:
        with sole_writer(folder, wait_seconds=_WAIT_SECONDS):
            there = read_bundle(folder)  # another evaluation may have written its scores meanwhile
            bundle.metrics, bundle.provenance = there.metrics, there.provenance
            bundle.metrics[name], bundle.card = dict(metrics), card
            write_description(bundle, folder)
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
        for name, task_scores in protocols.items():
            lines += _card_remarks(key, name, task_scores)
    return [*lines, "", metrics["verdict"]] if "verdict" in metrics else lines


def _card_remarks(key: str, protocol: str, task_scores: Mapping[str, Any]) -> list[str]:
    """Return what is said of one pollutant and protocol: the split, the best baseline, the coverage by class."""
    own = task_scores["methods"][MODEL]
    ratios = ", ".join(ratio_texts(task_scores["against_best_baseline"]))
    lines = [
        f"- {SPECIES[key].title}, {protocol}: {task_scores['stations']} hidden stations, in the median "
        f"{task_scores['median_nearest_km']:.0f} km from the nearest visible one. AQ-Net over the best baseline: "
        f"{ratios}."
    ]
    if task_scores.get("instrument_floor"):
        lines.append(f"  Readings: {floor_text(task_scores['instrument_floor'], SPECIES[key].units)}.")
    by_class = coverage_texts(own)
    if by_class:
        lines.append(f"  Coverage by class, least to greatest: {'; '.join(by_class)}.")
    return lines
