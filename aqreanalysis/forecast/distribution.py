"""The distribution of a long forecast: one `Predictive` for each range of leads, joined to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.model.distribution.hourly import Array, Calibration, Predictive, Summary
from aqreanalysis.model.network.scaling import Scaling

# Hours whose residuals have one shape.
_EDGES = (0, 3, 6, 12, 24, 48)


def lead_ranges(lead_hours: int) -> dict[str, slice]:
    """Return the leads that share a calibration, by name: hours together, each daily mean alone."""
    edges = [e for e in _EDGES if e < lead_hours] + [lead_hours]
    hours = {f"{a + 1} to {b} h": slice(a, b) for a, b in pairwise(edges)}
    days = range(lead_hours // 24)
    return hours | {f"day {d + 1}": slice(lead_hours + d, lead_hours + d + 1) for d in days}


def range_key(species: str, label: str) -> str:
    """Return the key of a pollutant's calibration for a range of leads in a bundle."""
    return f"{species}, {label}"


class LeadPredictive:
    """Distribution of each lead at each window and place, (lead, window * place) throughout, in the pollutant's units.

    Parameters
    ----------
    location, scale : Tensor
        In standardised logs (window * place, lead).
    nearest_km : Tensor
        Distance to the nearest station (window * place,).
    available : Tensor
        How many of a place's neighbours it rests on (window * place,).
    scaling : Scaling
        Of the pollutant.
    tables : dict
        The calibration of each range of leads, in their order, with its slice.
    """

    def __init__(
        self,
        location: Tensor,
        scale: Tensor,
        nearest_km: Tensor,
        available: Tensor,
        scaling: Scaling,
        tables: Mapping[str, tuple[slice, Calibration]],
    ) -> None:
        self.ranges = {label: leads for label, (leads, _) in tables.items()}
        counted = available[:, None].expand_as(location)
        self._parts = [
            Predictive(location[:, leads], scale[:, leads], counted[:, leads], nearest_km, scaling, table)
            for leads, table in tables.values()
        ]

    @property
    def observations_used(self) -> NDArray[np.int16]:
        """How many of the nearest stations read the pollutant before the origin."""
        return np.concatenate([part.observations_used for part in self._parts])

    @property
    def reporting_km(self) -> Array:
        """Distance to the nearest station."""
        return np.concatenate([part.reporting_km for part in self._parts])

    def summary(self, coverage: float = 0.9) -> Summary:
        """Return best, mean, standard error and the bounds of the central interval at once."""
        parts = [part.summary(coverage) for part in self._parts]
        return Summary(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Summary)))

    def _joined(self, ask: Callable[[Predictive], Array]) -> Array:
        return np.concatenate([ask(part) for part in self._parts])

    def _each(self, values: Array | float) -> list[Any]:
        if np.ndim(values) == 0:
            return [values] * len(self._parts)
        return [np.asarray(values)[leads] for leads in self.ranges.values()]

    def quantile(self, p: float) -> Array:
        """Return the `p` quantile, not negative."""
        return self._joined(lambda part: part.quantile(p))

    def interval(self, coverage: float = 0.9) -> tuple[Array, Array]:
        """Return the lower and upper bound of the central interval that covers `coverage`."""
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    @property
    def best(self) -> Array:
        """The median: what the absolute error asks for."""
        return self.quantile(0.5)

    @property
    def mean(self) -> Array:
        """The mean: what the squared error asks for."""
        return self._joined(lambda part: part.mean)

    @property
    def standard_error(self) -> Array:
        """The standard deviation."""
        return self._joined(lambda part: part.standard_error)

    def cdf(self, value: Array | float) -> Array:
        """Return the probability that the concentration is at most `value`; NaN stays NaN."""
        pairs = zip(self._parts, self._each(value), strict=True)
        return np.concatenate([part.cdf(some) for part, some in pairs])

    def exceedance(self, threshold: float) -> Array:
        """Return the probability that the concentration exceeds `threshold`."""
        return (1.0 - self.cdf(threshold)).astype(np.float32)

    def crps(self, observed: Array) -> Array:
        """Return the continuous ranked probability score against `observed`; NaN where there is no observation."""
        pairs = zip(self._parts, self._each(observed), strict=True)
        return np.concatenate([part.crps(some) for part, some in pairs])
