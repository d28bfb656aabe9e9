"""Everything that is known before the first byte: inputs read and checked, the plan, the layers, the fingerprint."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aqreanalysis.configs import MetadataConfig, ProductionConfig
from aqreanalysis.errors import ModelError
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.model import Predictor, resolve_predictor
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.distribution.period_means import MeansCalibration
from aqreanalysis.model.network.scaling import Paths
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.production.day_sums import MeanInputs, sums_name, sums_width
from aqreanalysis.production.layers import (
    CONVENTIONS_VERSION,
    CubeKind,
    Extrapolation,
    Layer,
    cube_layers,
    value_bytes,
)
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.block_keys import (
    BlockKeys,
    DayChecksums,
    Fingerprint,
    MadeFrom,
    Reach,
    RunKeys,
    days_of,
    record_covariates,
    record_readings,
    run_of,
)
from aqreanalysis.production.plan.blocks import (
    HOURS_A_DAY,
    Moment,
    Plan,
    block_layout,
    check_timeline,
    hours_between,
    make_mean_plan,
    make_plan,
    part_plan,
)
from aqreanalysis.production.plan.checks import (
    check_grid_reach,
    check_reporting,
    choose_species,
    covariates_text,
    missing_hours,
)
from aqreanalysis.production.plan.inputs import HourSpan, observed_hours, span_of
from aqreanalysis.production.plan.timeline import HOURLY, check_frequencies
from aqreanalysis.production.sweep import NUMERICS, FlagThresholds, SweepInputs, Window
from aqreanalysis.production.template import (
    Provenance,
    Template,
    now_text,
    package_version,
    render_template,
    synthetic_label,
)
from aqreanalysis.species import SPECIES, get_species

_LIBRARIES = ("torch", "numpy")
# Beyond it an estimate is flagged where a model does not say how far its intervals were calibrated.
_UNKNOWN_REACH_KM = 50.0


@dataclass(frozen=True)
class Cube:
    """One cube of a run: the plan of its blocks, and its layers."""

    plan: Plan
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Prepared:
    """A run that has passed its checks.

    Attributes
    ----------
    plan, grid, species
        What is swept, hour by hour.
    cubes : dict
        Frequency -> what is made.
    predictor, observations, span
        What from; `span` is the hours that are read.
    production, metadata
        The config in force.
    thresholds : dict
        Species key -> thresholds of exceedance.
    flag_thresholds : FlagThresholds
        When an estimate is flagged or left blank.
    last_observed : dict
        Species key -> last stamp with a reading.
    last_reading : int
        Last stamp with a reading of anything that the model estimates.
    model_path : Path or None
        The bundle, where the model was given as one.
    readings, covariates : DayChecksums
        What was read, by day, of stations and of covariates (None without any).
    static : StaticSource, paths or None
        What a worker gives the model that it loads.
    utc_offset_hours : int
        Of the clock by which the periods of means begin.
    coverage : float
        Probability of the interval.
    fingerprint : dict
        What decides the bytes of the cube.
    added : tuple of str
        Hourly layers beside those of every cube.
    """

    plan: Plan
    grid: Grid
    species: tuple[str, ...]
    cubes: dict[str, Cube]
    predictor: Predictor
    observations: Observations
    span: HourSpan
    production: ProductionConfig
    metadata: MetadataConfig
    thresholds: dict[str, tuple[float, ...]]
    flag_thresholds: FlagThresholds
    last_observed: dict[str, int]
    last_reading: int
    model_path: Path | None
    readings: DayChecksums
    covariates: DayChecksums | None
    static: StaticSource | Paths | None
    utc_offset_hours: int
    coverage: float
    added: tuple[str, ...] = ()
    fingerprint: Fingerprint = field(default_factory=dict)

    @property
    def made_from(self) -> MadeFrom:
        """What the cubes say that they were made from, so that they can grow."""
        source = self.predictor.covariates
        fields = () if source is None else source.fields
        run = run_of(self.fingerprint, self.observations, self.utc_offset_hours, fields)
        return MadeFrom(run, self.readings, self.covariates)

    @property
    def day_keys(self) -> dict[int, bytes]:
        """UTC day -> the key of its estimates."""
        made_from, reach = self.made_from, Reach.of(self.predictor)
        return {day: made_from.day_key(day, reach) for day in days_of(self.plan, (0, self.plan.hours))}

    @cached_property
    def keys(self) -> RunKeys:
        """The keys of all blocks."""
        days = self.day_keys
        cubes = {n: BlockKeys(c.plan, days, c.plan.steps) for n, c in self.cubes.items() if n != HOURLY}
        return RunKeys(BlockKeys(self.plan, days, self.plan.hours), cubes)

    def facts(self) -> dict[str, Any]:
        """Return what the cube says that may change while a run waits to go on: the moment, the model's latest scores.

        The ledger keeps those of the run's beginning, so that a run in two parts writes what a run in one would have.
        """
        return {"created": now_text(), "measured": dict(self.predictor.measured())}

    @property
    def blocks(self) -> int:
        """Blocks of the sweep and of all cubes of means."""
        return self.plan.blocks + sum(c.plan.blocks for name, c in self.cubes.items() if name != HOURLY)

    @property
    def sums_widths(self) -> dict[str, int]:
        """Name of the sums of days, which means are joined from -> values a day and cell; empty without means."""
        means = self.means()
        calibrations = means.calibrations if means is not None else {}
        return {sums_name(key): sums_width(c.autocovariance) for key, c in calibrations.items()}

    @property
    def sums_bytes(self) -> int:
        """Bytes of the sums of days; they are deleted at the end."""
        days = -(-self.plan.hours // HOURS_A_DAY)
        return 4 * sum(self.sums_widths.values()) * self.plan.rows * self.plan.columns * days

    @property
    def working(self) -> Plan:
        """The plan whose blocks take the most memory."""
        return max((self.plan, *(cube.plan for cube in self.cubes.values())), key=lambda plan: plan.working_bytes)

    def means(self) -> MeanInputs | None:
        """Return what cubes of means need, or None if there is none."""
        plans = {name: cube.plan for name, cube in self.cubes.items() if name != HOURLY}
        if not plans:
            return None
        calibrations = self.predictor.calibration_means
        return MeanInputs({key: calibrations[key] for key in self.species}, plans)

    def template(
        self, facts: Mapping[str, Any], frequency: str = HOURLY, part: tuple[str, tuple[int, int]] | None = None
    ) -> Template:
        """Return the template of the cube of a frequency, of a run that began with `facts`.

        Where a file holds a part of it, `part` is the name of that output and its half-open range of steps.
        """
        cube = self.cubes[frequency]
        plan = cube.plan if part is None else part_plan(cube.plan, part[1])
        before = facts.get("before", {}).get(frequency if part is None else part[0], {})
        text, blank = self.predictor.cube_text(), self.production.blank_beyond_km
        far = f" Cells farther than {blank:.4g} km from every station that reports are left blank." if blank else ""
        # What was measured at hidden stations is the coverage of hourly intervals.
        measured = facts["measured"] if frequency == HOURLY else {}
        provenance = Provenance(
            model=self.predictor.digest,
            observations=self.fingerprint["observations"],
            stations=len(self.observations.stations),
            created=before.get("created", facts["created"]),
            version=package_version(),
            libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
            synthetic=synthetic_label(self.observations, self.predictor),
            product=text.product,
            remark=(text.remark + far).strip(),
            extra={
                **measured,
                **(covariates_text(self.predictor, self.span) if self.predictor.covariates is not None else {}),
                **self.made_from.attributes,
            },
            last_reading=max(self.last_observed.values()),
            modified=facts["created"],
            history=before.get("history", ""),
        )
        species = [SPECIES[key] for key in self.species]
        return render_template(plan, self.grid, cube.layers, species, self.metadata, provenance)

    def sweep_inputs(self, window: Window) -> SweepInputs:
        """Return the inputs of the sweep, reading through `window`."""
        return SweepInputs(
            predictor=self.predictor,
            window=window,
            station_lat=self.observations.lat,
            station_lon=self.observations.lon,
            lat=self.grid.lat,
            lon=self.grid.lon,
            mask=self.grid.mask,
            plan=self.plan,
            species=self.species,
            coverage=self.coverage,
            thresholds=self.thresholds,
            flag_thresholds=self.flag_thresholds,
            last_observed=self.last_observed,
            hourly=HOURLY in self.cubes,
            means=self.means(),
            covariates=self.predictor.covariates,
            static=self.static,
            last_reading=self.last_reading,
            added=self.added,
            keepbits=self.production.keepbits,
            spacing=self.grid.step,
        )


def prepare(
    model: str | Path | Predictor,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    timeline: tuple[Moment | None, Moment],
    options: ProduceOptions,
    on_model: Callable[[Predictor, Grid, Plan], None] | None = None,
) -> Prepared:
    """Return the run, read and checked; nothing is written.

    Parameters
    ----------
    model, observations, grid, timeline, options, on_model
        As of `produce_cubes`; `on_model`, if any, is called with model, grid and plan before readings are read.

    Raises
    ------
    AqreanalysisError
        One of its children: see the readers of the inputs and the checks.
    """
    hours, grid = hours_between(*timeline), load_grid(grid)
    predictor = resolve_predictor(model, options.device, options.covariates, options.static)
    production = options.production or predictor.config.production
    plan = make_plan(hours, grid.shape, production, 0, options.stamp)
    if on_model is not None:
        on_model(predictor, grid, plan)
    if not isinstance(observations, Observations):
        observations = read_observations(observations, options.columns or predictor.config.columns)
    observations = _as_background(observations, predictor) if observations.tells_kinds else observations
    species = choose_species(predictor, observations, options)
    thresholds = {get_species(k).key: tuple(float(t) for t in v) for k, v in options.thresholds.items() if len(v)}
    flagged = flag_thresholds(predictor, production, species)
    plan, cubes = _cubes(predictor, species, thresholds, flagged, plan, options, production.keepbits)
    last, last_reading = _check_reach(plan, observations, predictor, species, options.append, grid, production)
    span = span_of(plan, predictor, last_reading)
    digest, readings = record_readings(observations, tuple(predictor.inputs), span)
    prepared = Prepared(
        plan=plan,
        grid=grid,
        species=species,
        cubes=cubes,
        predictor=predictor,
        observations=observations,
        span=span,
        production=production,
        metadata=options.metadata or predictor.config.metadata,
        thresholds=thresholds,
        flag_thresholds=flagged,
        last_observed=last,
        last_reading=last_reading,
        model_path=Path(model) if isinstance(model, str | Path) else None,
        readings=readings,
        covariates=_check_covariates(predictor, observations, grid, (plan, span)) if predictor.covariates else None,
        static=options.static,
        utc_offset_hours=options.utc_offset_hours,
        coverage=float(predictor.config.uncertainty.coverage),
        added=tuple(dict.fromkeys(options.layers)),
    )
    return replace(prepared, fingerprint=fingerprint_of(prepared, digest))


def _as_background(observations: Observations, predictor: Predictor) -> Observations:
    """Return the readings as those of background air, by what the model's bundle knows of kinds of stations."""
    from aqreanalysis.background_air.record import as_background  # here: most records tell no kind

    bundle = getattr(predictor, "bundle", None)
    return as_background(observations, *((None, {}) if bundle is None else (bundle.groups, bundle.scaling)))


