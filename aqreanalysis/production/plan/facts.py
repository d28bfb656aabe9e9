"""What a cube says of its making: the moment, this package's version, whether anything in it is synthetic."""

from __future__ import annotations

import importlib.metadata
import os
import time
from datetime import UTC, datetime

from aqreanalysis.errors import ConfigError
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations


def package_version() -> str:
    """Return the version of this package."""
    return importlib.metadata.version("aqreanalysis")


def synthetic_label(observations: Observations, predictor: Predictor) -> str:
    """Return what to say of a synthetic origin of the readings or of the model's training, or an empty string."""
    parts = []
    label = observations.attributes.get("synthetic", "")
    if label:
        parts.append(f"The observations are synthetic: {label}.")
    trained = predictor.trained_on_synthetic
    if trained:
        parts.append(f"The model was trained on synthetic observations: {trained}.")
    return " ".join(parts)


def now_text() -> str:
    """Return the present moment as ``2026-01-31T12:00:00Z``; SOURCE_DATE_EPOCH, the usual variable, overrides it.

    Raises
    ------
    ConfigError
        If SOURCE_DATE_EPOCH is no number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is not None and not text.isdigit():
        raise ConfigError(f"SOURCE_DATE_EPOCH = {text!r}: give seconds since 1970, or unset it")
    seconds = time.time() if text is None else int(text)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
