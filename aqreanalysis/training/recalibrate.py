"""A trained model made that of another network in minutes: all but the weights is measured there anew.

Nothing learns. Scaling, drift, ranges and nuggets are fitted to the network's record; the tables of the intervals come
from its own stations and hours left out, drawn to the model's as far as so few stations can tell. Since the weights
never saw the network, every station in sight may be left out in turn. What a training would hide stays hidden, so that
`evaluate` may score the outcome as it scores a training's.
"""

from __future__ import annotations

from dataclasses import replace
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
from aqreanalysis.configs import SplitConfig
from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.model import Bundle, Calibration, choose_device, read_bundle
from aqreanalysis.model.bundle import CALIBRATED_FROM, NONE_HIDDEN
from aqreanalysis.observations import Observations
from aqreanalysis.splits import (
    CALIBRATION,
    HIDDEN_CITY,
    HIDDEN_TENTH,
    MIN_TRAINING_STATIONS,
    TRAINING,
    Split,
    draw_split,
)
from aqreanalysis.training.calibrate import LeftOutErrors, gap_reach, record_climatology, uncalibrated
from aqreanalysis.training.calibrate_means import calibrate_means_in_turn
from aqreanalysis.training.covariate_timeline import covariates_at_stations
from aqreanalysis.training.crowding import for_record
from aqreanalysis.training.fields import ReadFields, covariates_provenance
from aqreanalysis.training.head_here import as_far_as_borne_out
from aqreanalysis.training.left_out import StationRecords, measure
from aqreanalysis.training.model_card import calibrated_card
from aqreanalysis.training.run_folder import (
    TrainOptions,
    check_no_training,
    check_out,
    claimed,
    offered,
    provenance_of,
    publish_bundle,
    working_folder,
)
from aqreanalysis.training.seen_hours import seen_hours
from aqreanalysis.training.shrinkage import shrink_to
from aqreanalysis.training.transfer import LocalNetwork, of_these_pollutants, transfer_to
from aqreanalysis.training.transfer_covariates import transfer_with_covariates

# Stations that are left out some days each, all of them together, whatever their number; and the most rounds of that.
_ENOUGH_LEFT_OUT = 64
_MOST_ROUNDS = 4


def recalibrate(
    model: str | Path | Bundle,
    observations: Observations,
    out: str | Path,
    device: str = "auto",
    progress: Progress | None = None,
    options: TrainOptions | None = None,
    *,
    means: bool = True,
) -> Path:
    """Make a trained model that of a network of stations, and return the directory of the new bundle.

    Parameters
    ----------
    model : str, Path or Bundle
        A bundle, of any network.
    observations : Observations
        Records of the network. Pollutants that fewer than two of its stations in sight read leave the model.
    out : str or Path
        Directory of the new bundle.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    progress : callable, optional
        Called as ``progress(done, total, note)``.
    options : TrainOptions, optional
        Whether to replace a bundle; covariates and static fields: a model that was trained with covariates needs them,
        one that was trained without takes them where they are given, and needs them from then on.
    means : bool
        Whether daily, monthly and annual means are calibrated too; where only hours are asked for they need not be.

    Raises
    ------
    ModelError
        If the model is a long forecast, or estimates nothing that the observations hold.
    ObservationsError
        Too few stations or days.
    OutputError
        If `out` exists, cannot be written, or a training of it is unfinished.
    """
    out, chosen = as_path(out), choose_device(device)
    bundle = model if isinstance(model, Bundle) else read_bundle(model)
    options = (options or TrainOptions()).opened(bundle.config, trained=True)
    if bundle.config.forecast is not None:
        raise ModelError("the model is a long forecast, whose intervals no calibration of hours fits: train one here")
    check_out(out, options)
    with library_threads(bundle.config.training.threads), claimed(out, options):
        check_no_training(out)
        made = recalibrated(bundle, observations, str(chosen), progress, options, means)
        working_folder(out).mkdir(parents=True, exist_ok=True)
        return publish_bundle(made, working_folder(out), out)


def recalibrated(
    bundle: Bundle,
    observations: Observations,
    device: str,
    progress: Progress | None,
    options: TrainOptions,
    means: bool,
) -> Bundle:
    """Return what `recalibrate` writes; arguments as there."""
    source, record = bundle.digest, observations
    observations = background_only(record)
    bundle = replace(bundle, config=for_record(bundle.config, record))
    split = split_to_calibrate(observations, bundle.config.split)
    among = split.where(TRAINING, CALIBRATION)
    bundle = of_these_pollutants(bundle, measured_in_sight(observations, among))
    local = LocalNetwork(split, seen_hours(observations, bundle.config, split.unseen_from), among)
    tell = progress or (lambda done, total, note: None)
    tell(0, 4, "scaling, drift and ranges of the network")
    known = bundle.calibration
    bundle, read = _transferred(bundle, local, options)
    seen = local.seen
    records = StationRecords(
        seen.values, seen.hours, split.lat, split.lon, among, np.zeros_like(among), read, learnt=False
    )
    tell(1, 4, "stations left out in turn")
    bundle = as_far_as_borne_out(bundle, records, device, _rounds(records))
    bundle.groups = learn_visible_groups(record, split, bundle.scaling)
    if bundle.groups is not None and read is None:  # covariates were read at the stations of the split alone
        hours = range(int(seen.hours[0]), int(seen.hours[-1]) + 1)
        records = replace(records, others=Informing.of(record, split, bundle.groups, bundle.scaling, hours))
    bundle.calibration = tables_of(bundle, records, known, device)
    tell(3, 4, "means of days and months")
    bundle.calibration_means = calibrate_means_in_turn(bundle, records, device) if means else {}
    bundle.stations = split.to_frame()
    origin = _origin(bundle, source, len(observations.stations))
    bundle.provenance = provenance_of(observations, split, device.partition(":")[0]) | {CALIBRATED_FROM: origin}
    bundle.provenance |= covariates_provenance(options.field_source, read) | offered(options.static_source)
    if hides_none_for_want_of_stations(split, bundle.config.split):
        bundle.provenance[NONE_HIDDEN] = (
            f"{len(split.stations)} stations are too few to hide any of them from the calibration, as the split asks: "
            "`aqreanalysis evaluate` has none to score the model at, `aqreanalysis map` scores it by leaving them out "
            "in folds"
        )
    bundle.metrics = {key: value for key, value in bundle.metrics.items() if key not in ("evaluation", "forecast")}
    bundle.card = calibrated_card(bundle, observations)
    tell(4, 4, "calibrated")
    return bundle


