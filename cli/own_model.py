"""The model of a run that was given none: the pretrained one, calibrated on the run's own observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqreanalysis.cli import options
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.covariates import Covariates, StaticFields
    from aqreanalysis.observations import Observations


def pretrained(dry_run: bool) -> Path:
    """Return the folder of the model that comes with the package.

    Raises
    ------
    ConfigError
        If a plan alone is asked for.
    """
    from aqreanalysis.pretrained import FOLDER

    if dry_run:
        raise ConfigError(
            "--dry-run needs --model: the pretrained model is not calibrated for a plan alone; make one with "
            "'aqreanalysis train' or 'aqreanalysis calibrate'"
        )
    return FOLDER


def calibrated_beside(
    out: str,
    observations_path: str,
    config: Config,
    settings: Mapping[str, Any],
    covariates: Covariates | None,
    static: StaticFields | None,
) -> str:
    """Return the folder of the model beside an output, made now if it is not there.

    Parameters
    ----------
    out, observations_path : str
        Of the run.
    config : Config
        Says how the observations are read.
    settings : mapping
        Of the run: its pollutants, and whether it lets a cube grow.
    covariates, static
        Of the run.
    """
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.pretrained.own_model import Fields, model_beside, of_this_network
    from aqreanalysis.species import in_order

    folder = model_beside(out)
    observations = options.load_observations(observations_path, config)
    say_what_is_left_out(observations, settings["species"])
    with progress_shown("calibrating") as progress:
        own = of_this_network(
            observations,
            folder,
            in_order(settings["species"]),
            bool(settings["append"] or settings["repair"]),
            progress,
            Fields(covariates, static),
        )
    made = "kept from before" if own.was_there else f"calibrated on these {len(observations.stations)} stations"
    say(f"model: {own.folder} (the pretrained one, {made}; its card says from what it learned)", err=True)
    return str(own.folder)


def say_what_is_left_out(observations: Observations, species: Sequence[str]) -> None:
    """Name the pollutants that too few stations measure to make a model of, where none are asked for by name."""
    from aqreanalysis.pretrained.own_model import too_few_stations
    from aqreanalysis.splits import MIN_TRAINING_STATIONS

    for key, count in ({} if species else too_few_stations(observations)).items():
        where = f"{count} station{'s' * (count != 1)}"
        say(f"{key}: left out, measured at {where}, and at least {MIN_TRAINING_STATIONS} are needed", err=True)
