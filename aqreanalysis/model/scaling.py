"""Concentrations <-> the standardised logarithms that the network works in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Share of the median that is added before the logarithm: near zero, instruments count noise, and a plain logarithm
# would make of it the largest signal there is.
_OFFSET_SHARE = 0.1


@dataclass(frozen=True)
class Scaling:
    """``(log(x + offset) - mean) / std`` for one pollutant; `offset` in its units.

    Attributes
    ----------
    offset, mean, std : float
        Of the training readings.
    typical_error : float
        Mean absolute deviation from the median, in the pollutant's units: what makes scores of several comparable.
    """

    offset: float
    mean: float
    std: float
    typical_error: float

    @classmethod
    def fit(cls, values: NDArray[np.float32]) -> Scaling:
        """Return the scaling of the finite `values`, which must hold at least two different readings."""
        finite = values[np.isfinite(values)].astype(np.float64)
        median = float(np.median(finite)) if finite.size else 0.0
        if finite.size < 2 or np.ptp(finite) == 0:
            raise ValueError("a scaling needs at least two different readings")
        offset = _OFFSET_SHARE * (median if median > 0 else float(finite.mean()))
        logs = np.log(np.maximum(finite, 0.0) + offset)
        return cls(offset, float(logs.mean()), float(logs.std()), float(np.abs(finite - median).mean()))

    def forward(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return standardised logs of concentrations; NaN stays NaN, small negative readings count as zero."""
        return ((np.log(np.maximum(values, 0.0) + self.offset) - self.mean) / self.std).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the four numbers by name."""
        return asdict(self)
