"""A cube as monthly or yearly files: which steps go to which, and their chunks out of those of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.production.plan.timeline import FREQUENCIES
from aqreanalysis.production.stores.chunks import ChunkFolder, Form, forms_of
from aqreanalysis.production.template import Template

_UNITS = {"month": "M", "year": "Y"}


def parts_of(plan: Plan, split: str, utc_offset_hours: int = 0) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the label (``201901`` or ``2019``) and the half-open range of steps of each file.

    A step belongs to the month or year in which it begins, by the clock that is so many hours ahead of UTC.

    Raises
    ------
    ConfigError
        If a step is longer than a file.
    """
    order = list(FREQUENCIES)
    if order.index(plan.frequency) > order.index("monthly" if split == "month" else "annual"):
        raise ConfigError(f"split {split}: a step of the {plan.frequency} cube is longer than a {split}; split by year")
    begins = (plan.bounds[:, 0] + utc_offset_hours).astype("M8[h]").astype(f"M8[{_UNITS[split]}]")
    edges = [0, *(np.flatnonzero(begins[1:] != begins[:-1]) + 1).tolist(), len(begins)]
    for start, stop in pairwise(edges):
        yield str(begins[start]).replace("-", ""), (start, stop)


def part_plan(plan: Plan, steps: tuple[int, int]) -> Plan:
    """Return the plan of some steps of a cube as a cube of its own."""
    begin, end = int(plan.bounds[steps[0], 0]), int(plan.bounds[steps[1] - 1, 1])
    return replace(
        plan,
        first_hour=begin + 1,
        hours=end - begin,
        block=(min(plan.block[0], steps[1] - steps[0]), *plan.block[1:]),
        edges=plan.edges[steps[0] : steps[1] + 1],
    )


class ChunkPart:
    """Some steps of a staging folder, read as if they were a folder of their own.

    Chunks that lie whole in the part, at a place where it has one too, are given as they are; others are put together
    anew.

    Attributes
    ----------
    forms : dict
        Name of each layer -> `Form` of its chunks in the part.
    """

    def __init__(self, whole: ChunkFolder, template: Template, first_step: int) -> None:
        level = next(iter(whole.forms.values())).level
        self.forms: dict[str, Form] = forms_of(template, level)
        self._whole, self._first = whole, first_step

    def read(self, name: str, block: Block) -> bytes:
        """Return the chunk of one layer of a block of the part, as HDF5 stores it."""
        ours, theirs = self.forms[name], self._whole.forms[name]
        if len(ours.chunk) < 3:  # a map, the same in every part
            return self._whole.read(name, block)
        start, stop = (self._first + step for step in block.time)
        size = theirs.chunk[0]
        if ours.chunk == theirs.chunk and start % size == 0 and stop - start == size:
            return self._whole.read(name, replace(block, time=(start, stop)))
        pieces = [self._piece(name, block, index, (start, stop)) for index in range(start // size, -(-stop // size))]
        return ours.encode(np.concatenate(pieces))

    def _piece(self, name: str, block: Block, index: int, steps: tuple[int, int]) -> NDArray[np.generic]:
        """Return what chunk `index` of the whole along time holds of some steps."""
        size = self._whole.forms[name].chunk[0]
        held = replace(block, time=(index * size, (index + 1) * size))
        values = self._whole.forms[name].decode(self._whole.read(name, held))
        begin, end = max(steps[0] - index * size, 0), min(steps[1] - index * size, size)
        return values[begin:end, : block.rows[1] - block.rows[0], : block.columns[1] - block.columns[0]]
