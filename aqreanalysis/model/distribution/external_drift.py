"""The external drift: what height and population say of a place, taken off readings and put back onto estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ModelError
from aqreanalysis.geography import FIELDS, describe


@dataclass(frozen=True)
class Drift:
    """A constant of each place and pollutant, linear in the fields of `aqreanalysis.geography`.

    Stations stand in valleys and towns, and what lies between is higher and emptier. The network works on readings
    less the drift of their stations, and its estimate gets the drift of its place: nothing is paid by the hour.

    Attributes
    ----------
    slopes : dict
        By pollutant, standardised log units per unit of each field, in the order of `FIELDS`.
    low, middle, high : tuple of float
        Of each field at the stations that it was learned at. Beyond `low` and `high` the drift stays what it is there:
        nothing says how it goes on.
    """

    slopes: dict[str, tuple[float, ...]]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]

    def at(self, lat: NDArray[np.float64], lon: NDArray[np.float64], keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the drift of places, float32 (place, key) in standardised log units; arguments in degrees."""
        fields = np.clip(describe(lat, lon), self.low, self.high) - self.middle
        slopes = np.array([self.slopes.get(key, (0.0,) * len(FIELDS)) for key in keys])
        # One after the other: of a matrix product the last digit depends on how many places there are.
        return np.asarray(sum(fields[:, [i]] * slopes[:, i] for i in range(len(FIELDS))), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain numbers, with the names of the fields."""
        slopes = {key: list(values) for key, values in self.slopes.items()}
        bounds = {name: list(getattr(self, name)) for name in ("low", "middle", "high")}
        return {"fields": list(FIELDS), "slopes": slopes, **bounds}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Drift:
        """Return what `to_dict` gave.

        Raises
        ------
        ModelError
            If it is of other fields than this program has.
        """
        if stored["fields"] != list(FIELDS):
            raise ModelError(
                f"the model's drift is of {', '.join(stored['fields'])}, this program knows {', '.join(FIELDS)}: "
                "retrain, or install the version that trained it"
            )
        slopes = {key: tuple(values) for key, values in stored["slopes"].items()}
        return cls(slopes, *(tuple(stored[name]) for name in ("low", "middle", "high")))
