"""The sweep: station states once a time block, geometry once a tile, layers a block. No file is read or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numcodecs.bitround import BitRound  # type: ignore[import-untyped]
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.model import Predictor
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.network.scaling import FieldSource, Paths
from aqreanalysis.model.protocol import BlockWindow, EncodedStations, HourlyDistribution, PlaceGeometry
from aqreanalysis.production.day_sums import MeanInputs, day_block, day_sums, sums_name, sums_width
from aqreanalysis.production.layers import FLAGS, LEFT_BLANK, Extrapolation, LayerNames, layer_names
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.species import SPECIES

# Changes whenever the numbers of a cube change for the same model, observations and grid; part of the fingerprint.
NUMERICS = "13"

Layers = dict[str, NDArray[Any]]
Window = Callable[[int, int], NDArray[np.float32]]


# So many values, and what numcodecs makes of them on the way, stay in the cache: half the time of a whole layer.
_ROUNDED_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class FlagThresholds:
    """When an estimate is flagged, or left blank.

    Attributes
    ----------
    extrapolation : mapping
        Species key -> the distances beyond which it is.
    few_neighbours : int
        Hours observed by fewer neighbours than this are flagged.
    """

    extrapolation: Mapping[str, Extrapolation]
    few_neighbours: int


@dataclass(frozen=True)
class SweepInputs:
    """Everything that the numbers of a cube depend on.

    Attributes
    ----------
    predictor : Predictor
        The model: ``encode``, ``geometry``, ``predict`` (see docs/architecture.md).
    window : callable
        ``window(first_hour, hours)`` -> readings float32 (hours, station, input), NaN where missing.
    station_lat, station_lon : float64 (station,)
        Degrees.
    lat, lon : float64
        Axes of the grid.
    mask : bool (lat, lon) or None
        True where a value is wanted.
    plan : Plan
        Hours and blocks.
    species : tuple of str
        Keys of what is estimated.
    coverage : float
        Probability of the interval.
    thresholds : dict
        Species key -> thresholds of exceedance.
    flag_thresholds : FlagThresholds
        When an estimate is flagged.
    last_observed : dict
        Species key -> last stamp with a reading; hours after it are forecast hours.
    hourly : bool
        Whether the hourly layers are wanted.
    means : MeanInputs or None
        Where means are wanted: then the timeline is whole days, and their sums are made on the way.
    covariates : FieldSource or None
        What a worker that loads the model itself gives it, if the model has covariates.
    static : StaticSource, paths or None
        The same of the static fields in its drift.
    last_reading : int
        Last stamp with a reading of anything that the model reads.
    added : tuple of str
        Hourly layers beside those of every cube, of `ADDED_LAYERS`.
    keepbits : int
        Bits of the mantissa that float layers are rounded to; 0 keeps them all.
    spacing : tuple of float
        Height and width of a cell, degrees, for an axis of one.
    """

    predictor: Predictor
    window: Window
    station_lat: NDArray[np.float64]
    station_lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    mask: NDArray[np.bool_] | None
    plan: Plan
    species: tuple[str, ...]
    coverage: float
    thresholds: dict[str, tuple[float, ...]]
    flag_thresholds: FlagThresholds
    last_observed: dict[str, int]
    hourly: bool = True
    means: MeanInputs | None = None
    covariates: FieldSource | None = None
    static: StaticSource | Paths | None = None
    last_reading: int = 0
    added: tuple[str, ...] = ()
    keepbits: int = 0
    spacing: tuple[float, float] = (0.0, 0.0)

    @property
    def steps(self) -> tuple[float, float]:
        """Degrees between the rows and between the columns of the whole grid, or the size of a single one."""
        # Rounded beyond the axes' own ten places, so that a part of a grid has the steps of the whole.
        lat, lon = (
            round(abs(float(axis[-1] - axis[0])) / (len(axis) - 1) if len(axis) > 1 else own, 9)
            for axis, own in zip((self.lat, self.lon), self.spacing, strict=True)
        )
        return lat, lon

    def names(self, key: str) -> LayerNames:
        """Return the names of the layers of one species."""
        return layer_names(SPECIES[key], len(self.species) > 1, self.thresholds.get(key, ()))


@dataclass(frozen=True)
class BlockStates:
    """What the tiles of one time block share.

    Attributes
    ----------
    states : EncodedStations
        Of the model, for the hours that it estimates together.
    steps : tuple of int
        Range of those hours that belong to the block.
    hour_flags : dict
        Species key -> int8 (hour,): bits that hold for every cell.
    """

    states: EncodedStations
    steps: tuple[int, int]
    hour_flags: dict[str, NDArray[np.int8]]


#: Bytes of the geometry of tiles that a process holds over time blocks.
GEOMETRY_BYTES = 512_000_000


class GeometryCache(BoundedCache[PlaceGeometry]):
    """Geometry of tiles, held over time blocks while it fits: what is in stays in, for tiles come in one order."""


def encode_time_block(
    inputs: SweepInputs, time: tuple[int, int], parts: Sequence[EncodedStations] | None = None
) -> BlockStates:
    """Return the station states of the windows that the steps `time` touch, and the flags of its hours.

    `parts` is what `encode_part` gave for all parts of its `block_window`, where those were asked for before.
    """
    block, window = inputs.plan.stamps_of(time), block_window(inputs, time)
    values = inputs.window(window.read.start, len(window.read))
    if parts is None:
        hours = np.arange(window.read.start, window.read.stop, dtype=np.int64)
        states = inputs.predictor.encode(values, hours, inputs.station_lat, inputs.station_lon)
    else:
        states = inputs.predictor.join(parts)
    start = block.start - window.estimated.start
    within = slice(block.start - window.read.start, block.stop - window.read.start)
    flags = {key: _hour_flags(inputs, key, values[within], block) for key in inputs.species}
    return BlockStates(states, (start, start + len(block)), flags)


def encode_part(inputs: SweepInputs, hours: range) -> EncodedStations:
    """Return what the stations say of some of the hours of a window, of `Predictor.split_hours`."""
    read = inputs.predictor.window(hours, inputs.last_reading).read
    values, stamps = inputs.window(read.start, len(read)), np.arange(read.start, read.stop, dtype=np.int64)
    return inputs.predictor.encode(values, stamps, inputs.station_lat, inputs.station_lon)


def block_window(inputs: SweepInputs, time: tuple[int, int]) -> BlockWindow:
    """Return what the steps `time` are made from."""
    return inputs.predictor.window(inputs.plan.stamps_of(time), inputs.last_reading)


def tile_geometry(inputs: SweepInputs, block: Block, cache: GeometryCache) -> PlaceGeometry:
    """Return the geometry of the wanted cells of a block's tile, kept in `cache` while it fits."""
    wanted, stations = wanted_cells(inputs, block), (inputs.station_lat, inputs.station_lon)
    lat = np.broadcast_to(inputs.lat[slice(*block.rows), None], wanted.shape)[wanted]
    lon = np.broadcast_to(inputs.lon[None, slice(*block.columns)], wanted.shape)[wanted]
    return cache.get(block.tile, lambda: inputs.predictor.geometry(*stations, lat, lon, inputs.steps))


