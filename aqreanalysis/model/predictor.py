"""A trained model at work: station values in, predictive distributions at any places out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import Degrees, unit_vectors
from aqreanalysis.errors import ModelError, nearest_hint
from aqreanalysis.model.bundle import CALIBRATED_FROM, OFFERED, Bundle, load_member, measured_coverage, read_bundle
from aqreanalysis.model.device import load_linear_algebra, to_device
from aqreanalysis.model.distribution.external_drift import Drift, StaticSource
from aqreanalysis.model.distribution.hourly import Predictive, mix_members
from aqreanalysis.model.distribution.period_means import MeansCalibration
from aqreanalysis.model.distribution.silence import Silence
from aqreanalysis.model.inference.block_estimator import BlockEstimator, estimate_blocks
from aqreanalysis.model.inference.cell_covariates import CellCovariates
from aqreanalysis.model.inference.exact import exact_weight_blocks, group_into_blocks
from aqreanalysis.model.inference.lattice import (
    Lattice,
    LatticeKriging,
    WeightBlock,
    choose_lattice,
    sort_into_lattice_cells,
)
from aqreanalysis.model.inference.lattice_gpu import assign_to_lattice_cells, lattice_neighbourhood
from aqreanalysis.model.inference.wind_squares import WindCarrier, WindSquare, wind_squares
from aqreanalysis.model.kernels import Array, warm_up
from aqreanalysis.model.network.aqnet import AQNet, Neighbourhood, StationStates, join_hours
from aqreanalysis.model.network.covariate_effects import CovariatesAt
from aqreanalysis.model.network.neighbours import NearestStations, Reporting, find_neighbours
from aqreanalysis.model.network.scaling import FieldSource, field_reach, scale_inputs, window_parts
from aqreanalysis.model.network.temporal_filters import REACH_HOURS, around_day
from aqreanalysis.model.protocol import BlockWindow, BundlePredictor, CubeText, EncodedStations, PlaceGeometry

# Stations whose windows are read together on the CPU: what the encoder makes of them stays in the processor's cache,
# which halves the time of two thousand.
_STATIONS_AT_ONCE = 224


@dataclass(frozen=True)
class EncodedAnalysis(EncodedStations):
    """What the stations say over a time block, one `StationStates` a member.

    `hours` are the stamps of the block, int64 (T,), hours since 1970-01-01; `reporting` says of each target who
    reports it; `estimators` keeps what all blocks of a member and target share, `carriers` what those of a member share
    where the wind is known; they stay behind when the rest goes to another process.
    """

    members: list[StationStates]
    hours: NDArray[np.int64]
    reporting: list[Reporting]
    estimators: dict[tuple[int, int], BlockEstimator] = field(default_factory=dict, repr=False, compare=False)
    carriers: dict[int, WindCarrier] = field(default_factory=dict, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return EncodedAnalysis, (self.members, self.hours, self.reporting)


@dataclass(frozen=True)
class AnalysisGeometry(PlaceGeometry):
    """A set of places as the model sees them, one `Neighbourhood` a member.

    Attributes
    ----------
    near : NearestStations
        The stations nearest to each place.
    nearest_km : float32 (place,)
        Distance to the nearest of them, reporting or not.
    lat, lon : float64 (place,)
        Degrees.
    blocks : list of list of WeightBlock, or None
        In place of `members`, where the places are cells of a dense grid that share their kriging systems.
    static : float32 (place, field) or None
        With `blocks`: standardised covariates that do not change, where the model has covariates.
    squares : list of list of WindSquare or None
        With `blocks`, one a member: where the model knows the wind.
    drift : float32 (place, pollutant) or None
        Of the places, in standardised log units; None for a model without.
    """

    members: list[Neighbourhood]
    near: NearestStations
    nearest_km: NDArray[np.float32]
    lat: Degrees
    lon: Degrees
    blocks: list[list[WeightBlock]] | None = None
    static: Array | None = None
    squares: list[list[WindSquare]] | None = None
    drift: NDArray[np.float32] | None = None


class AnalysisPredictor(BundlePredictor):
    """AQ-Net's analysis, a `Predictor`: a bundle loaded onto a device.

    Attributes
    ----------
    species, inputs : tuple of str
        Pollutants that it estimates, and that it reads.
    history_hours, lookahead_hours : int
        What a time block needs before and after it.
    lead_hours : int
        Hours after the last reading that it can estimate: its lookahead.
    config : Config
        As trained.
    digest : str
        Of the model; part of a cube's fingerprint.
    bundle : Bundle
        Stations with their roles, scores, provenance.
    networks : list of AQNet
        The members, ready to compute.
    covariates : FieldSource or None
        Where the model's covariates are read, block by block; None for a model without.
    drift : Drift or None
        What the ground says of places, bound to the files of its static fields; None for a model without. What the
        closeness of stations says of them is the bundle's `crowding`.
    has_drift : bool
        Whether ground or closeness of stations say anything.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str | torch.device = "auto",
        covariates: FieldSource | None = None,
        static: StaticSource | None = None,
    ) -> None:
        if bundle.config.forecast is not None:
            raise ModelError(
                "the model is a long forecast and analyses nothing: score it with 'aqreanalysis evaluate --protocol "
                "forecast', and for hours with readings train one with 'aqreanalysis train --config aqnet'"
            )
        super().__init__(bundle, device, covariates)
        self.history_hours = bundle.config.window.history_hours
        self.lookahead_hours = self.lead_hours = bundle.config.window.lookahead_hours
        self.calibration_means: Mapping[str, MeansCalibration] = bundle.calibration_means
        if self.device.type == "cpu":
            warm_up()
        load_linear_algebra(self.device)
        self.drift = bind_drift(bundle, static)
        self.has_drift = self.drift is not None or bundle.crowding is not None
        self._cached_station_weights: tuple[tuple[bytes, bytes], list[torch.Tensor]] | None = None
        self._cached_station_drift: tuple[tuple[bytes, bytes], NDArray[np.float32]] | None = None
        self._lattices: dict[tuple[bytes, bytes, tuple[float, float]], Lattice | None] = {}
        self.networks = [
            load_member(AQNet(len(self.inputs), self._targets, self.config.model, bundle.fields), weights, self.device)
            for weights in bundle.members
        ]

    def timeline(self, observed: tuple[int, int]) -> tuple[int, int]:
        """Return the first and the last stamp that can be estimated from readings whose stamps span `observed`."""
        return observed[0], observed[1] + self.lead_hours

    def window(self, hours: range, last_reading: int) -> BlockWindow:
        """Return the whole UTC days that `hours` touch, and what they read; `last_reading` plays no part.

        A day holds the stamps 01:00 to 24:00.
        """
        first, end = (hours[0] - 1) // 24 * 24 + 1, (hours[-1] - 1) // 24 * 24 + 25
        return BlockWindow(range(first - self.history_hours, end + self.lookahead_hours), range(first, end))

    def covariate_reach(self) -> tuple[int, int]:
        """Return of how many hours before and after a day it reads covariates for it."""
        return field_reach(self.config.window)

    def cube_text(self) -> CubeText:
        """Return what a cube says of the kind of its estimates."""
        static = () if self.drift is None else self.drift.static
        files = ", ".join(f"{one.name} ({one.source}, sha256 {one.digest[:12]})" for one in static)
        fields = f"Static fields in the external drift: {files}" if files else ""
        learned = self.bundle.provenance.get(CALIBRATED_FROM, {}).get("remark", "")
        return CubeText(remark=" ".join(f"{text}." for text in (learned, fields) if text))

    def measured(self) -> dict[str, str]:
        """Return what the hourly interval covered at hidden stations; empty before any evaluation."""
        text = measured_coverage(self.bundle.metrics)
        return {"coverage_measured": text} if text else {}

    @torch.inference_mode()
    def encode(
        self, values: NDArray[np.float32], hours: NDArray[np.int64], station_lat: Degrees, station_lon: Degrees
    ) -> EncodedAnalysis:
        """Return what the stations say at each hour of a block of whole UTC days.

        On the CPU each day is encoded by itself and so has the same bits in any block.

        Parameters
        ----------
        values : float32 (history + T + lookahead, station, input)
            Concentrations in their units, NaN where missing.
        hours : int64 (history + T + lookahead,)
            Hours since 1970-01-01 of the stamps; the block's first is 01:00 of a UTC day, and T a multiple of 24.
        station_lat, station_lon : float64 (station,)
            Degrees.
        """
        before, after = self.history_hours, self.lookahead_hours
        steps = len(hours) - before - after
        if steps <= 0 or steps % 24 or hours[before] % 24 != 1:
            raise ValueError(f"a block is whole UTC days from 01:00 on, got {steps} hours from hour {hours[before]}")
        windows, window_hours = self._windows(values, hours, station_lat, station_lon)
        block = hours[before : before + steps]
        fields = self._fields(station_lat, station_lon, block)
        weights = self._station_weights(station_lat, station_lon)
        size = 1 if self._days_stand_alone else len(windows)
        members = []
        for network, among in zip(self.networks, weights, strict=True):
            parts = zip(windows.split(size), window_hours.split(size), _by_days(fields, size), strict=False)
            members.append(join_hours([self._states(network, *part[:2], among, part[2]) for part in parts]))
        reporting = [Reporting.of(values[..., target], before, after) for target in self._targets]
        return EncodedAnalysis(members, block, reporting)

    def split_hours(self, estimated: range, threads: int) -> list[range]:
        """Return the days of a window that each of so many threads may `encode` by itself: no number depends on it.

        All of them are one part on a GPU.
        """
        days = len(estimated) // 24
        parts = min(days, threads) if self._days_stand_alone else 1
        edges = [estimated.start + 24 * (days * part // parts) for part in range(parts + 1)]
        return [range(*pair) for pair in itertools.pairwise(edges)]

    def join(self, parts: Sequence[EncodedStations]) -> EncodedAnalysis:
        """Return what the stations say of parts that follow each other."""
        known = [part for part in parts if isinstance(part, EncodedAnalysis)]
        members = [join_hours(member) for member in zip(*(part.members for part in known), strict=True)]
        reporting = [reduce(Reporting.joined, some) for some in zip(*(part.reporting for part in known), strict=True)]
        return EncodedAnalysis(members, np.concatenate([part.hours for part in known]), reporting)

    @property
    def _days_stand_alone(self) -> bool:
        return self.device.type == "cpu"

    def _states(
        self,
        network: AQNet,
        windows: torch.Tensor,
        hours: torch.Tensor,
        among: torch.Tensor,
        fields: tuple[torch.Tensor, CovariatesAt] | None,
    ) -> StationStates:
        """Return a member's states at the hours of some days from their windows (day, hour, station, input)."""
        before = self.history_hours
        inside, near = fields or (None, None)
        windows = network.remove_drift(windows, inside, hours)
        states = self._own_states(network, windows, hours, inside).flatten(0, 1)
        readings = around_day(windows[..., self._targets], before)
        clock = network.clock(hours[:, before : before + 24]).flatten(0, 1)
        return network.exchange_between_stations(states, readings, clock, among, near)

    def _windows(
        self, values: NDArray[np.float32], hours: NDArray[np.int64], lat: Degrees, lon: Degrees
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return standardised readings (day, hour, station, input) and the hours (day, hour) of each day's window."""
        before, after = self.history_hours, self.lookahead_hours
        readings = scale_inputs(values, self.inputs, self.bundle.scaling)
        if self.has_drift:
            readings = readings - self.station_drift(lat, lon)
        scaled, clock_hours = to_device(readings, self.device), to_device(hours, self.device)
        days = [slice(d, d + before + 24 + after) for d in range(0, len(hours) - before - after, 24)]
        return torch.stack([scaled[day] for day in days]), torch.stack([clock_hours[day] for day in days])

    def _station_weights(self, lat: Degrees, lon: Degrees) -> list[torch.Tensor]:
        """Return each member's weights among stations; those of the last network of stations are kept, since all time
        blocks of a sweep have the same."""
        key, cached = (lat.tobytes(), lon.tobytes()), self._cached_station_weights
        if cached is not None and cached[0] == key:
            return cached[1]
        around = find_neighbours(lat, lon, lat, lon, self.config.model.neighbours, exclude_self=True).to(self.device)
        weights = [network.station_weights(around, len(lat), sparse=True) for network in self.networks]
        self._cached_station_weights = (key, weights)
        return weights

    def station_drift(self, lat: Degrees, lon: Degrees) -> NDArray[np.float32]:
        """Return the drift of the stations of a network (station, input), of a model that has any; that of the last
        network is kept, since rasters are read."""
        key, cached = (lat.tobytes(), lon.tobytes()), self._cached_station_drift
        if cached is not None and cached[0] == key:
            return cached[1]
        values = self.drift_of(NearestStations.find((lat, lon), (lat, lon), self.device), self.inputs)
        assert values is not None
        self._cached_station_drift = (key, values)
        return values

    def drift_of(self, near: NearestStations, keys: Sequence[str]) -> NDArray[np.float32] | None:
        """Return what the ground and the closeness of stations say of places (place, key), None for a model without."""
        parts = [] if self.drift is None else [self.drift.at(*near.places, keys)]
        if self.bundle.crowding is not None:
            parts.append(self.bundle.crowding.at(near.km, keys))
        return sum(parts[1:], start=parts[0]) if parts else None

    def _own_states(
        self, network: AQNet, windows: torch.Tensor, hours: torch.Tensor, fields: torch.Tensor | None
    ) -> torch.Tensor:
        """Return each station's states on the days of its windows (day, 24, station, width)."""
        first = self.history_hours
        some = _STATIONS_AT_ONCE if self.device.type == "cpu" else windows.shape[2]
        beside = fields.split(some, dim=2) if fields is not None else itertools.repeat(None)
        parts = zip(windows.split(some, dim=2), beside, strict=False)
        states = [network.encode_own_history(part, hours, first, first + 24, own_fields) for part, own_fields in parts]
        return torch.cat(states, dim=2)

    def _fields(self, lat: Degrees, lon: Degrees, block: NDArray[np.int64]) -> tuple[torch.Tensor, CovariatesAt] | None:
        """Return the covariates round each day of a block, standardised, as the encoder's windows (day, hour, place,
        field) and as what describes surroundings; None for a model without."""
        scaling = self.bundle.fields
        if scaling is None or self.covariates is None:
            return None
        before, after = field_reach(self.config.window)
        hours = np.arange(int(block[0]) - before, int(block[-1]) + after + 1, dtype=np.int64)
        scaled = torch.from_numpy(scaling.forward(self.covariates.at(lat, lon, hours))).to(self.device)
        days = torch.stack([scaled[d : d + before + 24 + after] for d in range(0, len(block), 24)])
        windows, near = window_parts(days, self.config.window)
        points = torch.from_numpy(unit_vectors(lat, lon).astype(np.float32)).to(self.device)
        return windows, CovariatesAt(near, points)

    def _with_covariates(self, encoded: EncodedAnalysis, places: AnalysisGeometry) -> list[Neighbourhood]:
        """Return each member's neighbourhoods with the covariates of the block's hours; as they are without any."""
        fields = self._fields(places.lat, places.lon, encoded.hours)
        if fields is None:
            return places.members
        parts = zip(self.networks, encoded.members, places.members, strict=True)
        return [network.add_covariates(states, neighbourhood, fields[1]) for network, states, neighbourhood in parts]

    @torch.inference_mode()
    def geometry(
        self,
        station_lat: Degrees,
        station_lon: Degrees,
        lat: Degrees,
        lon: Degrees,
        steps: tuple[float, float] | None = None,
    ) -> AnalysisGeometry:
        """Return places as the model sees them; time plays no part.

        Parameters
        ----------
        station_lat, station_lon : float64 (station,)
            Degrees.
        lat, lon : float64 (place,)
            Degrees.
        steps : tuple of float, optional
            Degrees of latitude and longitude between the cells, where the places are cells of a regular grid. Cells
            much closer together than the stations then share kriging systems: see `model.inference.lattice`.
        """
        stations, count = (station_lat, station_lon), self.config.model.neighbours
        near, lattice = NearestStations.find(stations, (lat, lon), self.device), self._lattice(stations, steps)
        if lattice is not None and steps is not None:
            if self.device.type == "cpu":
                squares = sort_into_lattice_cells(lattice, stations, (lat, lon), count)
                blocks = [LatticeKriging(network.knn, squares).weight_blocks() for network in self.networks]
                return self._cells_of_grid(blocks, near, (lat, lon), steps)
            # The small steps of patches would starve a GPU, which takes all places at once instead.
            seated = assign_to_lattice_cells(lattice, stations, (lat, lon), count, self.device)
            members = [lattice_neighbourhood(network, seated) for network in self.networks]
            return AnalysisGeometry(
                members, near, near.km[:, 0].copy(), lat, lon, drift=self.drift_of(near, self.species)
            )
        around = find_neighbours(*stations, lat, lon, count)
        if steps is not None and self.device.type == "cpu":
            groups = group_into_blocks(around, lat, lon, steps)
            blocks = [exact_weight_blocks(network.knn, around, groups) for network in self.networks]
            return self._cells_of_grid(blocks, near, (lat, lon), steps)
        on_device = around.to(self.device)
        members = [n.neighbourhood(on_device, len(station_lat), sparse=True) for n in self.networks]
        return AnalysisGeometry(members, near, near.km[:, 0].copy(), lat, lon, drift=self.drift_of(near, self.species))

    def _cells_of_grid(
        self,
        blocks: list[list[WeightBlock]],
        near: NearestStations,
        places: tuple[Degrees, Degrees],
        steps: tuple[float, float],
    ) -> AnalysisGeometry:
        """Return the geometry of cells in blocks, with what covariates have there that does not change."""
        scaling, static, squares = self.bundle.fields, None, None
        if scaling is not None and self.covariates is not None:
            static = scaling.static_of(self.covariates, *places)
            flows = [network.surroundings.flow for network in self.networks if network.surroundings is not None]
            squares = [wind_squares(flow, *places, steps) for flow in flows if flow is not None] or None
        drift = self.drift_of(near, self.species)
        return AnalysisGeometry([], near, near.km[:, 0].copy(), *places, blocks, static, squares, drift)

    def _lattice(self, stations: tuple[Degrees, Degrees], steps: tuple[float, float] | None) -> Lattice | None:
        if steps is None:
            return None
        key = (stations[0].tobytes(), stations[1].tobytes(), steps)
        if key not in self._lattices:
            self._lattices[key] = choose_lattice(*stations, self.config.model.neighbours, steps)
        return self._lattices[key]

    @torch.inference_mode()
    def predict(
        self, encoded: EncodedStations, places: PlaceGeometry, species: Sequence[str] | None = None
    ) -> dict[str, Predictive]:
        """Return each pollutant's predictive distribution at each hour and place, or those of `species` alone."""
        assert isinstance(encoded, EncodedAnalysis) and isinstance(places, AnalysisGeometry)
        nearest = to_device(places.nearest_km, self.device)
        estimate = self._estimates(encoded, places)
        drift = None if places.drift is None else to_device(places.drift, self.device)
        predictives = {}
        for target, key in enumerate(self.species):
            if species is not None and key not in species:
                continue
            parts = estimate(target)
            location, scale = mix_members([p[0] for p in parts], [p[1] for p in parts])
            calibration, reporting, silence = self.bundle.calibration[key], encoded.reporting[target], None
            reporting_km = places.near.reporting_km(reporting, self.device)
            if reporting_km is not None or reporting.since_hours.any():
                km = nearest[:, None].expand(-1, len(encoded.hours)) if reporting_km is None else reporting_km
                silence = Silence(km, reporting.since_hours, reporting.until_hours, encoded.hours)
            if silence is not None and calibration.silence is not None:
                location, scale = calibration.silence.answer(location, scale, nearest, silence)
            if drift is not None:
                location = location + drift[:, target, None]
            predictives[key] = Predictive(
                location, scale, parts[0][2], nearest, self.bundle.scaling[key], calibration, silence
            )
        return predictives

    def _estimates(
        self, encoded: EncodedAnalysis, places: AnalysisGeometry
    ) -> Callable[[int], list[tuple[torch.Tensor, ...]]]:
        """Return what gives each member's location, scale and reporting neighbours (place, hour) of a target."""
        if places.blocks is not None:
            nearest, groups, hours = torch.from_numpy(places.nearest_km), places.blocks, len(encoded.hours)
            cells = self._cell_covariates(encoded, places)
            return lambda target: [
                estimate_blocks(self._block_estimator(encoded, member, target), blocks, nearest, hours, beside)
                for member, (blocks, beside) in enumerate(zip(groups, cells, strict=True))
            ]
        neighbourhoods = self._with_covariates(encoded, places)
        members = list(zip(self.networks, encoded.members, neighbourhoods, strict=True))
        return lambda target: [network.estimate_at(states, near, target) for network, states, near in members]

    def _cell_covariates(self, encoded: EncodedAnalysis, places: AnalysisGeometry) -> Sequence[CellCovariates | None]:
        """Return the covariates of the cells of a grid over the block's hours, for each member; None without any."""
        scaling = self.bundle.fields
        if scaling is None or self.covariates is None or places.static is None:
            return [None] * len(self.networks)
        first, last = int(encoded.hours[0]) - REACH_HOURS, int(encoded.hours[-1]) + REACH_HOURS
        hours = np.arange(first, last + 1, dtype=np.int64)
        series = scaling.hourly_of(self.covariates, places.lat, places.lon, hours)
        if places.squares is None:
            return [CellCovariates(series, places.static, None) for _ in self.networks]
        carried = (
            self._wind_carrier(encoded, member).bring(squares, len(places.lat))
            for member, squares in enumerate(places.squares)
        )
        return [CellCovariates(series, places.static, wind) for wind in carried]

    def _wind_carrier(self, encoded: EncodedAnalysis, member: int) -> WindCarrier:
        carrier = encoded.carriers.get(member)
        if carrier is None:
            effects, stations = self.networks[member].surroundings, encoded.members[member].fields
            assert effects is not None and effects.flow is not None and stations is not None
            carrier = WindCarrier(effects.flow, stations)
            encoded.carriers[member] = carrier
        return carrier

    def _block_estimator(self, encoded: EncodedAnalysis, member: int, target: int) -> BlockEstimator:
        estimator = encoded.estimators.get((member, target))
        if estimator is None:
            estimator = BlockEstimator(self.networks[member], encoded.members[member], target)
            encoded.estimators[member, target] = estimator
        return estimator


def _by_days(
    fields: tuple[torch.Tensor, CovariatesAt] | None, size: int
) -> Iterator[tuple[torch.Tensor, CovariatesAt] | None]:
    """Yield the covariates of so many days after the other; None without end where there are none."""
    if fields is None:
        yield from itertools.repeat(None)
        return
    windows, near = fields
    for some, values in zip(windows.split(size), near.values.split(size), strict=True):
        yield some, CovariatesAt(values, near.points)


def bind_drift(bundle: Bundle, static: StaticSource | None) -> Drift | None:
    """Return the drift of a model, bound to the files of its static fields; None for a model without.

    Raises
    ------
    ModelError
        If one of its static fields is not given or is another file, or one is given that its training was not.
    """
    offered = bundle.provenance.get(OFFERED, {})
    unknown = [one.name for one in static.fields if one.name not in offered] if static is not None else []
    if unknown:
        there = f"only with {', '.join(offered)}" if offered else "without any"
        raise ModelError(
            f"static field {unknown[0]}: the model was trained {there}; leave it out, give it the name that it had "
            f"then, or train a model with it{nearest_hint(unknown[0], offered)}"
        )
    drift = bundle.drift
    if drift is None or not drift.static or (static is None and drift.source is not None):
        return drift
    return drift.with_source(static)


def load_analysis(
    path: str | Path,
    device: str = "auto",
    covariates: FieldSource | None = None,
    static: StaticSource | None = None,
) -> AnalysisPredictor:
    """Return the analysis model in directory `path`, ready on `device`; arguments as of `load_predictor`.

    Raises
    ------
    ModelError
        As of `load_predictor`; or if it is a long forecast.
    """
    return AnalysisPredictor(read_bundle(path), device, covariates, static)
