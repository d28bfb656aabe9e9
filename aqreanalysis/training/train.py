"""Observations and a config in, a model bundle out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.background_air.learning import learn_visible_groups
from aqreanalysis.background_air.record import Informing
from aqreanalysis.common.files import as_path
from aqreanalysis.common.library_threads import library_threads
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config, load_config
from aqreanalysis.errors import ConfigError, ObservationsError, wrong_type
from aqreanalysis.model import Bundle, Scaling, choose_device
from aqreanalysis.model.distribution.crowding import Crowding
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.model.distribution.station_groups import StationGroups
from aqreanalysis.observations import Observations, ReadOptions, read_observations
from aqreanalysis.species import get_species
from aqreanalysis.splits import CALIBRATION, MIN_TRAINING_STATIONS, TRAINING, Split, draw_split
from aqreanalysis.training.calibrate import calibrate
from aqreanalysis.training.calibrate_means import calibrate_means
from aqreanalysis.training.covariate_timeline import covariates_at_stations, with_covariates
from aqreanalysis.training.crowding import fit_crowding, for_record, standardised, taken_off
from aqreanalysis.training.distributed import Processes, joined
from aqreanalysis.training.drift import fit_drift, hour_stride
from aqreanalysis.training.ensemble import run_members, side_by_side
from aqreanalysis.training.fields import ReadFields, covariates_provenance, drift_explained, with_fields
from aqreanalysis.training.left_out import StationRecords
from aqreanalysis.training.model_card import model_card
from aqreanalysis.training.recalibrate import recalibrated
from aqreanalysis.training.run_folder import (
    Trained,
    TrainOptions,
    check_out,
    claimed,
    fit_scalings,
    make_bundle,
    offered,
    open_run_folder,
    publish_bundle,
    resolve_species,
    subsample_stride,
    working_folder,
)
from aqreanalysis.training.seen_hours import SeenHours, seen_hours
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.trainer import BEGAN_WITH, Trainer
from aqreanalysis.training.transfer import of_these_pollutants


@dataclass(frozen=True)
class _Data:
    """What training reads: stations of background air, what each may do in it, and what is known of others."""

    observations: Observations
    split: Split
    seen: SeenHours
    scaling: dict[str, Scaling]
    drift: Drift | None
    crowding: Crowding | None
    read: ReadFields | None
    groups: StationGroups | None
    others: Informing | None


def train(
    observations: Observations | str | Path | Sequence[str | Path],
    config: Config | str | Path | Mapping[str, Any] | None,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
    options: TrainOptions | None = None,
) -> Path:
    """Train AQ-Net and return the directory of the bundle; all processes that ``torchrun`` starts train one network.

    Parameters
    ----------
    observations : Observations, str, Path or sequence of paths
        Station records, or where `read_observations` finds them; background air is learned from background stations.
    config : Config, str, Path, mapping or None
        What to estimate, the split, the sizes, the loop; or what `load_config` makes it of.
    out : str or Path
        Directory of the bundle. While training runs, checkpoints lie in ``<out>.part``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    progress : callable, optional
        Called as ``progress(done, total, note)`` after each step.
    options : TrainOptions, optional
        Whether to go on with an interrupted training, and whether to replace a bundle.

    Raises
    ------
    ObservationsError
        Too few stations, days or pollutants.
    OutputError
        If `out` exists, or an interrupted training there had other observations or another config.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> sizes = ["model.state_width=8", "model.head_width=8", "training.epochs=1", "training.steps_per_epoch=2"]
    >>> config = aq.load_config("aqnet", ["species=[pm25]", "inputs=[pm25]", "window.history_hours=6", *sizes])
    >>> bundle = aq.train(aq.read_observations("obs.parquet"), config, "models/small", device="cpu")
    >>> (bundle / "MODEL_CARD.md").exists()
    True
    """
    config, out, options = load_config(config), as_path(out), TrainOptions() if options is None else options
    if not isinstance(options, TrainOptions):
        raise wrong_type("options", options, "TrainOptions(...)")
    observations = read_observations(observations, config.columns, ReadOptions(quality=config.quality))
    options = options.opened(config)
    chosen, config = choose_device(device), _resolved(for_record(config, observations), observations, options)
    check_out(out, options)
    with (
        library_threads(config.training.threads),
        joined(chosen) as processes,
        claimed(out, options, processes.is_first),
    ):
        _train(observations, config, out, options, processes, progress)
    return out


def _train(
    observations: Observations,
    config: Config,
    out: Path,
    options: TrainOptions,
    processes: Processes,
    progress: Progress | None,
) -> None:
    """Train, and let the first of the processes write the bundle."""
    data = _prepare(observations, config, options, progress)
    if processes.is_first:
        open_run_folder(out, data.observations, config, options, processes.count)
    processes.wait()
    trainers = _trainers(config, data, processes, options.start)
    weights = run_members(trainers, working_folder(out), progress if processes.is_first else None, options.resume)
    if processes.is_first:
        trained = Trained(weights, _states(trainers, config), processes.device.type)
        bundle = make_bundle(data.observations, config, data.split, data.scaling, trained)
        _describe(bundle, data, options, processes)
        if options.start is not None and all(t.state["went_on"] == BEGAN_WITH for t in trainers):
            bundle = _as_calibrated(bundle, options.start, observations, options, str(processes.device))
        else:
            _complete(bundle, data, str(processes.device))
        bundle.card = model_card(bundle, data.observations)
        publish_bundle(bundle, working_folder(out), out)


def _prepare(record: Observations, config: Config, options: TrainOptions, progress: Progress | None) -> _Data:
    """Return what training reads, after all checks of it."""
    if options.static_source is not None and not config.model.geography:
        raise ConfigError("model.geography=false trains without a drift, in which static fields stand: leave one out")
    observations = background_only(record)
    split = draw_split(observations, config.split)
    seen = seen_hours(observations, config, split.unseen_from)
    some = subsample_stride(seen.values.shape[:2])
    scaling = fit_scalings(seen.values[::some, split.where(TRAINING)], config.inputs or config.species)
    _check_calibration(seen, config, split.where(CALIBRATION))
    among = split.where(TRAINING)
    thinned, places = seen.values[:: hour_stride(len(seen.values)), among], (split.lat[among], split.lon[among])
    drift = fit_drift(thinned, scaling, *places, options.static_source) if config.model.geography else None
    crowding = None
    if config.model.crowding and options.field_source is None:
        ground = None if drift is None else drift.at(*places, list(scaling))
        crowding = fit_crowding(standardised(thinned, scaling, ground), *places)
    read = None
    if options.field_source is not None:
        read = covariates_at_stations(options.field_source, seen, config.window, _roles(split), progress)
    groups = learn_visible_groups(record, split, scaling)
    others = None
    if groups is not None and read is None:  # covariates were read at the stations of the split alone
        others = Informing.of(record, split, groups, scaling, range(int(seen.hours[0]), int(seen.hours[-1]) + 1))
    return _Data(observations, split, seen, scaling, drift, crowding, read, groups, others)


def _roles(split: Split) -> StationRoles:
    """Return who is learned from and who is scored."""
    roles = split.where(TRAINING), split.where(CALIBRATION)
    return StationRoles(split.lat, split.lon, *roles, np.array(split.city, dtype=np.str_))


def _describe(bundle: Bundle, data: _Data, options: TrainOptions, processes: Processes) -> None:
    """Put into the bundle what it was made of and how."""
    bundle.provenance |= covariates_provenance(options.field_source, data.read) | offered(options.static_source)
    if options.start is not None:
        bundle.provenance["went_on_from"] = options.start.digest
    bundle.provenance |= {"processes": processes.count, "threads": bundle.config.training.threads}


def _complete(bundle: Bundle, data: _Data, device: str) -> None:
    """Put drift, calibration of hours and of means, and the scaling of covariates into the bundle."""
    seen, split = data.seen, data.split
    bundle.drift, bundle.crowding, bundle.groups = data.drift, data.crowding, data.groups
    bundle.fields = data.read.scaling if data.read is not None else None
    roles = split.where(TRAINING), split.where(CALIBRATION)
    records = StationRecords(seen.values, seen.hours, split.lat, split.lon, *roles, data.read, others=data.others)
    bundle.calibration = calibrate(bundle, records, device)
    bundle.calibration_means = calibrate_means(bundle, records, device)


def _as_calibrated(bundle: Bundle, start: Bundle, record: Observations, options: TrainOptions, device: str) -> Bundle:
    """Return the bundle of a training that kept what it began with: that model, calibrated here.

    Its weights never saw the network, so all stations in sight may say what of it holds, where of a training a few may.
    """
    own = {name: getattr(bundle.config, name) for name in ("split", "training")}
    before = replace(start, config=start.config.model_copy(update=own))
    made = recalibrated(before, record, device, None, options, means=True)
    here = {name: made.metrics["training"][name] for name in ("departure", "spread_fitted")}
    metrics = bundle.metrics | {"training": bundle.metrics["training"] | here}
    return replace(made, metrics=metrics, provenance=bundle.provenance)


def _resolved(config: Config, observations: Observations, options: TrainOptions) -> Config:
    """Return the config with pollutants and covariates filled in; a model to go on from has those of its pollutants
    that the observations hold."""
    known = observations.species
    own = {name: [key for key in getattr(config, name) or () if key in known] for name in ("species", "inputs")}
    if options.start is not None and own["species"]:
        config = config.model_copy(update=own)
    return with_fields(resolve_species(config, observations), options.field_source)


def _trainers(config: Config, data: _Data, processes: Processes, before: Bundle | None) -> list[Trainer]:
    """Return a trainer a member: they share data and config and differ in the seed of weights, batches and masks.

    With a model `before`, they go on from its members in turn.
    """
    starts = of_these_pollutants(before, config.species, config.inputs).members if before is not None else []
    split, seen, scaling, read = data.split, data.seen, data.scaling, data.read
    inputs = list(config.inputs or config.species)
    timeline = seen.timeline(
        scaling, config, taken_off((data.drift, data.crowding), split, split.where(TRAINING), inputs)
    )
    places = _roles(split)
    if read is not None:
        timeline = with_covariates(timeline, read, {key: scaling[key] for key in inputs}, places)
    timeline = timeline.to(processes.device)
    training, trainers = config.training, []
    for member in range(training.members):
        minutes = training.max_minutes
        if minutes is not None and not side_by_side(processes.device):
            minutes /= training.members
        own = training.model_copy(update={"seed": training.seed + member, "max_minutes": minutes})
        one = config.model_copy(update={"training": own})
        start = starts[member % len(starts)] if starts else None
        trainers.append(Trainer(one, timeline, places, [scaling[s] for s in config.species], processes, start))
    return trainers


def _states(trainers: list[Trainer], config: Config) -> dict[str, Any]:
    """Return how the members were trained, and from what they started."""
    states = {"training": trainers[0].state, "further_members": [t.state for t in trainers[1:]]}
    return states | _started_from(trainers[0], config)


def _started_from(trainer: Trainer, config: Config) -> dict[str, Any]:
    """Return what the network started from: the covariance models where they were fitted, and by input what the drift
    on covariates explains where there are any."""
    fields, covariances = trainer.timeline.fields, trainer.covariances
    started: dict[str, Any] = {} if covariances is None else {"starting_covariances": asdict(covariances)}
    if fields is None:
        return started
    return started | drift_explained(fields, list(config.inputs or config.species))


def _check_calibration(seen: SeenHours, config: Config, stations: NDArray[np.bool_]) -> None:
    """Refuse a training that early stopping and calibration would have nothing to look at."""
    if not stations.any():
        raise ConfigError(
            f"split.calibration_stations = {config.split.calibration_stations:g} leaves no station for early stopping "
            "and for calibrating the intervals: set it to 0.1"
        )
    inputs = list(config.inputs or config.species)
    for key in config.species:
        read = np.asarray(np.isfinite(seen.values[..., inputs.index(key)]).any(axis=0))
        if not read[stations].any():
            way = "raise split.calibration_stations or change split.seed"
            if read.sum() < MIN_TRAINING_STATIONS:
                rest = ", ".join(other for other in config.species if other != key)
                way = f"leave it out with --set species=[{rest}]" if rest else "bring more stations"
            raise ObservationsError(
                f"no reading of {get_species(key).title} at the {stations.sum()} calibration stations in the hours "
                f"that training may see, and at {read.sum()} of all {len(read)} stations: {way}"
            )
