"""Options that several commands share, and what is read with their help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aqreanalysis.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.observations import Observations

Command = TypeVar("Command", bound=Callable[..., Any])


class UtcTime(click.ParamType):
    """A UTC time as ISO 8601; a date is its first instant, and an offset (``+08:00``) is taken off."""

    name = "UTC time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return a naive datetime in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time: write 2019-01-31 or 2019-01-31T06:00 (UTC)", param, ctx)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def split_commas(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """Return every item of a repeatable option whose values may also be lists with commas."""
    return tuple(item.strip() for value in values for item in value.split(",") if item.strip())


def observations_option(command: Command) -> Command:
    """Add ``--observations``."""
    return click.option(
        "--observations",
        "observations_path",
        required=True,
        type=click.Path(),
        help="Station records: long CSV or Parquet, or the CF NetCDF that this program writes.",
    )(command)


def model_option(command: Command) -> Command:
    """Add ``--model``."""
    return click.option("--model", "model_path", required=True, type=click.Path(), help="Model bundle (a folder).")(
        command
    )


def config_options(default: str, example: str) -> Callable[[Command], Command]:
    """Add ``--config`` and ``--set``; the help says what is used without ``--config``, and an example of a change."""

    def add(command: Command) -> Command:
        command = click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help=f"Change one value of the config, for example {example}. Repeatable.",
        )(command)
        return click.option(
            "--config", "config_source", metavar="NAME|YAML", help=f"Named config or YAML file.  [default: {default}]"
        )(command)

    return add


def species_option(text: str) -> Callable[[Command], Command]:
    """Add ``--species``, repeatable and with commas; `text` is its help."""
    return click.option("--species", multiple=True, callback=split_commas, metavar="NAME[,NAME]", help=text)


def device_option(command: Command) -> Command:
    """Add ``--device``."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    )(command)


def overwrite_option(command: Command) -> Command:
    """Add ``--overwrite``."""
    return click.option("--overwrite", is_flag=True, help="Replace an output that exists; refused without it.")(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout instead of text.")(command)


def load_run_config(source: str | None, overrides: Iterable[str], species: Iterable[str] = ()) -> Config:
    """Return the config of a run: `source`, the ``--set`` pairs on it, then ``--species``."""
    from aqreanalysis.configs import load_config
    from aqreanalysis.species import in_order

    keys = in_order(species)
    chosen = [f"species=[{', '.join(keys)}]"] if keys else []
    return load_config(source, [*overrides, *chosen])


def load_part_config(source: str | None, overrides: Iterable[str], uses: Sequence[str]) -> Config:
    """Return the config of a command that uses only the sections `uses` of it.

    Raises
    ------
    ConfigError
        If ``--set`` changes another section: it would have no effect, and nobody would be told.
    """
    told = list(overrides)
    for text in told:
        section = text.partition("=")[0].split(".")[0].strip()
        if "=" in text and section not in uses:
            raise ConfigError(
                f"--set {text!r} has no effect here: this command uses {', '.join(uses)} of a config; "
                "the rest is fixed when a model is trained"
            )
    return load_run_config(source, told)


def load_model_config(
    model: str | Path, source: str | None, overrides: Iterable[str], uses: Sequence[str] = ("columns",)
) -> Config:
    """Return the config to use a model with: the one in its bundle unless `source` is given, changed likewise.

    Raises
    ------
    ModelError
        If there is no bundle, or none with a config in it.
    """
    carried = Path(model) / "config.yaml"
    if not carried.is_file():
        missing = "is a folder without config.yaml" if Path(model).is_dir() else "does not exist"
        raise ModelError(f"no model bundle at {str(model)!r}: it {missing}; 'aqreanalysis train' makes one")
    return load_part_config(source or str(carried), overrides, uses)


def load_observations(path: str | Path, config: Config) -> Observations:
    """Return the observations, and tell on stderr what in them was dropped or flagged."""
    from aqreanalysis.observations import read_observations

    observations = read_observations(path, config.columns)
    for line in observations.report.lines():
        click.echo(line, err=True)
    return observations
