"""One line that says which method was best where, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aqreanalysis.model.bundle import MODEL_TITLE
from aqreanalysis.species import SPECIES

_SCORE = "mae"


def verdict(species: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the verdict on a run: where the model is best, where a baseline is, and where neither was shown.

    By the mean absolute error, against the best baseline of the run. One of the two is better where the bounds of the
    bootstrap leave out a ratio of one; without bounds, or with one inside them, no difference was shown.

    Parameters
    ----------
    species : mapping
        Scores by pollutant and protocol, as under ``species`` in ``metrics.json``.
    """
    better: list[str] = []
    level: list[str] = []
    worse: dict[str, list[str]] = {}
    for key, protocols in species.items():
        for protocol, task_scores in protocols.items():
            against = task_scores["against_best_baseline"].get(_SCORE)
            if against is None or against["ratio"] is None or not math.isfinite(against["ratio"]):
                continue
            title = str(task_scores["methods"][against["best"]]["title"])
            where = f"{SPECIES[key].title} {protocol}"
            low, high = against["low"], against["high"]
            if low is not None and high < 1:
                better.append(f"{where} ({_amount(against)} of that of {title})")
            elif low is not None and low > 1:
                worse.setdefault(title, []).append(f"{where} ({MODEL_TITLE} has {_amount(against)} of its)")
            else:
                level.append(f"{where} ({_amount(against)} of that of {title})")
    parts = [f"{MODEL_TITLE} is best for {', '.join(better)}"] if better else []
    parts += [f"{title} is better than {MODEL_TITLE} for {', '.join(places)}" for title, places in worse.items()]
    parts += (
        [f"no difference shown between {MODEL_TITLE} and the best baseline for {', '.join(level)}"] if level else []
    )
    return f"Verdict by MAE: {'; '.join(parts) or 'nothing was scored'}."


def _amount(against: Mapping[str, Any]) -> str:
    bounds = "no bounds" if against["low"] is None else f"{against['low']:.3f} to {against['high']:.3f}"
    return f"{against['ratio']:.3f} [{bounds}]"


def floor_text(floor: Mapping[str, Any], units: str) -> str:
    """Return what is said of a floor of instruments and of the skill beside it."""
    text = f"two instruments side by side differ by {floor['mae']:.3g} {units} each ({floor['pairs']} pairs)"
    if floor["skill"] is None:
        return f"{text}; the best baseline is no worse than that"
    return f"{text}; beside this floor MAE is {floor['skill']:.3f} of {floor['best']}'s"
