"""``aqreanalysis evaluate``: a model beside its baselines at stations that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aqreanalysis.cli import early, options, types
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.covariates import Covariates, StaticFields
    from aqreanalysis.evaluation.tables import Table
    from aqreanalysis.observations import Observations


@click.command(short_help="A model beside its baselines at hidden stations.")
@click.option("--model", "model_path", type=click.Path(), help="Model bundle (a folder); folds need none.")
@options.observations_option
@options.covariates_option
@options.static_option
@click.option("--out", required=True, type=click.Path(), help="Folder for metrics.json, the table and the pictures.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    type=types.Names(
        "protocol",
        (
            *("hidden-tenth", "leave-city-out", "unseen-time", "station-folds", "city-folds", "forecast", "all"),
            *("unseen-time-hidden-tenth", "unseen-time-leave-city-out"),
        ),
    ),
    callback=options.split_commas,
    metavar="NAME[,NAME]",
    help="hidden-tenth, leave-city-out, unseen-time, station-folds, city-folds, forecast, or all that the model can "
    "answer (without city-folds).  "
    "[default: unseen-time; forecast for a model that looks ahead]",
)
@click.option(
    "--hours",
    type=click.Choice(["seen", "unseen", "all"]),
    help="Hours that count for hidden-tenth and leave-city-out.  [default: seen, those of training]",
)
@click.option(
    "--every", type=click.IntRange(min=1), help="Score every n-th hour.  [default: 5; a forecast every 6 hours]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and of the draw of folds.")
@click.option(
    "--further",
    "optional_baselines",
    multiple=True,
    callback=options.split_commas,
    metavar="NAME[,NAME]",
    help="Baselines that train a network, beside those of every run: deepsensor, an extra of its own.",
)
@click.option(
    "--further-minutes",
    "optional_minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Time limit of each such training (one per pollutant and protocol).  [default: 15]",
)
@click.option("--folds", "fold_folds", type=click.IntRange(min=2), help="Number of folds.  [default: 5]")
@click.option("--fold-minutes", type=click.FloatRange(min=0, min_open=True), help="Limit of a fold's training.")
@click.option("--fold-epochs", type=click.IntRange(min=1), help="Epochs of a fold's training.")
@options.config_options("the one in the model bundle", "columns.lat=latitude")
@options.device_option
@options.overwrite_option
@options.json_option
def evaluate(
    model_path: str | None,
    observations_path: str,
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    out: str,
    protocols: tuple[str, ...],
    hours: Literal["seen", "unseen", "all"] | None,
    config_source: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **settings: Any,
) -> None:
    """Score a model at hidden stations and cities, with interpolation and kriging tuned in the same run.

    \b
    aqreanalysis evaluate --model outputs/models/north --observations obs.parquet --out outputs/evaluation/north
    aqreanalysis evaluate --protocol station-folds --config aqnet --observations obs.parquet --out outputs/folds
    aqreanalysis evaluate --model outputs/models/week-ahead --observations obs.parquet --out outputs/evaluation/ahead
    """
    from aqreanalysis.cli.printing import print_json, print_table
    from aqreanalysis.cli.progress import progress_shown

    early.check_report(out, settings["overwrite"])
    config = _config(model_path, config_source, overrides)
    settings = {k: v for k, v in settings.items() if v is not None}
    covariates = options.load_covariates(covariate_paths, config, trained=model_path is not None)
    static = options.load_static(static_specs, config, trained=model_path is not None)
    if _asks_forecast(model_path, config, protocols):
        if static is not None:
            raise ConfigError(f"{model_path} looks ahead and has no drift, in which static fields stand: no --static")
        settings["covariates"] = covariates
        show, metrics = _forecast(str(model_path), options.load_observations(observations_path, config), out, settings)
    else:
        observations = options.load_observations(observations_path, config)
        from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, score_table
        from aqreanalysis.evaluation import evaluate as run

        limits = {k: settings.pop(f"fold_{k}") for k in ("folds", "minutes", "epochs") if f"fold_{k}" in settings}
        folds = FoldOptions(_trainer(settings["device"], covariates, static), config, seed=settings["seed"], **limits)
        chosen = EvaluationOptions(
            protocols or EvaluationOptions().protocols,
            hours,
            folds=folds,
            covariates=covariates,
            static=static,
            **settings,
        )
        with progress_shown("evaluating") as progress:
            metrics = run(model_path, observations, out, chosen, progress=progress)
        show = score_table
    if as_json:
        print_json(metrics)
        return
    print_table(show(metrics))
    say(f"report, pictures and the figures as JSON: {out}")


def _asks_forecast(model_path: str | None, config: Config, protocols: tuple[str, ...]) -> bool:
    """Return whether a forecast is asked for: a bundle either analyses or looks ahead, so one run does one of them."""
    if model_path is None:
        if "forecast" in protocols:
            raise ConfigError(
                "--protocol forecast needs --model: train one with 'aqreanalysis train --config forecast'"
            )
        return False
    ahead = config.forecast is not None
    others = [name for name in protocols if name not in ("forecast", "all")]
    if ahead and others:
        raise ConfigError(
            f"--protocol {others[0]}: {model_path} is a model that looks ahead; it answers --protocol forecast alone"
        )
    if not ahead and "forecast" in protocols:
        raise ConfigError(
            f"--protocol forecast: {model_path} is a model that analyses; 'aqreanalysis train --config forecast' makes "
            "one that looks ahead"
        )
    if not ahead and "all" in protocols:
        say("all but forecast: that protocol asks a model trained with --config forecast", err=True)
    return ahead


def _forecast(
    model_path: str, observations: Observations, out: str, settings: dict[str, Any]
) -> tuple[Callable[[Any], Table], dict[str, Any]]:
    """Run the protocol forecast; return how its figures are shown, and the figures."""
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.forecast.evaluate import ForecastEvaluationOptions, evaluate_forecast, forecast_table

    if settings.get("optional_baselines"):
        raise ConfigError(
            f"--further {settings['optional_baselines'][0]} estimates fields: leave it out where a forecast is scored"
        )
    known = ("every", "device", "overwrite", "covariates")
    chosen = ForecastEvaluationOptions(**{k: settings[k] for k in known if k in settings})
    with progress_shown("evaluating") as progress:
        return forecast_table, evaluate_forecast(model_path, observations, out, chosen, progress)


def _config(model_path: str | None, source: str | None, overrides: tuple[str, ...]) -> Config:
    """Return the config of the observations' columns and of folds: the model's, or the one that is named."""
    if model_path is not None:
        return options.load_model_config(model_path, source, overrides)
    if source is None:
        raise ConfigError(
            "neither --model nor --config: give a model, or with --protocol station-folds or city-folds a config"
        )
    return options.load_run_config(source, overrides)


def _trainer(device: str, covariates: Covariates | None, static: StaticFields | None) -> Any:
    def train(observations: Observations, config: Config, out: Path, progress: Any) -> Path:
        from aqreanalysis.training import TrainOptions
        from aqreanalysis.training import train as run

        return run(observations, config, out, device, progress, TrainOptions(covariates=covariates, static=static))

    return train
