"""``aqreanalysis train``: station observations -> a model bundle."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import click

from aqreanalysis.cli import options


@click.command(short_help="Station observations to a model bundle.")
@options.observations_option
@options.covariates_option
@options.static_option
@options.config_options("aqnet", "training.epochs=20 or columns.lat=latitude")
@click.option("--out", required=True, type=click.Path(), help="Folder of the model bundle to write.")
@options.species_option("Pollutants to estimate.  [default: those of the config]")
@options.device_option
@click.option("--fresh", is_flag=True, help="Begin anew instead of going on with an interrupted training in --out.")
@options.overwrite_option
@options.json_option
def train(
    observations_path: str,
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    config_source: str | None,
    overrides: tuple[str, ...],
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
    aqreanalysis train --observations obs.parquet --config forecast --out outputs/models/week-ahead
    torchrun --nproc-per-node 4 --no-python aqreanalysis train --observations obs.parquet --out outputs/models/fast
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown

    config = options.load_run_config(config_source, overrides, species)
    covariates = options.load_covariates(covariate_paths, config)
    static = options.load_static(static_specs, config)
    with _spoken_once() as is_first:
        observations = options.load_observations(observations_path, config)
        # Not before the checks above, which should answer at once: torch takes seconds to load.
        with progress_shown("training") as progress:
            if config.forecast is not None:
                from aqreanalysis.forecast.train import train_forecast as run
            else:
                from aqreanalysis.training import train as run
            from aqreanalysis.training import TrainOptions

            chosen = TrainOptions(resume=not fresh, overwrite=overwrite, covariates=covariates, static=static)
            bundle = run(observations, config, out, device, progress, chosen)
    if not is_first:
        return
    from aqreanalysis.model.bundle import read_bundle, static_fields_lines

    made = read_bundle(bundle)
    for line in static_fields_lines(made):
        click.echo(line, err=True)
    if as_json:
        print_json({"bundle": bundle, "digest": made.digest, "species": made.config.species, **made.metrics})
        return
    click.echo(f"model bundle: {bundle}")


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
