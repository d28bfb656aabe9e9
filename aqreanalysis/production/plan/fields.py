"""Covariates of a run: whether its hours have them, and what the cube says of those that are missing."""

from __future__ import annotations

import numpy as np

from aqreanalysis.errors import ModelError
from aqreanalysis.model import Predictor
from aqreanalysis.production.plan.inputs import Span


def digest_covariates(predictor: Predictor) -> dict[str, str]:
    """Return what a fingerprint says of the covariates: nothing for a model without."""
    source = predictor.covariates
    return {} if source is None else {"covariates": source.digest()}


def missing_hours(predictor: Predictor, span: Span) -> dict[str, int]:
    """Return by field how many hours of the span the files do not have; only fields that change by the hour.

    Raises
    ------
    ModelError
        If a field has none of them: the model would run on nothing.
    """
    source = predictor.covariates
    if source is None:
        return {}
    wanted = np.arange(span.first_hour, span.first_hour + span.hours, dtype=np.int64)
    missing = {key: int((~np.isin(wanted, source.hours(key))).sum()) for key in source.hourly}
    empty = [key for key, count in missing.items() if count == len(wanted)]
    if empty:
        raise ModelError(
            f"no {', '.join(empty)} among the covariates between {_stamp(wanted[0])} and {_stamp(wanted[-1])}, "
            f"which the run reads; the model was trained with {'it' if len(empty) == 1 else 'them'}: give the files "
            "of these hours with --covariates"
        )
    return missing


def covariates_text(predictor: Predictor, span: Span) -> dict[str, str]:
    """Return the attribute of a cube that names its covariates and counts their missing hours; none without any."""
    source = predictor.covariates
    if source is None:
        return {}
    gaps = [f"{key} {count}" for key, count in missing_hours(predictor, span).items() if count]
    told = f"; hours without a value, of {span.hours} read: {', '.join(gaps)}" if gaps else ""
    return {"covariates": f"{', '.join(source.fields)}, sha256 {source.digest()}{told}"}


def _stamp(hour: np.int64) -> str:
    return f"{np.datetime64(int(hour), 'h')} UTC"
