"""Rules of the stored bytes: each chunk is the one that was written, and what cannot be read is named."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.errors import in_one_line
from aqreanalysis.production.stores.chunk_digests import damaged_chunks
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import Finding, rule

_NAMED = 10
_WAY_OUT = "produce --repair computes it anew"
UNREADABLE_REASON = "a number that nobody can read is lost to every client"


@rule("chunk-digests", "error", "a bit that flipped on a disk gives another number, and most formats do not notice")
def chunk_digests(cube: RawCube) -> Iterator[str]:
    if cube.file is None:
        return
    damaged = damaged_chunks(cube.file)
    places: dict[str, list[str]] = {}
    for name, index, chunk in damaged or ():
        starts = [i * n for i, n in zip(index, chunk, strict=True)]
        places.setdefault(_place(cube, name, starts), []).append(name)
    for number, (place, names) in enumerate(places.items()):
        if number == _NAMED:
            yield f"{len(places) - _NAMED} more blocks are damaged"
            return
        yield f"the block {place} is damaged: {', '.join(names)} there are not what was written; {_WAY_OUT}"


def unreadable(cube: RawCube, error: Exception) -> Iterator[Finding]:
    """Yield a finding for each chunk that cannot be read, after `error` was met on the way through the values."""
    count = 0
    for name in cube.layers:
        layer, chunk = cube.raw[name], cube.chunks(name)
        for starts in product(*(range(0, size, step) for size, step in zip(layer.shape, chunk, strict=True))):
            region = {dim: slice(a, a + n) for dim, a, n in zip(layer.dims, starts, chunk, strict=True)}
            try:
                np.asarray(layer.isel(region).values)
            except Exception as reason:  # each backend has its own ways to fail on a damaged chunk
                count += 1
                if count <= _NAMED:
                    said = " ".join(f"{reason}".split())[:80]
                    place = _place(cube, name, list(starts))
                    message = f"{name} {place} cannot be read ({said}); {_WAY_OUT}"
                    yield Finding("readable", "error", message, UNREADABLE_REASON)
    if count == 0:
        yield Finding("readable", "error", f"the values cannot be read: {in_one_line(error, 160)}", "")


def _place(cube: RawCube, name: str, starts: list[int]) -> str:
    """Return where a chunk lies."""
    dims = cube.raw[name].dims
    where = dict(zip(map(str, dims), starts, strict=True))
    bounds = cube.attrs("time").get("bounds", "")
    begin = ""
    if "time" in where and bounds in cube.raw.variables:
        begin = f"from {stamp_text(int(cube.numbers(bounds)[where['time'], 0]))}, "
    return f"at {begin}row {where.get('lat', 0)}, column {where.get('lon', 0)}"
