"""All pictures of an evaluation, drawn into its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aqreanalysis.common.progress import Progress
from aqreanalysis.evaluation.pictures.classes import picture_classes
from aqreanalysis.evaluation.pictures.cycles import picture_cycles
from aqreanalysis.evaluation.pictures.network import ModelInternals, picture_attention, picture_neighbours
from aqreanalysis.evaluation.pictures.reliability import picture_pit, picture_reliability
from aqreanalysis.evaluation.pictures.series import picture_series
from aqreanalysis.evaluation.pictures.skill import picture_density, picture_distance, picture_errors
from aqreanalysis.evaluation.pictures.style import Picture
from aqreanalysis.evaluation.protocols import TaskResult

#: In the order of the report.
_KINDS: dict[str, Callable[[TaskResult, Path], Picture | None]] = {
    "reliability": picture_reliability,
    "pit": picture_pit,
    "classes": picture_classes,
    "distance": picture_distance,
    "density": picture_density,
    "errors": picture_errors,
    "cycles": picture_cycles,
    "series": picture_series,
}
NETWORK = "network"


def draw_pictures(
    results: Sequence[TaskResult], folder: Path, inside: ModelInternals | None = None, progress: Progress | None = None
) -> dict[str, list[Picture]]:
    """Return the pictures drawn into `folder`, by ``<pollutant> <protocol>``; those of the network under `NETWORK`.

    Parameters
    ----------
    results : sequence of TaskResult
        What was asked and answered.
    folder : Path
        Where the PNG files go.
    inside : ModelInternals, optional
        What the network has learned.
    progress : callable, optional
        Called as ``progress(done, total, "pictures")``.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    total = len(results) * len(_KINDS) + 1
    drawn: dict[str, list[Picture]] = {}
    for number, result in enumerate(results):
        stem = f"{result.species}_{result.protocol.name}"
        pictures = drawn.setdefault(f"{result.species} {result.protocol.name}", [])
        for place, (name, draw) in enumerate(_KINDS.items()):
            picture = draw(result, folder / f"{stem}_{name}.png")
            if picture is not None:
                pictures.append(picture)
            if progress is not None:
                progress(number * len(_KINDS) + place + 1, total, "pictures")
    if inside is not None:
        drawn[NETWORK] = _network(inside, folder)
    if progress is not None:
        progress(total, total, "pictures")
    return drawn


def _network(inside: ModelInternals, folder: Path) -> list[Picture]:
    pictures = [
        picture_neighbours(species, learned, folder / f"network_neighbours_{species}.png")
        for species, learned in inside.neighbours.items()
    ]
    if inside.attention is not None:
        pictures.insert(0, picture_attention(inside.attention, folder / "network_attention.png"))
    return pictures