def _check_covariates(
    predictor: Predictor, observations: Observations, grid: Grid, read: tuple[Plan, HourSpan]
) -> DayChecksums | None:
    """Check that the covariates have the hours that are read; return their checksums."""
    missing_hours(predictor, read[1])
    return record_covariates(predictor, observations, grid, read[0])


def _check_reach(
    plan: Plan,
    observations: Observations,
    predictor: Predictor,
    species: Sequence[str],
    growing: bool,
    grid: Grid,
    production: ProductionConfig,
) -> tuple[dict[str, int], int]:
    """Check that the readings reach the timeline and the grid; return the last stamp with a reading of each species,
    and of any."""
    observed = observed_hours(observations, tuple(dict.fromkeys([*species, *predictor.inputs])))
    span_seen = (min(first for first, _ in observed.values()), max(last for _, last in observed.values()))
    # What a cube that grows was read from before may lie before the newer observations (`resume.append`).
    seen_from = min(span_seen[0], plan.first_hour) if growing else span_seen[0]
    observations_span = seen_from, span_seen[1]
    check_timeline(plan, observations_span, predictor.timeline(observations_span))
    if not growing:  # what a cube that grows gets may be the readings of one pollutant
        check_reporting(observations, species, observed)
    check_grid_reach(grid, observations, production.max_distance_km)
    return {key: observed[key][1] if key in observed else span_seen[0] - 1 for key in species}, span_seen[1]