def measured_in_sight(observations: Observations, among: NDArray[np.bool_]) -> list[str]:
    """Return the pollutants that two or more of the stations `among` (station,) read: one has none to be seen from."""
    read = {key: np.isfinite(observations.values(key)[:, among]).any(axis=0) for key in observations.species}
    return [key for key, stations in read.items() if stations.sum() > 1]


def _origin(bundle: Bundle, source: str, stations: int) -> dict[str, Any]:
    """Return where the weights of a model come from, before its provenance becomes that of a network of stations."""
    before = bundle.provenance
    if CALIBRATED_FROM in before:  # calibrated elsewhere already: what its weights learned from stays what it was
        learned, source = before[CALIBRATED_FROM]["trained_on"], before[CALIBRATED_FROM]["model_digest"]
    else:
        learned = before.get("observations_attributes", {})
    label = learned.get("source") or learned.get("title") or "records that it does not name"
    return {
        "model_digest": source,
        "stations": stations,
        "trained_on": learned,
        "remark": f"The weights of the model are those of model {source[:12]}, which learned from {label}; scaling, "
        f"ranges and intervals were calibrated on this network of {stations} stations",
    }


def split_to_calibrate(observations: Observations, config: SplitConfig) -> Split:
    """Return the split that a training would draw; with too few stations for it one that hides none.

    Raises
    ------
    ObservationsError
        With fewer stations than say anything of stations left out, or too few days.
    """
    try:
        return draw_split(observations, config)
    except ObservationsError:
        if len(observations.stations) < MIN_TRAINING_STATIONS:
            raise ObservationsError(
                f"{len(observations.stations)} stations are too few to calibrate a model on: at least "
                f"{MIN_TRAINING_STATIONS} are needed, which are left out in turn; bring more stations"
            ) from None
        none = {"hidden_stations": 0.0, "hidden_cities": 0.0, "calibration_stations": 0.0}
        return draw_split(observations, config.model_copy(update=none))


def hides_none_for_want_of_stations(split: Split, config: SplitConfig) -> bool:
    """Return whether a split hides no station although its config asks for some."""
    asked = config.hidden_stations + config.hidden_cities > 0
    return asked and not split.where(HIDDEN_TENTH, HIDDEN_CITY).any()


def tables_of(
    bundle: Bundle, records: StationRecords, known: dict[str, Calibration], device: str
) -> dict[str, Calibration]:
    """Return each pollutant's calibration at stations left out in turn, drawn to the `known` ones."""
    predictor, tables = uncalibrated(bundle, records, device), {}
    for key, measured in measure(predictor, records, _rounds(records)).items():
        left_out = LeftOutErrors.of(measured, records)
        own = left_out.table(record_climatology(predictor, records, key), gap_reach(predictor))
        station = measured.residuals.where_nearest_reports().station
        tables[key] = shrink_to(own, known[key], replace(left_out.usual, place=station))
    return tables


def _rounds(records: StationRecords) -> int:
    """Return how often each day is asked, with other stations left out."""
    return int(np.clip(_ENOUGH_LEFT_OUT // max(int(records.training.sum()), 1), 1, _MOST_ROUNDS))


def _transferred(bundle: Bundle, local: LocalNetwork, options: TrainOptions) -> tuple[Bundle, ReadFields | None]:
    """Return the model with what the network says of itself, and the covariates at all stations where there are any.

    A model that was trained with covariates keeps what it learned of them and how they were standardised; one that was
    trained without takes those that are given.
    """
    if bundle.fields is None and options.field_source is not None:
        return transfer_with_covariates(bundle, local, options.field_source, options.static_source)
    bundle = transfer_to(bundle, local, options.static_source)
    if bundle.fields is None:
        return bundle, None
    if options.field_source is None:
        raise ModelError(f"the model was trained with covariates: {', '.join(bundle.fields.names)}; give --covariates")
    named = options.field_source.select(bundle.fields.names)
    read = covariates_at_stations(named, local.seen, bundle.config.window, local.roles)
    return bundle, replace(read, scaling=bundle.fields)
