"""``aqreanalysis evaluate``: a model beside its baselines at stations that it never saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import click

from aqreanalysis.cli import options


@click.command(short_help="A model beside its baselines at hidden stations.")
@options.model_option
@options.observations_option
@click.option("--out", required=True, type=click.Path(), help="Folder for metrics.json, the table and the pictures.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    callback=options.split_commas,
    metavar="NAME[,NAME]",
    help="What is hidden.  [default: hidden-tenth, leave-city-out]",
)
@click.option(
    "--hours",
    type=click.Choice(["unseen", "all"]),
    default="unseen",
    show_default=True,
    help="Hours that count: the last share of the timeline, which training never saw, or all.",
)
@click.option("--every", type=click.IntRange(min=1), default=5, show_default=True, help="Score every n-th hour.")
@options.config_options("the one in the model bundle", "columns.lat=latitude")
@options.device_option
@options.overwrite_option
@options.json_option
def evaluate(
    model_path: str,
    observations_path: str,
    out: str,
    protocols: tuple[str, ...],
    hours: Literal["unseen", "all"],
    every: int,
    config_source: str | None,
    overrides: tuple[str, ...],
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score a model at hidden stations and cities, with inverse distance and kriging in the same run.

    \b
    aqreanalysis evaluate --model outputs/models/north --observations obs.parquet --out outputs/evaluation/north
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown

    config = options.load_model_config(model_path, config_source, overrides)
    observations = options.load_observations(observations_path, config)
    from aqreanalysis.evaluation import EvaluationOptions, format_table
    from aqreanalysis.evaluation import evaluate as run

    told = EvaluationOptions(hours=hours, every=every, device=device, overwrite=overwrite)
    if protocols:
        told = replace(told, protocols=protocols)
    with progress_shown("evaluating") as progress:
        metrics = run(model_path, observations, out, told, progress=progress)
    if as_json:
        print_json(metrics)
        return
    click.echo(format_table(metrics))
    click.echo(f"report, pictures and metrics.json: {out}")
