"""`estimate`: the cube as a lazy Dataset, whose blocks are swept when they are asked for, and then no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dask
import dask.array
import numpy as np
import xarray as xr
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from aqreanalysis.common.library_threads import one_thread
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.model.network.scaling import FieldSource, Paths
from aqreanalysis.observations import Observations, window
from aqreanalysis.production.cube import as_cube
from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Block, Moment, Plan
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.sweep import (
    GEOMETRY_BYTES,
    BlockStates,
    GeometryCache,
    Layers,
    SweepInputs,
    encode_time_block,
    sweep_block,
)
from aqreanalysis.production.template import Template

if TYPE_CHECKING:
    from dask.typing import DaskCollection


def estimate(
    model: str | Path | Predictor,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    start: Moment,
    end: Moment,
    covariates: FieldSource | Paths | None = None,
    species: Sequence[str] | None = None,
) -> xr.Dataset:
    """Return the cube of estimates on `grid` for the hours between `start` and `end`, lazily.

    Layers, coordinates, attributes and numbers are those of the cube that `produce` writes. Nothing is swept until
    values are asked for, and then only the blocks that hold them: with the threads of this process, or on the workers
    of the Dask client at hand. The readings of the timeline are held in memory.

    Parameters
    ----------
    model : str, Path or Predictor
        A model bundle, or a predictor already loaded, as it must be where its drift reads static fields.
    observations : Observations, str or Path
        Station records.
    grid : Grid, str or Path
        As of `load_grid`.
    start, end : str or datetime
        UTC; the hours that lie between them.
    covariates : FieldSource, paths or None
        Of a model that was trained with them, where it is given as a path.
    species : sequence of str or None
        Pollutants wanted; None takes all that the model estimates.

    Returns
    -------
    xarray.Dataset
        Layers ``(time, lat, lon)`` in the units of their attributes, in Dask chunks that are the blocks of the sweep.

    Raises
    ------
    AqreanalysisError
        As of `produce`, before any block is swept.

    Examples
    --------
    The mean of some hours over the grid sweeps their blocks alone:

    >>> import aqreanalysis as aq
    >>> cube = aq.estimate("models/north", "obs.parquet", "110,35,111,36@0.25", "2021-03-03", "2021-03-05")
    >>> cube["pm2p5"].shape, cube["pm2p5"].chunks is not None
    ((48, 5, 5), True)
    >>> bool(cube["pm2p5"].sel(time="2021-03-03").mean() > 0)
    True
    """
    options = ProduceOptions(species=species, covariates=covariates)
    prepared = prepare(model, observations, grid, (start, end), options)
    inputs, span = tuple(prepared.predictor.inputs), prepared.span
    held = ReadingsHeld(window(prepared.observations, inputs, span.first_hour, span.hours)[0], span.first_hour)
    template = prepared.template(prepared.facts())
    sweep = LazySweep(prepared.sweep_inputs(held))
    return _dataset(template, _arrays(sweep, template))


class ReadingsHeld:
    """Readings of some hours in memory: the window of a sweep that goes to workers as a part of its graph.

    Parameters
    ----------
    values : float32 (hours, station, input)
        NaN where missing.
    first_hour : int
        Stamp of the first row, hours since 1970-01-01.
    """

    def __init__(self, values: NDArray[np.float32], first_hour: int) -> None:
        self.values, self.first_hour = values, first_hour

    def __call__(self, first_hour: int, hours: int) -> NDArray[np.float32]:
        """Return the readings from `first_hour` on, float32 (hours, station, input)."""
        begin = first_hour - self.first_hour
        if begin < 0 or begin + hours > len(self.values):
            raise ValueError(f"hours {first_hour}..{first_hour + hours} are not held")
        return self.values[begin : begin + hours]


class LazySweep:
    """The tasks of a lazy cube; a process that gets it keeps the geometry of the tiles that it meets.

    Parameters
    ----------
    inputs : SweepInputs
        All that the numbers depend on.
    """

    def __init__(self, inputs: SweepInputs) -> None:
        self.inputs, self._geometry = inputs, GeometryCache(GEOMETRY_BYTES)

    def __reduce__(self) -> tuple[Any, ...]:
        return LazySweep, (self.inputs,)

    def encode(self, time: tuple[int, int]) -> BlockStates:
        """Return the station states of a time block."""
        one_thread()
        return encode_time_block(self.inputs, time)

    def layers(self, states: BlockStates, block: Block) -> Layers:
        """Return the layers of a block."""
        one_thread()
        return sweep_block(self.inputs, states, block, self._geometry)


def _arrays(sweep: LazySweep, template: Template) -> dict[str, dask.array.Array]:
    """Return each layer as a Dask array of the plan's blocks; all layers of a block come from one task."""
    plan, shared = template.plan, dask.delayed(sweep, pure=False, traverse=False)
    times = [plan.time_block(i) for i in range(plan.counts[0])]
    states = [shared.encode(time, pure=False) for time in times]
    blocks = [plan.get_block(number) for number in range(plan.blocks)]
    swept = [shared.layers(states[block.number // plan.tiles], block, pure=False) for block in blocks]
    return {layer.name: _cube_array(layer, plan, swept) for layer in template.layers}


def _cube_array(layer: Layer, plan: Plan, swept: Sequence[Delayed]) -> dask.array.Array:
    """Return a layer (time, lat, lon) picked from the swept blocks."""
    name = f"{layer.name}-{dask.base.tokenize(layer.name, [block.key for block in swept[:1]])}"
    graph = {
        (name, *np.unravel_index(number, plan.counts)): (getitem, block.key, layer.name)
        for number, block in enumerate(swept)
    }
    return _array(name, graph, swept, (layer, plan))


def _array(name: str, graph: Mapping[Any, Any], parts: Sequence[Delayed], form: tuple[Layer, Plan]) -> dask.array.Array:
    layer, plan = form
    lengths = dict(zip(CUBE_DIMS, zip(plan.shape, plan.block, strict=True), strict=True))
    chunks = tuple(dask.array.core.normalize_chunks(b, (n,))[0] for n, b in (lengths[d] for d in layer.dims))
    # Dask's own types do not say that a Delayed is a collection.
    whole = HighLevelGraph.from_collections(name, graph, dependencies=cast("list[DaskCollection]", list(parts)))
    return dask.array.Array(whole, name, chunks, dtype=np.dtype(layer.dtype))


def _dataset(template: Template, arrays: Mapping[str, dask.array.Array]) -> xr.Dataset:
    """Return the Dataset that opening the written cube gives."""
    variables: dict[str, Any] = {
        name: (coordinate.dims, coordinate.values, coordinate.attrs)
        for name, coordinate in template.coordinates.items()
    }
    for layer in template.layers:
        missing = np.nan if layer.dtype.startswith("float") else layer.fill
        fill = {} if layer.fill is None else {"_FillValue": np.dtype(layer.dtype).type(missing)}
        variables[layer.name] = (layer.dims, arrays[layer.name], {**layer.attrs, **fill})
    cube = as_cube(xr.decode_cf(xr.Dataset(variables, attrs=template.attrs)))
    for name in template.coordinates:
        cube[name].encoding["_FillValue"] = None  # xarray would save NaN, which no coordinate may have
    return cube
