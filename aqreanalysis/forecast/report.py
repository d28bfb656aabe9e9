"""The forecast's part of the report: the table of scores by horizon, as rows and as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aqreanalysis.evaluation.pictures.style import Picture
from aqreanalysis.evaluation.report import figure
from aqreanalysis.species import SPECIES

_SCORES = (("mae", "MAE", 2), ("rmse", "RMSE", 2), ("r2", "R2", 3), ("crps", "CRPS", 2), ("coverage", "coverage", 3))


def forecast_rows(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table: pollutant, stations, method, horizon, n, and the scores."""
    header = ["pollutant", "stations", "method", "horizon", "n", *(title for _, title, _ in _SCORES)]
    rows = []
    for key, of_species in metrics["species"].items():
        species = SPECIES[key]
        extra = 2 if species.units.startswith("mg") else 0
        for where in ("visible", "hidden"):
            for method in of_species.get(where, {}).get("methods", {}).values():
                for label, scores in method["horizons"].items():
                    cells = [_cell(scores.get(name), digits + extra) for name, _, digits in _SCORES]
                    rows.append([species.title, where, method["title"], label, str(scores["n"]), *cells])
    return header, rows


def card_section(metrics: Mapping[str, Any]) -> list[str]:
    """Return the lines of the model card that were measured: the hours, and the table."""
    header, rows = forecast_rows(metrics)
    return [
        f"Forecasts of {metrics['lead_hours']} h from hours unseen in training, {metrics['unseen_from']} on, one every "
        f"{metrics['every']} h, at visible stations and at hidden ones; MAE is that of medians, RMSE and R2 those of "
        f"means, coverage that of the {metrics['coverage']:.0%} interval.",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _histories(metrics: Mapping[str, Any], folder: Path) -> list[str]:
    """Return two figures a pollutant: what of its history a forecast lives on, and what it attends to."""
    names = ("history", "attention")
    drawn = [(n, pictures[n]) for pictures in metrics["species"].values() for n in names if n in pictures]
    return [
        figure(Picture(name, one["caption"], one["alt"], folder / one["file"]))
        for name, one in drawn
        if (folder / one["file"]).is_file()
    ]


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def forecast_section(metrics: Mapping[str, Any], folder: Path, whole_page: bool = False) -> str:
    """Return the HTML of the section, or of a page that holds nothing else and needs no other file.

    Its pictures lie in `folder`; one that is not there is left out.
    """
    header, rows = forecast_rows(metrics)
    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    ratios = [
        f"<li>{html.escape(key)}, {where} stations, {label}: "
        + ", ".join(f"{n.upper()} {r['ratio']:.3f} of {html.escape(r['best'])}" for n, r in ratio.items())
        + "</li>"
        for key, scores in metrics["species"].items()
        for where in ("visible", "hidden")
        for label, ratio in scores.get(where, {}).get("against_best_baseline", {}).items()
    ]
    notes = [f"<p>{html.escape(n)}</p>" for scores in metrics["species"].values() for n in scores["notes"]]
    section = "\n".join(
        (
            "<section id='forecast'><h2>Forecast</h2>",
            f"<p>{metrics['history_hours']} h of history in, {metrics['lead_hours']} h out; hours from "
            f"{html.escape(metrics['unseen_from'])} on, which training did not see, a forecast every "
            f"{metrics['every']} h. Horizons in hours: mean over the first hours of hourly values; in days: over the "
            "first daily means. MAE is that of medians, RMSE and R2 those of means; hidden stations: inverse distance "
            "of the baselines' forecasts at the visible ones.</p>",
            f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>",
            "<p>AQ-Net's error as a share of the best baseline's:</p><ul>",
            *ratios,
            "</ul>",
            *_histories(metrics, folder),
            *notes,
            "</section>",
        )
    )
    if not whole_page:
        return section
    style = "body{font:15px sans-serif;margin:2em}td,th{padding:2px 8px;text-align:right}"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Forecast</title><style>{style}</style>"
        f"</head><body>\n{section}\n</body></html>\n"
    )