def wanted_cells(inputs: SweepInputs, block: Block) -> NDArray[np.bool_]:
    """Return where a value is wanted (row, column)."""
    rows, columns = slice(*block.rows), slice(*block.columns)
    if inputs.mask is not None:
        return inputs.mask[rows, columns]
    return np.ones((block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]), dtype=bool)


def sweep_block(inputs: SweepInputs, states: BlockStates, block: Block, cache: GeometryCache) -> Layers:
    """Return the layers of one block: name -> array (hour, row, column).

    Cells outside the mask are NaN (counts -1) and flagged. Where means are wanted, the sums of the block's days are
    there too, as `sums_name` -> float32 (day, row, column, value), NaN outside the mask.
    """
    wanted = wanted_cells(inputs, block)
    layers = _empty_layers(inputs, block)
    if not wanted.any():
        return layers
    geometry = tile_geometry(inputs, block, cache)
    predictives = inputs.predictor.predict(states.states, geometry, inputs.species)
    steps = slice(*states.steps)
    for key in inputs.species:
        flags = states.hour_flags[key]
        if inputs.hourly:
            _fill_species(inputs, key, predictives[key], layers, (wanted, steps, flags))
        if inputs.means is not None:
            autocovariance = inputs.means.calibrations[key].autocovariance
            forecast = flags & FLAGS["forecast_hour"] != 0
            blank_km, there = inputs.flag_thresholds.extrapolation[key].blank_km, None
            if blank_km is not None:  # by the distance that the hourly cube says
                there = round_bits(predictives[key].reporting_km[steps], inputs.keepbits) <= blank_km
            layers[sums_name(key)][:, wanted] = day_sums(predictives[key], steps, forecast, autocovariance, there)
    return layers


def sweep(
    inputs: SweepInputs, blocks: Iterable[Block], cache: GeometryCache | None = None
) -> Iterator[tuple[Block, Layers]]:
    """Yield each block with its layers; blocks of one time block in a row share their station states."""
    cache = cache or GeometryCache(GEOMETRY_BYTES)
    time, states = None, None
    for block in blocks:
        if states is None or block.time != time:
            time, states = block.time, encode_time_block(inputs, block.time)
        yield block, sweep_block(inputs, states, block, cache)


