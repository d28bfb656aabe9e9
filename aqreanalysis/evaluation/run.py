"""``evaluate``: protocols, baselines and model in one run, and what is written about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.baselines.base import Progress
from aqreanalysis.evaluation.metrics import SCHEMA, outcome_metrics, plain, write_json
from aqreanalysis.evaluation.pictures import draw_pictures, look_inside
from aqreanalysis.evaluation.protocols import PROTOCOLS, EvaluationOptions, Outcome, ask, run_protocol
from aqreanalysis.evaluation.record import record_in_bundle
from aqreanalysis.evaluation.report import write_report
from aqreanalysis.evaluation.splits import Split
from aqreanalysis.model.predictor import Predictor, load_predictor
from aqreanalysis.observations import Observations

METRICS = "metrics.json"
REPORT = "report.html"


def evaluate(
    model: str | Path | Predictor,
    observations: Observations,
    out: str | Path,
    options: EvaluationOptions | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a model at the stations that its split hides, with every baseline on the same hours and stations.

    Returns the content of ``metrics.json``: under ``species``, by pollutant and protocol, the scores of each method
    overall, by distance to the nearest visible station and by level. Writes into `out` that file, pictures (PNG),
    ``report.html``, which needs no other file, and ``report.json``, the numbers in the pictures; a bundle given as a
    directory gets the scores too, into its ``metrics.json`` and its model card.

    Parameters
    ----------
    model : str, Path or Predictor
        A bundle's directory, or the model it holds.
    observations : Observations
        Readings of the network that the model was trained on.
    out : str or Path
        Directory; made if it is not there.
    options : EvaluationOptions, optional
        Protocols, hours, device; defaults as documented there.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        If `out` holds an evaluation already and ``options.overwrite`` is not set, or cannot be written.
    ModelError, ObservationsError
        If model and observations do not fit, or no hour is left to score.
    """
    options = options or EvaluationOptions()
    folder = _folder(Path(out), options.overwrite)
    predictor = model if isinstance(model, Predictor) else load_predictor(model, options.device)
    split = Split.of_bundle(predictor.bundle)
    outcomes: list[Outcome] = []
    for number, name in enumerate(options.protocols):
        step = _part(progress, number, len(options.protocols))
        outcomes += run_protocol(predictor, ask(observations, split, PROTOCOLS[name], options), step)
    metrics = plain(_metrics(outcomes, observations, predictor, options))
    inside = look_inside(predictor, observations, outcomes[0].hours)
    write_report(metrics, draw_pictures(outcomes, folder, inside), folder / REPORT, inside.notes)
    if not isinstance(model, Predictor):
        record_in_bundle(predictor.bundle, Path(model), metrics)
    # Last: a folder with metrics.json holds the whole of an evaluation.
    write_json(metrics, folder / METRICS)
    return dict(metrics)


def _metrics(
    outcomes: Sequence[Outcome], observations: Observations, predictor: Predictor, options: EvaluationOptions
) -> dict[str, Any]:
    species: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        species.setdefault(outcome.species, {})[outcome.protocol.name] = outcome_metrics(outcome)
    first = next(iter(next(iter(species.values())).values()))
    return {
        "schema": SCHEMA,
        "model_digest": predictor.digest,
        "observations_digest": observations.digest(),
        "observations": {"stations": len(observations.stations), **observations.attributes},
        "coverage": predictor.config.uncertainty.coverage,
        "hours": {
            "choice": options.hours,
            "every": options.every,
            "first": first["first"],
            "last": first["last"],
        },
        "species": species,
    }


def _folder(out: Path, overwrite: bool) -> Path:
    if (out / METRICS).exists() and not overwrite:
        raise OutputError(f"{out} holds an evaluation already ({METRICS}): choose another --out or pass --overwrite")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if overwrite:
            (out / METRICS).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    return out


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    if progress is None:
        return None

    def report_part(done: int, total: int, note: str) -> None:
        progress(number * total + done, parts * total, note)

    return report_part
