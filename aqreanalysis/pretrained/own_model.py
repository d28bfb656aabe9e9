"""The pretrained model made that of the network at hand, kept beside what is made with it, and scored there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.hours import even_step
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config
from aqreanalysis.errors import ModelError, ObservationsError, OutputError
from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, evaluate
from aqreanalysis.model import Bundle, read_bundle
from aqreanalysis.model.bundle import CALIBRATED_FROM, OFFERED
from aqreanalysis.observations import Observations
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.species import in_order
from aqreanalysis.splits import MIN_TRAINING_STATIONS
from aqreanalysis.training.recalibrate import recalibrate
from aqreanalysis.training.run_folder import TrainOptions, offered
from aqreanalysis.training.transfer import of_these_pollutants

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates, StaticFields

#: What is appended to the name of an output for the model that it was made with.
ENDING = ".model"
# Hours that are scored at each station; more change no verdict.
_ENOUGH_HOURS = 250
# With so few stations that a fold leaves too few to calibrate on, each is a fold of its own.
_FOLDS = 5
# With fewer readings a station says nothing of a pollutant.
_FEWEST_READINGS = 24


@dataclass(frozen=True)
class Fields:
    """What is known of every place beside the readings.

    Attributes
    ----------
    covariates : Covariates or None
        Meteorology, a chemistry model's concentrations, rasters.
    static : StaticFields or None
        Rasters and tables of points to try in the external drift.
    """

    covariates: Covariates | None = None
    static: StaticFields | None = None

    def are_those_of(self, bundle: Bundle) -> bool:
        """Return whether a model was made with the same."""
        digest = None if self.covariates is None else self.covariates.digest()
        known = bundle.provenance
        return known.get("covariates_digest") == digest and known.get(OFFERED, {}) == offered(self.static).get(
            OFFERED, {}
        )


NO_FIELDS = Fields()


@dataclass(frozen=True)
class OwnModel:
    """A model calibrated on a network, and whether it was there before."""

    folder: Path
    was_there: bool


def model_beside(out: str | Path) -> Path:
    """Return where the model of an output lies.

    Raises
    ------
    OutputError
        If the output is in a bucket, beside which no folder lies.
    """
    if "://" in str(out):
        raise OutputError(
            f"{out} is in a bucket, and the model that is calibrated here needs a folder: make it with 'aqreanalysis "
            f"calibrate --model {FOLDER} --out FOLDER' and give it as --model"
        )
    path = Path(out)
    return path.with_name(path.name + ENDING)


def of_this_network(
    observations: Observations,
    folder: Path,
    species: Sequence[str] = (),
    grows: bool = False,
    progress: Progress | None = None,
    fields: Fields = NO_FIELDS,
) -> OwnModel:
    """Return the pretrained model calibrated on all stations of a network, made in `folder` if it is not there.

    Nothing is hidden from it: what it scores is told by folds (`score_quickly`). One that is there is kept where it was
    made of the same model, observations and `fields`, so that a run that goes on does not make it twice; where a cube
    `grows`, whatever they are, since the cube is to go on as it began. It estimates the pollutants of
    `measured_widely`.

    Raises
    ------
    ObservationsError
        As of `measured_widely`.
    OutputError
        If something else lies there.
    """
    wanted = measured_widely(observations, species)
    if folder.exists():
        there = read_bundle(folder)
        origin = there.provenance.get(CALIBRATED_FROM)
        if origin is None:
            raise OutputError(f"{folder} is no model that was calibrated here: move it, or choose another --out")
        same = there.provenance["observations_digest"] == background_only(observations).digest()
        same = same and set(there.config.species) == set(wanted)
        same = same and fields.are_those_of(there)
        if grows or (same and origin["model_digest"] == read_bundle(FOLDER).digest):
            return OwnModel(folder, True)
    narrow = of_these_pollutants(read_bundle(FOLDER), wanted)
    bundle = with_split(narrow, hidden_stations=0.0, hidden_cities=0.0, unseen_time=0.0)
    options = TrainOptions(overwrite=True, covariates=fields.covariates, static=fields.static)
    return OwnModel(recalibrate(bundle, observations, folder, "cpu", progress, options), False)


def score_quickly(
    observations: Observations,
    out: Path,
    species: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
    fields: Fields = NO_FIELDS,
) -> dict[str, Any]:
    """Return the metrics of the calibrated model at every station of a network, in folds, beside the baselines.

    Each fold is calibrated without its stations. The report and the pictures go into `out`. The baselines are given
    the same `fields`.
    """
    bundle = of_these_pollutants(read_bundle(FOLDER), measured_widely(observations, species))

    def calibrated(seen: Observations, config: Config, folder: Path, tell: Progress | None) -> Path:
        own = bundle.config.model_copy(update={"split": config.split})
        given = TrainOptions(covariates=fields.covariates, static=fields.static)
        return recalibrate(replace(bundle, config=own), seen, folder, "cpu", tell, given, means=False)

    every = even_step(len(observations.times) // _ENOUGH_HOURS)
    count = len(observations.stations)
    enough = count - -(-count // _FOLDS) >= MIN_TRAINING_STATIONS
    folds = FoldOptions(calibrated, bundle.config, _FOLDS if enough else count)
    options = EvaluationOptions(
        ("station-folds",),
        every=every,
        device="cpu",
        folds=folds,
        overwrite=overwrite,
        covariates=fields.covariates,
        static=fields.static,
    )
    return evaluate(None, observations, out, options, progress=progress)


def check_stations_to_score(observations: Observations) -> None:
    """Refuse a network in which no station can be left out and the others still calibrate a model.

    Raises
    ------
    ObservationsError
        If so.
    """
    count = len(background_only(observations).stations)
    if count <= MIN_TRAINING_STATIONS:
        way = "bring more"
        if count == MIN_TRAINING_STATIONS:
            way += ", or make the cube without scores by 'aqreanalysis produce' without --model"
        raise ObservationsError(
            f"too few stations to map and to score the map where one is left out: {count}, and at least "
            f"{MIN_TRAINING_STATIONS + 1} are needed; {way}"
        )


def too_few_stations(observations: Observations) -> dict[str, int]:
    """Return by pollutant how many stations measure it, of those at too few for a calibration."""
    background = background_only(observations)
    counts = {
        key: int((np.isfinite(background.values(key)).sum(axis=0) >= _FEWEST_READINGS).sum())
        for key in observations.species
    }
    return {key: count for key, count in counts.items() if count < MIN_TRAINING_STATIONS}


def measured_widely(observations: Observations, species: Sequence[str]) -> tuple[str, ...]:
    """Return the pollutants to make a model of: those of `species`, or without any all that enough stations measure.

    Raises
    ------
    ModelError
        If the observations lack one of `species`.
    ObservationsError
        If too few stations measure one of `species`, or any pollutant at all.
    """
    lacking = [key for key in species if key not in observations.species]
    if lacking:
        raise ModelError(f"the observations have no {', '.join(lacking)}; they hold {', '.join(observations.species)}")
    few = too_few_stations(observations)
    wanted = tuple(species) or in_order(set(observations.species) - set(few))
    refused = [key for key in tuple(species) or observations.species if key in few]
    if refused and (species or not wanted):
        counted = ", ".join(f"{key} at {few[key]}" for key in refused)
        rest = in_order(set(observations.species) - set(few))
        way = f"ask for --species {','.join(rest)} alone, or " if rest else ""
        raise ObservationsError(
            f"too few stations measure what is to be mapped: {counted}, and at least {MIN_TRAINING_STATIONS} with a "
            f"day of readings are needed; {way}bring more stations"
        )
    return wanted


def with_split(bundle: Bundle, **shares: float) -> Bundle:
    """Return a model whose config hides other shares of stations and hours."""
    split = bundle.config.split.model_copy(update=shares)
    return replace(bundle, config=bundle.config.model_copy(update={"split": split}))
