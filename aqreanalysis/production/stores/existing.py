"""A finished cube as the beginning of a longer one: what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.errors import CubeError, OutputError, in_one_line
from aqreanalysis.production.layers import CONVENTIONS_VERSION, VERSION_ATTRIBUTE
from aqreanalysis.production.plan import HOURS_A_DAY
from aqreanalysis.production.plan.block_keys import READINGS, RUN, DayChecksums, MadeFrom, Reach

if TYPE_CHECKING:
    from aqreanalysis.production.template import Template

# What the history keeps of a cube that grows, and the moment it was first made.
_CARRIED = ("history", "date_created")
# Name -> NumPy type and dimensions.
LayerTypes = dict[str, tuple[str, tuple[str, ...]]]


class Location(Protocol):
    """The name of a finished cube: a path on a disk, or what stands for one elsewhere."""

    @property
    def name(self) -> str:
        """Its last part."""

    @property
    def stem(self) -> str:
        """Its last part without the ending."""

    @property
    def suffix(self) -> str:
        """The ending."""

    def with_name(self, name: str, /) -> Self:
        """Return the place beside it."""

    def exists(self) -> bool:
        """Tell whether anything is there."""


@dataclass(frozen=True)
class StoredHeader:
    """What is read of a finished cube before its numbers.

    Attributes
    ----------
    attrs : dict
        Of the whole.
    bounds : int64 (step, 2)
        Of its steps, hours since 1970-01-01 00:00 UTC.
    layers : dict
        Name -> NumPy type and dimensions, of every variable.
    """

    attrs: dict[str, Any]
    bounds: NDArray[np.int64]
    layers: LayerTypes


@dataclass(frozen=True)
class ExistingCube:
    """A cube that exists and is to grow.

    Attributes
    ----------
    path : Location
        The last one of several files.
    bounds : int64 (step, 2)
        Of its steps, hours since 1970-01-01 00:00 UTC.
    made_from : MadeFrom
        What it says that it was made from.
    carried : dict
        Attributes that the longer cube carries on.
    layers : dict
        Name -> NumPy type and dimensions.
    parts : tuple of ExistingCube
        The files of months or years that it is made of, in their order; none where it is one file or store.
    """

    path: Location
    bounds: NDArray[np.int64]
    made_from: MadeFrom
    carried: dict[str, str]
    layers: LayerTypes
    parts: tuple[ExistingCube, ...] = ()

    @classmethod
    def read(cls, path: Location, there: bool, read_header: Callable[[], StoredHeader]) -> ExistingCube:
        """Return the cube at `path`.

        Parameters
        ----------
        path : Location
            Where.
        there : bool
            Whether a cube is there.
        read_header : callable
            Reads what it says of itself.

        Raises
        ------
        OutputError
            If there is none, or it does not say how it was made.
        CubeError
            If it cannot be read.
        """
        if not there:
            raise OutputError(f"there is no cube {path} to append to; produce it without --append first")
        try:
            header = read_header()
        except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise CubeError(f"{path} cannot be read as a cube: {in_one_line(error)}") from None
        attrs = header.attrs
        if RUN not in attrs or READINGS not in attrs:
            raise OutputError(
                f"{path} does not say from which readings it was made: an older version or another program wrote it; "
                "produce it anew, then it can grow"
            )
        if (version := str(attrs.get(VERSION_ATTRIBUTE, "1"))) != CONVENTIONS_VERSION:
            raise OutputError(
                f"{path} follows conventions {version} of this program's cubes and a run writes {CONVENTIONS_VERSION}: "
                "produce it anew, then it can grow"
            )
        carried = {key: str(attrs[key]) for key in _CARRIED if key in attrs}
        layers = {name: form for name, form in header.layers.items() if {"lat", "lon"} <= set(form[1])}
        return cls(path, header.bounds, MadeFrom.from_attributes(attrs), carried, layers)

    @classmethod
    def joined(cls, parts: tuple[ExistingCube, ...]) -> ExistingCube:
        """Return the cube whose steps are in several files, one after the other.

        Raises
        ------
        OutputError
            If one between them is missing.
        """
        for one, after in pairwise(parts):
            if one.hours[1] != after.hours[0]:
                raise OutputError(
                    f"{one.path} ends {stamp_text(one.hours[1])} and {after.path} begins {stamp_text(after.hours[0])}: "
                    "a file between them is missing, or one was cut; put it back, or produce the cube anew"
                )
        last = parts[-1]
        readings, covariates = [part.made_from.readings for part in parts], [p.made_from.covariates for p in parts]
        known = [one for one in covariates if one is not None]
        made_from = MadeFrom(
            last.made_from.run,
            _joined(parts, readings),
            _joined(parts, known) if len(known) == len(parts) else None,
        )
        bounds = np.concatenate([part.bounds for part in parts])
        return cls(last.path, bounds, made_from, last.carried, last.layers, parts)

    def day_keys(self, reach: Reach) -> dict[int, bytes]:
        """Return UTC day -> the key of its estimates; each file that holds some of its hours says it for itself."""
        keys: dict[int, bytes] = {}
        for file in self.files:
            for day in range(*file.days):
                key = file.made_from.day_key(day, reach)
                keys[day] = key if keys.get(day, key) == key else b""
        return keys

    @property
    def files(self) -> tuple[ExistingCube, ...]:
        """The files that it is made of, itself where it is one."""
        return self.parts or (self,)

    @property
    def days(self) -> tuple[int, int]:
        """Half-open range of the UTC days that it touches."""
        return self.hours[0] // HOURS_A_DAY, -(-self.hours[1] // HOURS_A_DAY)

    @property
    def hours(self) -> tuple[int, int]:
        """Where it begins and ends, hours since 1970-01-01 00:00 UTC."""
        return int(self.bounds[0, 0]), int(self.bounds[-1, 1])

    @property
    def identity(self) -> str:
        """What tells this state of the cube from the one before and after it has grown."""
        return "\n".join(f"{one.hours[1]} {one.carried.get('history', '')}" for one in self.files)

    def check_fits(self, template: Template) -> None:
        """Refuse a template that does not continue this cube.

        Raises
        ------
        OutputError
            If its layers differ, or its steps are not those of the template, which goes on after them.
        """
        wanted = {layer.name: (np.dtype(layer.dtype).str, layer.dims) for layer in template.layers}
        for file in self.files:
            if file.layers != wanted:
                theirs, ours = (
                    ", ".join(name for name in one if one[name] != other.get(name)) or "none more"
                    for one, other in ((file.layers, wanted), (wanted, file.layers))
                )
                raise OutputError(
                    f"{file.path} has other layers than this run: {theirs} there, {ours} here; produce it anew"
                )
        count = len(self.bounds)
        if count > template.plan.steps or not np.array_equal(template.plan.bounds[:count], self.bounds):
            raise OutputError(
                f"the steps of {self.path} are not those of this run from the same beginning: it was cut or resampled, "
                "or its periods begin at another clock (--utc-offset); produce it anew"
            )


def _joined(parts: Sequence[ExistingCube], records: Sequence[DayChecksums]) -> DayChecksums:
    """Return one record of all parts, of which each has its own: of each day that of the part that holds it.

    A part that did not change when a later one was written has the record of its own making.
    """
    owners = {day: place for place, part in enumerate(parts) for day in range(*part.days)}
    begin, stop = min(owners), max(owners)
    days = []
    for day in range(records[0].first_day, records[-1].days.stop):
        owner = owners[min(max(day, begin), stop)]
        if (known := records[owner].get(day)) is None:
            raise CubeError(
                f"{parts[owner].path} does not say from which readings its own hours were made; produce it anew"
            )
        days.append(known)
    return DayChecksums(records[0].first_day, tuple(days))
