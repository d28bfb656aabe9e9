"""``aqreanalysis train``: station observations -> a model bundle."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import early, options
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.model import Bundle

# What goes on needs fewer than what begins.
_FEWER_EPOCHS = 4


@click.command(short_help="Station observations to a model bundle.")
@options.observations_option
@options.covariates_option
@options.static_option
@options.config_options("aqnet", "training.epochs=20 or columns.lat=latitude")
@click.option(
    "--from",
    "start",
    type=click.Path(),
    metavar="BUNDLE",
    help="Fine-tune a trained model, with its config, for 4 epochs; kept only where left-out stations are told better.",
)
@click.option("--out", required=True, type=click.Path(), help="Folder of the model bundle to write.")
@options.species_option("Pollutants to estimate.  [default: those of the config]")
@options.device_option
@click.option("--fresh", is_flag=True, help="Start again instead of resuming an interrupted training in --out.")
@options.overwrite_option
@options.json_option
def train(
    observations_path: str,
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    config_source: str | None,
    overrides: tuple[str, ...],
    start: str | None,
    out: str,
    species: tuple[str, ...],
    device: str,
    fresh: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Train AQ-Net on station observations and write a model bundle.

    \b
    aqreanalysis train --observations obs.parquet --config aqnet --out outputs/models/north
    aqreanalysis train --observations obs.csv --out outputs/models/o3 --species o3 --set columns.lat=latitude
    aqreanalysis train --observations obs.parquet --covariates era5/ --out outputs/models/windy
    aqreanalysis train --observations obs.parquet --static lights.tif --static plants.csv:mw --out outputs/models/lit
    aqreanalysis train --from outputs/models/north --observations mine.csv --out outputs/models/mine
    aqreanalysis train --observations obs.parquet --config forecast --out outputs/models/week-ahead
    torchrun --nproc-per-node 4 --no-python aqreanalysis train --observations obs.parquet --out outputs/models/fast
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown

    early.check_there(out, overwrite)
    config = _config(config_source, overrides, species, start)
    covariates = options.load_covariates(covariate_paths, config)
    static = options.load_static(static_specs, config)
    with _spoken_once() as is_first:
        observations = options.load_observations(observations_path, config)
        # Not before the checks above, which should answer at once: torch takes seconds to load.
        with _resumable(out), progress_shown("training") as progress:
            if config.forecast is not None:
                from aqreanalysis.forecast.train import train_forecast as run
            else:
                from aqreanalysis.training import train as run
            from aqreanalysis.training import TrainOptions

            before = None if start is None else _read_start(start)
            chosen = TrainOptions(
                resume=not fresh, overwrite=overwrite, covariates=covariates, static=static, start=before
            )
            bundle = run(observations, config, out, device, progress, chosen)
    if not is_first:
        return
    from aqreanalysis.model.bundle import read_bundle, static_fields_lines

    made = read_bundle(bundle)
    for line in static_fields_lines(made):
        say(line, err=True)
    if as_json:
        print_json({"bundle": bundle, "digest": made.digest, "species": made.config.species, **made.metrics})
        return
    say(f"model bundle: {bundle}")


def _config(source: str | None, overrides: tuple[str, ...], species: tuple[str, ...], start: str | None) -> Config:
    """Return the config of a training: named, or that of the model that it goes on from."""
    if start is None:
        return options.load_run_config(source, overrides, species)
    if source is not None:
        raise ConfigError(
            "--config beside --from: a training that goes on has the config of its model; change it by --set"
        )
    # Looks into the folder, and refuses one that holds no model.
    options.load_model_config(start, None, ())
    few = [f"training.epochs={_FEWER_EPOCHS}", "training.steps_per_epoch=null"]
    return options.load_run_config(str(Path(start) / "config.yaml"), [*few, *overrides], species)


def _read_start(start: str) -> Bundle:
    """Return the model to go on from.

    Raises
    ------
    ConfigError
        If it is a long forecast.
    """
    from aqreanalysis.model.bundle import read_bundle

    bundle = read_bundle(start)
    if bundle.config.forecast is not None:
        raise ConfigError(f"--from {start}: it is a long forecast, which is trained anew")
    return bundle


@contextmanager
def _resumable(out: str) -> Iterator[None]:
    """Say, where the training is stopped, what is kept of it and how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        part = Path(out).with_name(f"{Path(out).name}.part")
        if any(part.rglob("state.json")):
            how = f"the epochs that were finished are kept in {part}; run the same command again to go on"
        else:
            how = "before its first epoch was finished; run the same command again"
        raise Interrupted(f"training stopped: {how}") from stop


@contextmanager
def _spoken_once() -> Iterator[bool]:
    """Yield whether this process speaks for all: of those that torchrun started the first, and the others keep still.

    Their errors are raised and shown like any other.
    """
    if os.environ.get("RANK", "0") == "0" or "MASTER_ADDR" not in os.environ:
        yield True
        return
    with redirect_stderr(io.StringIO()):
        yield False
