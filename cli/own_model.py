"""The model of a run that was given none: the pretrained one, calibrated on the run's own observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from aqreanalysis.cli import options
from aqreanalysis.errors import ConfigError


def calibrated_beside(
    out: str,
    observations_path: str,
    config: tuple[str | None, Iterable[str]],
    settings: Mapping[str, Any],
    useless: Mapping[str, object],
) -> str:
    """Return the folder of the model beside an output, made now if it is not there.

    Parameters
    ----------
    out, observations_path : str
        Of the run.
    config : tuple
        Values of ``--config`` and ``--set``.
    settings : mapping
        Of the run: its pollutants, and whether it lets a cube grow.
    useless : mapping
        Options that have no use without a model of one's own, and what was given with them.

    Raises
    ------
    ConfigError
        If such an option was given.
    """
    given = [name for name, value in useless.items() if value]
    if given:
        raise ConfigError(
            f"{given[0]} needs --model: the pretrained model has no covariates, and is not made for a plan alone; make "
            "one with 'aqreanalysis train' or 'aqreanalysis calibrate'"
        )
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.pretrained import FOLDER
    from aqreanalysis.pretrained.own_model import model_beside, of_this_network
    from aqreanalysis.species import in_order

    folder = model_beside(out)
    uses = ("columns", "production", "metadata", "covariates")
    observations = options.load_observations(observations_path, options.load_model_config(FOLDER, *config, uses))
    with progress_shown("calibrating") as progress:
        own = of_this_network(
            observations,
            folder,
            in_order(settings["species"]),
            bool(settings["append"] or settings["repair"]),
            progress,
        )
    made = "kept from before" if own.was_there else f"calibrated on these {len(observations.stations)} stations"
    click.echo(f"model: {own.folder} (the pretrained one, {made}; its card says from what it learned)", err=True)
    return str(own.folder)
