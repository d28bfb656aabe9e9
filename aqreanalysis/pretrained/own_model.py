"""The pretrained model made that of the network at hand, kept beside what is made with it, and scored there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.hours import even_step
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config
from aqreanalysis.errors import ModelError, OutputError
from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, evaluate
from aqreanalysis.model import Bundle, read_bundle
from aqreanalysis.model.bundle import CALIBRATED_FROM, OFFERED
from aqreanalysis.observations import Observations
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.training.recalibrate import recalibrate
from aqreanalysis.training.run_folder import TrainOptions, offered
from aqreanalysis.training.transfer import of_these_pollutants

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates, StaticFields

#: What is appended to the name of an output for the model that it was made with.
ENDING = ".model"
# Hours that are scored at each station; more change no verdict.
_ENOUGH_HOURS = 250
# With fewer stations each is a fold of its own.
_FOLDS = 5


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
    `grows`, whatever they are, since the cube is to go on as it began. It estimates those of the network's pollutants
    that `species` names, all if it names none.

    Raises
    ------
    OutputError
        If something else lies there.
    """
    if folder.exists():
        there = read_bundle(folder)
        origin = there.provenance.get(CALIBRATED_FROM)
        if origin is None:
            raise OutputError(f"{folder} is no model that was calibrated here: move it, or choose another --out")
        same = there.provenance["observations_digest"] == background_only(observations).digest()
        same = same and set(there.config.species) == set(_asked(observations, species))
        same = same and fields.are_those_of(there)
        if grows or (same and origin["model_digest"] == read_bundle(FOLDER).digest):
            return OwnModel(folder, True)
    narrow = of_these_pollutants(read_bundle(FOLDER), _asked(observations, species))
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
    bundle = of_these_pollutants(read_bundle(FOLDER), _asked(observations, species))

    def calibrated(seen: Observations, config: Config, folder: Path, tell: Progress | None) -> Path:
        own = bundle.config.model_copy(update={"split": config.split})
        given = TrainOptions(covariates=fields.covariates, static=fields.static)
        return recalibrate(replace(bundle, config=own), seen, folder, "cpu", tell, given, means=False)

    every = even_step(len(observations.times) // _ENOUGH_HOURS)
    folds = FoldOptions(calibrated, bundle.config, min(_FOLDS, len(observations.stations)))
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


def _asked(observations: Observations, species: Sequence[str]) -> tuple[str, ...]:
    """Return the pollutants that are asked for; one that the observations lack is refused.

    Raises
    ------
    ModelError
        If so.
    """
    lacking = [key for key in species if key not in observations.species]
    if lacking:
        raise ModelError(f"the observations have no {', '.join(lacking)}; they hold {', '.join(observations.species)}")
    return tuple(species) or tuple(observations.species)


def with_split(bundle: Bundle, **shares: float) -> Bundle:
    """Return a model whose config hides other shares of stations and hours."""
    split = bundle.config.split.model_copy(update=shares)
    return replace(bundle, config=bundle.config.model_copy(update={"split": split}))
