"""Rules of values: each yields a layer and a mask of what breaks it, slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.production.layers import DISTANCE
from aqreanalysis.species import Species
from aqreanalysis.validation.raw_cube import RawCube, Slab
from aqreanalysis.validation.rules import value_rule

Masks = Iterator[tuple[str, NDArray[np.bool_]]]
# float32 holds seven digits: bounds that were rounded may lie so far beyond the estimate.
_ROUNDING = 1e-5


def _bits(cube: RawCube, one: Species, slab: Slab, meaning: str) -> NDArray[np.bool_] | None:
    """Return where the flag of a pollutant has the bit of a meaning; None if it has no such bit."""
    flag = cube.flag_of(one)
    if flag is None or flag not in slab.values:
        return None
    attrs = cube.attrs(flag)
    meanings = str(attrs.get("flag_meanings", "")).split()
    if meaning not in meanings or "flag_masks" not in attrs:
        return None
    mask = int(np.atleast_1d(attrs["flag_masks"])[meanings.index(meaning)])
    return np.asarray((slab.values[flag].astype(np.int64) & mask) != 0)


def _blank(cube: RawCube, one: Species, slab: Slab) -> NDArray[np.bool_] | None:
    """Return where the flag of a pollutant says that no value is given; None if it has no bit for it."""
    masked, left = (_bits(cube, one, slab, meaning) for meaning in ("masked", "left_blank"))
    return masked if left is None else left if masked is None else masked | left


@value_rule("infinite", "error", "an infinite value spoils every mean and colour scale")
def infinite(cube: RawCube, slab: Slab) -> Masks:
    for name, values in slab.values.items():
        if values.dtype.kind == "f":
            yield name, np.isinf(values)


@value_rule("plausible", "error", "a concentration below 0 or above what instruments measure is a fault, not air")
def plausible(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.quantities:
        values = slab.values.get(one.layer)
        if values is not None:
            yield one.layer, (values < 0) | (values > one.plausible_max)


@value_rule("not-negative", "error", "a standard error, bound, distance or count below 0 has no meaning")
def not_negative(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.quantities:
        for part in ("standard_error", "lower", "upper"):
            name = f"{one.layer}_{part}"
            if name in slab.values:
                yield name, slab.values[name] < 0
    for name, values in slab.values.items():
        if name.endswith(DISTANCE) or cube.attrs(name).get("standard_name") == "number_of_observations":
            yield name, values < 0


@value_rule("no-spread", "warning", "a standard error of exactly 0 says that nothing can be wrong")
def zero_standard_error(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.quantities:
        name = f"{one.layer}_standard_error"
        if name in slab.values:
            yield name, slab.values[name] == 0


@value_rule("probability", "error", "a probability lies between 0 and 1")
def probability(cube: RawCube, slab: Slab) -> Masks:
    for name, values in slab.values.items():
        if "_exceedance_" in name or name.endswith(("_probability", "_valid_share")):
            yield name, (values < 0) | (values > 1)


@value_rule("enclosing", "error", "bounds that do not enclose the estimate are bounds of something else")
def interval_contains_best(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.quantities:
        best = slab.values.get(one.layer)
        for part, sign in (("lower", 1.0), ("upper", -1.0)):
            bound = slab.values.get(f"{one.layer}_{part}")
            if best is not None and bound is not None:
                yield f"{one.layer}_{part}", sign * (bound - best) > _ROUNDING * np.abs(best) + 1e-6


@value_rule("missing", "error", "a cell without an estimate that no mask or setting explains is a hole in the map")
def missing(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.species:
        values = slab.values.get(one.layer)
        if values is None:
            continue
        explained = _blank(cube, one, slab)
        share = slab.values.get(f"{one.layer}_valid_share")
        if share is not None:
            # A mean of fewer hours than were asked for is left blank, and says how many there were.
            explained = (share < 1) if explained is None else explained | (share < 1)
        yield one.layer, np.isnan(values) if explained is None else np.isnan(values) & ~explained


@value_rule("masked", "error", "a value where the flag says masked or left blank was not asked for, or it is wrong")
def masked(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.species:
        values, bits = slab.values.get(one.layer), _blank(cube, one, slab)
        if values is not None and bits is not None:
            yield one.layer, np.isfinite(values) & bits


@value_rule("together", "error", "an estimate without its error bar, or an error bar without an estimate, misleads")
def missing_together(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.quantities:
        best = slab.values.get(one.layer)
        for part in ("standard_error", "lower", "upper"):
            values: NDArray[Any] | None = slab.values.get(f"{one.layer}_{part}")
            if best is not None and values is not None:
                yield f"{one.layer}_{part}", np.isnan(best) != np.isnan(values)


@value_rule("flag-bits", "error", "a bit without a meaning cannot be read")
def flag_bits(cube: RawCube, slab: Slab) -> Masks:
    for name, values in slab.values.items():
        masks = cube.attrs(name).get("flag_masks")
        if masks is not None:
            known = int(np.bitwise_or.reduce(np.atleast_1d(masks).astype(np.int64)))
            yield name, (values.astype(np.int64) & ~known) != 0


@value_rule("one-value", "error", "a map of one and the same number is a fill that was taken for data")
def one_value(cube: RawCube, slab: Slab) -> Masks:
    for one in cube.species:
        values = slab.values.get(one.layer)
        if values is None or values[0].size < 4:
            continue
        known = np.isfinite(values)
        high = np.where(known, values, -np.inf).max(axis=(1, 2), keepdims=True)
        low = np.where(known, values, np.inf).min(axis=(1, 2), keepdims=True)
        same = (high == low) & (known.sum(axis=(1, 2), keepdims=True) >= 4)
        yield one.layer, np.broadcast_to(same, values.shape) & known