def flag_thresholds(predictor: Predictor, production: ProductionConfig, species: Sequence[str]) -> FlagThresholds:
    """Return when estimates are flagged or left blank: beyond what the config says, or calibration reached."""
    given, extrapolation = production.extrapolation_km, {}
    for key in species:
        reach, source = predictor.reach_km.get(key), "how far the intervals were calibrated"
        if given is not None:
            reach, source = given, "production.extrapolation_km"
        elif reach is None:
            reach, source = _UNKNOWN_REACH_KM, "a default: the model does not say how far its intervals were calibrated"
        extrapolation[key] = Extrapolation(reach, source, production.blank_beyond_km)
    return FlagThresholds(extrapolation, production.few_neighbours)


def _cubes(
    predictor: Predictor,
    species: tuple[str, ...],
    thresholds: Mapping[str, Sequence[float]],
    flagged: FlagThresholds,
    plan: Plan,
    options: ProduceOptions,
    keepbits: int,
) -> tuple[Plan, dict[str, Cube]]:
    """Return the plan of the sweep with its bytes, and the cubes.

    Raises
    ------
    ModelError
        If means are asked of a model that has no calibration of them.
    """
    coverage = float(predictor.config.uncertainty.coverage)
    cubes: dict[str, Cube] = {}
    for name in check_frequencies(options.frequencies):
        means = [] if name == HOURLY else species
        notes = {key: mean_calibration(predictor, key).tables[name].describe(name) for key in means}
        said, added = predictor.cube_text().counted, tuple(options.layers)
        kind = CubeKind(coverage, name, notes, said, flagged.extrapolation, added, keepbits)
        layers = cube_layers([SPECIES[key] for key in species], kind, thresholds)
        size = value_bytes(layers)
        if name == HOURLY:
            plan = replace(plan, value_bytes=size)
            cubes[name] = Cube(plan, layers)
        else:
            cubes[name] = Cube(make_mean_plan(plan, name, size, options.utc_offset_hours), layers)
    return plan, cubes


