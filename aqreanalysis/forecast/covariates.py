"""Covariates of the long forecast: what was measured or analysed at a place up to the origin, and nothing after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.network.scaling import FieldScaling

# Mean and standard deviation of the length of a pair of standard normal numbers (Rayleigh), about.
_LENGTH_MEAN, _LENGTH_STD = 1.25, 0.66


def history_fields(values: NDArray[np.float32], scaling: FieldScaling) -> NDArray[np.float32]:
    """Return covariates (..., field) in their units standardised, the speed of the wind behind them; NaN stays NaN.

    Means of hours are what is read of them, and from the mean of a wind that turns its speed is not to be had.
    """
    scaled = scaling.forward(values)
    if scaling.wind is None:
        return scaled
    east, north = scaling.wind
    speed = (np.hypot(scaled[..., east], scaled[..., north]) - _LENGTH_MEAN) / _LENGTH_STD
    return np.concatenate((scaled, speed[..., None]), axis=-1)


def history_width(scaling: FieldScaling | None) -> int:
    """Return how many numbers an hour `history_fields` returns."""
    return 0 if scaling is None else len(scaling.names) + (scaling.wind is not None)
