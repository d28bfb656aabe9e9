"""The external drift: what the ground says of a place, taken off readings and put back onto estimates.

Height and population (`aqreanalysis.geography`) are always there; rasters and tables of points that were given when the
model was trained stand beside them, each over several windows at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ModelError
from aqreanalysis.geography import FIELDS, describe

Degrees = NDArray[np.float64]
Floats = NDArray[np.float64]

#: What is made of a mean: its logarithm, and itself.
LOGARITHM, LINEAR = "log", "linear"


@dataclass(frozen=True)
class StaticField:
    """A static field of the drift: a raster, or a table of points, and the columns of the regression that it gives.

    Attributes
    ----------
    name : str
        Its own, by which its file is given again.
    source : str
        Name of the file, with the column or variable that was read; for people.
    digest : str
        sha256 of the file's content and of what is read of it.
    windows_km : tuple of float
        Over which means are taken around a place.
    transforms : tuple of str
        What is made of each mean: `LOGARITHM`, ``log(1 + x / little)``, and `LINEAR`.
    little : float
        What counts as little, in the field's units.
    """

    name: str
    source: str
    digest: str
    windows_km: tuple[float, ...]
    transforms: tuple[str, ...] = (LOGARITHM, LINEAR)
    little: float = 1.0

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> StaticField:
        """Return the field from what `dataclasses.asdict` made of it, lists for tuples."""
        read: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        return cls(**read)

    @property
    def width(self) -> int:
        """How many columns it gives."""
        return len(self.windows_km) * len(self.transforms)

    def columns(self, means: Floats) -> Floats:
        """Return the columns (place, column) of the means (place, window), NaN where these are."""
        parts = {LOGARITHM: np.log1p(np.maximum(means, 0.0) / self.little), LINEAR: means}
        return np.concatenate([parts[name] for name in self.transforms], axis=1)


class StaticSource(Protocol):
    """Where static fields are read; `aqreanalysis.covariates.StaticFields` offers it."""

    @property
    def fields(self) -> tuple[StaticField, ...]:
        """What is there."""

    def means(self, name: str, lat: Degrees, lon: Degrees, windows_km: Sequence[float]) -> Floats:
        """Return means of a field around places, float64 (place, window), NaN where it has none."""


@dataclass(frozen=True)
class Drift:
    """A constant of each place and pollutant, linear in what the ground says of the place.

    Stations stand in valleys and towns, and what lies between is higher and emptier. The network works on readings
    less the drift of their stations, and its estimate gets the drift of its place: nothing is paid by the hour.

    Attributes
    ----------
    slopes : dict
        By pollutant, standardised log units per unit of each column: those of `aqreanalysis.geography.FIELDS`, then
        those of each of `static`.
    low, middle, high : tuple of float
        Of each column at the stations that it was learned at. Beyond `low` and `high` the drift stays what it is there:
        nothing says how it goes on. Where a static field has no value its columns are `low`: maps of people, roads and
        lights have none where nobody is, and maps of heights none at sea.
    static : tuple of StaticField
        Beside height and population.
    explained : dict
        By pollutant, the share of what kriging lastingly misses that is explained at towns left out: by ``all``, by
        height and population alone (``built-in``), and by how much less without each static field. Empty without any.
    source : StaticSource or None
        Where `static` are read; see `with_source`.
    """

    slopes: dict[str, tuple[float, ...]]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]
    static: tuple[StaticField, ...] = ()
    explained: dict[str, dict[str, float]] = field(default_factory=dict)
    source: StaticSource | None = field(default=None, repr=False, compare=False)

    def at(self, lat: Degrees, lon: Degrees, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the drift of places, float32 (place, key) in standardised log units; arguments in degrees.

        Raises
        ------
        CovariatesError
            If a file of a static field was changed or cannot be read.
        """
        columns = describe_places(lat, lon, self.static, self.source)
        fields = np.clip(np.where(np.isnan(columns), self.low, columns), self.low, self.high) - self.middle
        slopes = np.array([self.slopes.get(key, (0.0,) * len(self.low)) for key in keys])
        # One after the other: of a matrix product the last digit depends on how many places there are.
        return np.asarray(sum(fields[:, [i]] * slopes[:, i] for i in range(len(self.low))), np.float32)

    def with_source(self, source: StaticSource | None) -> Drift:
        """Return the same with the files of its static fields, which must be those that it was learned from.

        Raises
        ------
        ModelError
            If one is missing or is another file.
        """
        given = {one.name: one for one in source.fields} if source is not None else {}
        for one in self.static:
            if one.name not in given:
                raise ModelError(
                    f"the model's drift reads {_named(self.static)}, and {one.name} is not given: add "
                    f"--static {one.name}=PATH"
                )
            if given[one.name].digest != one.digest:
                raise ModelError(
                    f"static field {one.name}: {given[one.name].source} is not the {one.source} that the model was "
                    f"trained with (sha256 {given[one.name].digest[:12]} here, {one.digest[:12]} there): give that "
                    "file, or train the model again"
                )
        return replace(self, source=source)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain numbers, with the names of the fields."""
        slopes = {key: list(values) for key, values in self.slopes.items()}
        bounds = {name: list(getattr(self, name)) for name in ("low", "middle", "high")}
        beside = {"static": [asdict(one) for one in self.static], "explained": self.explained} if self.static else {}
        return {"fields": list(FIELDS), "slopes": slopes, **bounds, **beside}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Drift:
        """Return what `to_dict` gave; its static fields want their files again (`with_source`).

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
        static = tuple(StaticField.from_dict(one) for one in stored.get("static", ()))
        low, middle, high = (tuple(stored[name]) for name in ("low", "middle", "high"))
        return cls(slopes, low, middle, high, static, stored.get("explained", {}))


def describe_places(
    lat: Degrees, lon: Degrees, static: Sequence[StaticField] = (), source: StaticSource | None = None
) -> Floats:
    """Return the columns of a drift at places, float64 (place, column): height, population, then the static fields."""
    parts = [describe(lat, lon)]
    for one in static:
        assert source is not None, "a drift with static fields is bound to their files before it is asked"
        parts.append(one.columns(source.means(one.name, lat, lon, one.windows_km)))
    return np.concatenate(parts, axis=1)


def _named(static: Sequence[StaticField]) -> str:
    return ", ".join(f"{one.name} ({one.source})" for one in static)