def mean_calibration(predictor: Predictor, key: str) -> MeansCalibration:
    """Return the calibration of means of one pollutant.

    Raises
    ------
    ModelError
        If the model has none.
    """
    if key not in predictor.calibration_means:
        raise ModelError(
            f"the model has no calibration of daily, monthly and annual means for {key}, because it forecasts or an "
            "older version trained it: ask for frequency hourly only, or take an analysis trained anew"
        )
    return predictor.calibration_means[key]


def fingerprint_of(run: Prepared, observations_digest: str) -> Fingerprint:
    """Return everything that decides the bytes of a cube, under names for people.

    It is in the order in which a difference is told: the readings depend on the model's inputs and on the timeline.
    """
    source = run.predictor.covariates
    return {
        "model": run.predictor.digest,
        "grid": run.grid.digest(),
        "timeline and blocks": block_layout(run.plan),
        "frequencies": list(run.cubes),
        "stamp": run.plan.stamp,
        "conventions": CONVENTIONS_VERSION,
        "species": list(run.species),
        "observations": observations_digest,
        **({} if source is None else {"covariates": source.digest()}),
        "last readings": run.last_observed,
        "coverage": run.coverage,
        "thresholds": {key: list(values) for key, values in run.thresholds.items()},
        **({"layers": list(run.added)} if run.added else {}),
        "production config": run.production.model_dump(),
        "metadata": {**run.metadata.model_dump(exclude_none=True), "grid": run.grid.name},
        # ``cpu`` or ``cuda``: their last digits differ, so one run keeps to one of them.
        "device": run.predictor.device.type,
        "software": {"aqreanalysis": package_version(), "numerics": NUMERICS}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