def _empty_layers(inputs: SweepInputs, block: Block) -> Layers:
    shape = tuple(s.stop - s.start for s in block.region)
    layers: Layers = {}
    for key in inputs.species:
        if inputs.means is not None:
            days = day_block(block).time
            width = sums_width(inputs.means.calibrations[key].autocovariance)
            empty = np.full((days[1] - days[0], *shape[1:], width), np.nan, dtype=np.float32)
            layers[sums_name(key)] = empty
        if not inputs.hourly:
            continue
        names = inputs.names(key)
        floats = [names.best, names.standard_error, names.lower, names.upper, names.distance, *names.exceedance]
        floats += [names.mean] if "mean" in inputs.added else []
        for name in floats:
            layers[name] = np.full(shape, np.nan, dtype=np.float32)
        layers[names.flag] = np.full(shape, FLAGS["masked"], dtype=np.int8)
        layers[names.used] = np.full(shape, -1, dtype=np.int16)
    return layers


def _fill_species(
    inputs: SweepInputs,
    key: str,
    predictive: HourlyDistribution,
    layers: Layers,
    where: tuple[NDArray[np.bool_], slice, NDArray[np.int8]],
) -> None:
    """Write the layers of one species at the wanted cells; `where` is the mask, steps and hour flags."""
    wanted, steps, hour_flags = where
    names = inputs.names(key)
    summary = predictive.summary(inputs.coverage)
    computed: Layers = {
        names.best: summary.best,
        names.standard_error: summary.standard_error,
        names.lower: summary.lower,
        names.upper: summary.upper,
        names.used: predictive.observations_used,
    }
    if "mean" in inputs.added:
        computed[names.mean] = summary.mean
    nearest = round_bits(predictive.reporting_km, inputs.keepbits)
    computed[names.distance] = np.where(np.isinf(nearest), np.float32(np.nan), nearest)
    for name, threshold in zip(names.exceedance, inputs.thresholds.get(key, ()), strict=True):
        computed[name] = predictive.exceedance(threshold)
    for name, values in computed.items():
        if values.dtype == np.float32 and name != names.distance:
            computed[name] = round_bits(values, inputs.keepbits)
    few = computed[names.used] < inputs.flag_thresholds.few_neighbours
    flags = np.where(few, np.int8(FLAGS["few_neighbours"]), np.int8(0))
    flags[steps] |= hour_flags[:, None]
    beyond, bit = inputs.flag_thresholds.extrapolation[key], np.int8(FLAGS["extrapolated_beyond_network"])
    flags |= np.where(nearest > beyond.km, bit, np.int8(0))
    if beyond.blank_km is not None:
        blank = nearest > beyond.blank_km
        flags |= np.where(blank, np.int8(LEFT_BLANK["left_blank"]), np.int8(0))
        for name in computed.keys() - {names.used, names.distance}:
            computed[name] = np.where(blank, np.float32(np.nan), computed[name])
    computed[names.flag] = flags
    whole = bool(wanted.all())
    for name, values in computed.items():
        if whole:  # the order of the cells is that of the layer: nothing is picked
            layers[name] = np.ascontiguousarray(values[steps].reshape(-1, *wanted.shape), layers[name].dtype)
        else:
            layers[name][:, wanted] = values[steps]


def round_bits(values: NDArray[np.float32], keepbits: int) -> NDArray[np.float32]:
    """Return values rounded to so many bits of the mantissa, to even ones at a tie; as they are for 0 bits.

    Rounding keeps the order of values: bounds go on enclosing the estimate.
    """
    if not keepbits:
        return values
    plain, encode = np.ravel(values), BitRound(keepbits).encode
    rounded = np.empty_like(plain)
    for at in range(0, plain.size, _ROUNDED_AT_ONCE):
        some = slice(at, at + _ROUNDED_AT_ONCE)
        rounded[some] = encode(plain[some]).view(np.float32)
    return rounded.reshape(values.shape)


def _hour_flags(inputs: SweepInputs, key: str, values: NDArray[np.float32], block: range) -> NDArray[np.int8]:
    """Return the bits that an hour gives to every cell: it lies after the last reading, or no station has one.

    Of the hours of `block` the first have `values`; what lies after all that is read has none.
    """
    names = tuple(inputs.predictor.inputs)
    # A pollutant that is estimated but not read has no readings of its own: then any input counts.
    own = values[:, :, names.index(key)] if key in names else values.reshape(len(values), -1)
    forecast = np.array(block) > inputs.last_observed[key]
    silent = np.ones(len(block), dtype=bool)
    silent[: len(own)] = ~np.isfinite(own).any(axis=1)
    silent &= ~forecast
    flags = np.where(forecast, FLAGS["forecast_hour"], 0) | np.where(silent, FLAGS["hour_without_observation"], 0)
    return flags.astype(np.int8)
