"""The layers of many blocks at once, where the model computes: for a GPU, which a single block leaves idle.

A strip is some tiles in a row, as many as keep a GPU busy, in one time block. Its layers are those of `sweep_block`,
but they are flagged, turned and put together on the device: each block leaves it as one run of bytes, its layers one
after the other as its chunks want them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.model import AnalysisPredictor, Predictive
from aqreanalysis.model.device import to_device
from aqreanalysis.model.protocol import PlaceGeometry
from aqreanalysis.production.layers import FLAGS, LEFT_BLANK
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.production.sweep import GEOMETRY_BYTES, BlockStates, SweepInputs, wanted_cells

# Cells times hours of a strip: seven tiles a week, for which a GPU computes longer than it takes to tell it how.
STRIP_CELL_HOURS = 5_000_000
# Bytes of a GPU that a cell and hour takes while it is estimated, and the share of its memory that a strip may take.
WORKING_BYTES = 1600
MEMORY_SHARE = 0.4
# The share of its memory for what is kept from one time block to the next.
GEOMETRY_SHARE = 0.25
# The layers of a species begin at a multiple of so many bytes, and follow each other without a gap.
_ALIGNED = 16
_BYTES = {"float32": 4, "int16": 2, "int8": 1}


@dataclass(frozen=True)
class PackedLayer:
    """Where a layer lies among the bytes of a block."""

    species: str
    name: str
    dtype: str
    offset: int
    end: int
    shape: tuple[int, int, int]

    def view(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """Return it as a view of the bytes of its block."""
        return data[self.offset : self.end].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class PackedBlock:
    """A block as it leaves the device.

    Attributes
    ----------
    block : Block
        Which.
    form : list of PackedLayer
        What lies where.
    packed : Tensor
        uint8 (byte,).
    """

    block: Block
    form: list[PackedLayer]
    packed: Tensor


@dataclass(frozen=True)
class Run:
    """Tiles of a strip, one after the other, of one shape and wanted whole; or a single tile of which a part is wanted.

    Attributes
    ----------
    tiles, places : tuple of int
        Half-open ranges of the strip's.
    cells : Tensor or None
        Which cell of its tile each place is, int64 (place,); None where all are wanted.
    """

    tiles: tuple[int, int]
    places: tuple[int, int]
    cells: Tensor | None


@dataclass(frozen=True)
class StripPlaces:
    """The wanted cells of a strip.

    Attributes
    ----------
    places : PlaceGeometry or None
        As the model sees them; None if no cell is wanted.
    runs : list of Run
        What is put together in one go.
    """

    places: PlaceGeometry | None
    runs: list[Run]


def cut_strips(plan: Plan, cell_hours: int) -> list[list[int]]:
    """Return the tiles of each strip, as numbers of the blocks of the first time block.

    They depend on the plan alone and not on what is left of it, so that a run that goes on computes the same strips.
    """
    strips: list[list[int]] = []
    held = 0
    for block in plan.blocks_of(0):
        rows, columns = block.tile
        size = (rows[1] - rows[0]) * (columns[1] - columns[0]) * plan.block[0]
        if not strips or held + size > cell_hours:
            strips.append([])
            held = 0
        strips[-1].append(block.number)
        held += size
    return strips


def strip_size(device: torch.device, many: bool) -> int:
    """Return the values of a strip for a device; `many` says whether a model needs more for each than is known here."""
    if many:
        return 1
    if device.type == "cpu":
        return STRIP_CELL_HOURS
    return min(STRIP_CELL_HOURS, int(_memory(device) * MEMORY_SHARE / WORKING_BYTES))


def strip_cache(device: torch.device) -> BoundedCache[StripPlaces]:
    """Return what keeps the geometry of strips, in the memory of their device."""
    return BoundedCache(GEOMETRY_BYTES if device.type == "cpu" else int(_memory(device) * GEOMETRY_SHARE))


def _memory(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).total_memory)


@torch.inference_mode()
def sweep_strip(
    inputs: SweepInputs, states: BlockStates, blocks: Sequence[Block], cache: BoundedCache[StripPlaces]
) -> Iterator[PackedBlock]:
    """Yield each block of a strip with its layers as bytes, as they are asked for; the device may still be at work."""
    strip = cache.get(("strip", blocks[0].tile), lambda: _strip_places(inputs, blocks))
    device, steps = inputs.predictor.device, slice(*states.steps)
    values: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    if strip.places is not None:
        predictor = inputs.predictor
        assert isinstance(predictor, AnalysisPredictor)  # another's distributions are not on the device
        predictives = predictor.predict(states.states, strip.places, inputs.species)
        for key in inputs.species:
            hour_flags = to_device(states.hour_flags[key], device)
            values[key] = _values(inputs, key, predictives.pop(key), (steps, hour_flags))
    for run in strip.runs:
        some = blocks[slice(*run.tiles)]
        form = block_form(inputs, some[0])
        packed = torch.empty((len(some), -(-form[-1].end // _ALIGNED) * _ALIGNED), dtype=torch.uint8, device=device)
        for key in inputs.species:
            _pack(packed, [layer for layer in form if layer.species == key], values.get(key), run)
        for block, own in zip(some, packed.unbind(), strict=True):
            yield PackedBlock(block, form, own)


def block_form(inputs: SweepInputs, block: Block) -> list[PackedLayer]:
    """Return how a block's hourly layers lie in its bytes: of each species the numbers, then the counts, the flags."""
    (t0, t1), (r0, r1), (c0, c1) = block.time, block.rows, block.columns
    shape = (t1 - t0, r1 - r0, c1 - c0)
    form: list[PackedLayer] = []
    for key in inputs.species:
        names = inputs.names(key)
        added = [names.mean] if "mean" in inputs.added else []
        numbers = (
            names.best,
            names.standard_error,
            names.lower,
            names.upper,
            *added,
            *names.exceedance,
            names.distance,
        )
        begin = -(-form[-1].end // _ALIGNED) * _ALIGNED if form else 0
        for name, dtype in (*((n, "float32") for n in numbers), (names.used, "int16"), (names.flag, "int8")):
            end = begin + math.prod(shape) * _BYTES[dtype]
            form.append(PackedLayer(key, name, dtype, begin, end, shape))
            begin = end
    return form


def _strip_places(inputs: SweepInputs, blocks: Sequence[Block]) -> StripPlaces:
    predictor = inputs.predictor
    lat, lon = [], []
    runs: list[Run] = []
    begin, shape = 0, None
    for number, block in enumerate(blocks):
        wanted = wanted_cells(inputs, block)
        lat.append(np.broadcast_to(inputs.lat[slice(*block.rows), None], wanted.shape)[wanted])
        lon.append(np.broadcast_to(inputs.lon[None, slice(*block.columns)], wanted.shape)[wanted])
        end = begin + len(lat[-1])
        cells = None if wanted.all() else to_device(np.flatnonzero(wanted), predictor.device)
        if runs and cells is None and runs[-1].cells is None and wanted.shape == shape:
            runs[-1] = Run((runs[-1].tiles[0], number + 1), (runs[-1].places[0], end), None)
        else:
            runs.append(Run((number, number + 1), (begin, end), cells))
        begin, shape = end, wanted.shape
    if not begin:
        return StripPlaces(None, runs)
    stations = (inputs.station_lat, inputs.station_lon)
    places = predictor.geometry(*stations, np.concatenate(lat), np.concatenate(lon), inputs.steps)
    return StripPlaces(places, runs)


def _values(
    inputs: SweepInputs, key: str, predictive: Predictive, where: tuple[slice, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers of a species (layer, place, hour), its counts and its flags (1, place, hour)."""
    steps, hour_flags = where
    # The expectation comes last of what the summary holds.
    numbers = predictive.summary_on_device(inputs.coverage)[: 5 if "mean" in inputs.added else 4, :, steps]
    exceeded = [predictive.exceedance_on_device(t)[None, :, steps] for t in inputs.thresholds.get(key, ())]
    used = predictive.used_on_device()[None, :, steps]
    flags = (used < inputs.flag_thresholds.few_neighbours).to(torch.int8) * FLAGS["few_neighbours"] | hour_flags
    nearest = predictive.reporting_on_device()[:, steps if predictive.silence is not None else slice(None)]
    nearest = _round_bits(nearest, inputs.keepbits)
    beyond = inputs.flag_thresholds.extrapolation[key]
    flags |= (nearest > beyond.km).to(torch.int8) * FLAGS["extrapolated_beyond_network"]
    distance = torch.where(torch.isinf(nearest), torch.nan, nearest).expand_as(numbers[0])[None]
    values = torch.cat((numbers, *exceeded, distance))
    if beyond.blank_km is not None:
        blank = nearest > beyond.blank_km
        flags |= blank.to(torch.int8) * LEFT_BLANK["left_blank"]
        values[:-1].masked_fill_(blank, torch.nan)
    return _round_bits(values, inputs.keepbits), used, flags


def _round_bits(values: Tensor, keepbits: int) -> Tensor:
    """Return values (not negative, or NaN) rounded as `sweep.round_bits` rounds them."""
    if not keepbits:
        return values
    drop, bits = 23 - keepbits, values.contiguous().view(torch.int32)
    up = ((bits >> drop) & 1) + ((1 << (drop - 1)) - 1)
    return ((bits + up) & -(1 << drop)).view(torch.float32)


def _pack(
    packed: Tensor,
    layers: Sequence[PackedLayer],
    values: tuple[Tensor, Tensor, Tensor] | None,
    run: Run,
) -> None:
    """Write the layers of a species into the bytes of a run's blocks (tile, byte).

    No values is a strip without a wanted cell.
    """
    (*numbers, used, flags), hours = layers, layers[0].shape[0]
    kinds = (
        (numbers[0].offset, numbers[-1].end, torch.float32, float("nan")),
        (used.offset, used.end, torch.int16, -1),
        (flags.offset, flags.end, torch.int8, FLAGS["masked"]),
    )
    for place, (first, last, dtype, fill) in enumerate(kinds):
        # (tile, layer, hour, cell)
        view = packed[:, first:last].view(dtype).unflatten(1, (len(numbers) if place == 0 else 1, hours, -1))
        if values is None or run.cells is not None:
            view.fill_(fill)
        if values is None:
            continue
        ours = values[place][:, slice(*run.places)].unflatten(1, (len(packed), -1)).permute(1, 0, 3, 2)
        if run.cells is None:
            view.copy_(ours)
        else:
            view.index_copy_(3, run.cells, ours)
