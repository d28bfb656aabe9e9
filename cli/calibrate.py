"""``aqreanalysis calibrate``: a trained model -> the model of another network, its weights as they are."""

from __future__ import annotations

import click

from aqreanalysis.cli import early, options
from aqreanalysis.cli.log import say


@click.command(short_help="A trained model adapted to another network, without training.")
@options.model_option
@options.observations_option
@options.covariates_option
@options.static_option
@options.config_options("the one in the model bundle", "columns.lat=latitude or split.hidden_stations=0")
@click.option("--out", required=True, type=click.Path(), help="Folder of the model bundle to write.")
@options.device_option
@options.overwrite_option
@options.json_option
def calibrate(
    model_path: str,
    observations_path: str,
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    config_source: str | None,
    overrides: tuple[str, ...],
    out: str,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Adapt a trained model to another network of stations, in a minute or two.

    The weights stay. Scaling, ranges, nuggets, drift and the tables of the intervals are estimated anew from the
    network's own stations, stations and hours left out in turn; with few stations the tables stay near the model's.
    A model that was trained without covariates takes those of --covariates, and needs them from then on.

    \b
    aqreanalysis calibrate --model outputs/models/north --observations mine.csv --out outputs/models/mine
    aqreanalysis evaluate --model outputs/models/mine --observations mine.csv --out outputs/evaluation/mine
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown

    early.check_there(out, overwrite)
    config = options.load_model_config(
        model_path, config_source, overrides, ("columns", "split", "quality", "covariates")
    )
    covariates = options.load_covariates(covariate_paths, config, trained=config.covariates.fields is not None)
    static = options.load_static(static_specs, config, trained=True)
    observations = options.load_observations(observations_path, config)
    with progress_shown("calibrating") as progress:
        from dataclasses import replace

        from aqreanalysis.model import read_bundle
        from aqreanalysis.model.bundle import NONE_HIDDEN
        from aqreanalysis.training import TrainOptions
        from aqreanalysis.training.recalibrate import recalibrate

        bundle = read_bundle(model_path)
        mine = {"columns": config.columns, "split": config.split, "covariates": config.covariates}
        own = bundle.config.model_copy(update=mine)
        chosen = TrainOptions(overwrite=overwrite, covariates=covariates, static=static)
        made = recalibrate(replace(bundle, config=own), observations, out, device, progress, chosen)
    whole = read_bundle(made)
    for key in bundle.config.species:
        if key in observations.species and key not in whole.config.species:
            say(f"note: {key} left the model: fewer than two of the stations that calibrate it read any", err=True)
    if NONE_HIDDEN in whole.provenance:
        say(f"note: {whole.provenance[NONE_HIDDEN]}", err=True)
    if as_json:
        print_json({"bundle": made, "digest": whole.digest, "species": whole.config.species})
        return
    say(f"model bundle: {made}")
