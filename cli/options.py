"""Options that several commands share, and what is read with their help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aqreanalysis.cli import types
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.covariates import Covariates, StaticFields
    from aqreanalysis.observations import Observations, ReadOptions

Command = TypeVar("Command", bound=Callable[..., Any])


def split_commas(ctx: click.Context, param: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:
    """Return every item of a repeatable option whose values may also be lists with commas."""
    return tuple(item.strip() for value in values for item in value.split(",") if item.strip())


# Where the options of reading wait for `load_observations`, so that commands need not hand them on one by one.
_READING = "aqreanalysis.reading"


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    ctx.meta.setdefault(_READING, {})[param.name] = value
    return value


def _one_or_several(ctx: click.Context, param: click.Parameter, paths: tuple[str, ...]) -> str | tuple[str, ...]:
    return paths[0] if len(paths) == 1 else paths


def observations_option(command: Command) -> Command:
    """Add ``--observations``, repeatable, and the options of how they are read (see `load_observations`)."""
    command = reading_options(station_kinds_option(command), expose=False)
    return click.option(
        "--observations",
        "observations_path",
        required=True,
        multiple=True,
        callback=_one_or_several,
        type=types.Records(),
        help="Station records: files of any known format, folders or zip archives of them, or the CF NetCDF that "
        "'observations import' writes. Repeatable.",
    )(command)


def station_kinds_option(command: Command) -> Command:
    """Add ``--station-kinds``; `load_observations` finds it."""
    return click.option(
        "--station-kinds",
        "station_kinds",
        multiple=True,
        metavar="KIND[,KIND]",
        expose_value=False,
        callback=_remember_kinds,
        help="Which stations enter: background, traffic, industrial, low-cost; others than background inform a map of "
        "background air. alike: all count alike.  [default: all that are there]",
    )(command)


def _remember_kinds(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    kinds: tuple[str, ...] = _remember(ctx, param, split_commas(ctx, param, values))
    return kinds


def reading_options(command: Command, expose: bool = True) -> Command:
    """Add ``--format``, ``--stations`` and ``--skip-broken``; where not exposed, `load_observations` finds them."""
    more: dict[str, Any] = {} if expose else {"expose_value": False, "callback": _remember}
    command = click.option(
        "--skip-broken", is_flag=True, help="Leave out files that cannot be read, and name them.", **more
    )(command)
    command = click.option(
        "--stations",
        "station_lists",
        multiple=True,
        type=click.Path(),
        metavar="CSV",
        help="Station list (id, latitude, longitude) for stations without coordinates in the files. Repeatable.",
        **more,
    )(command)
    return click.option(
        "--format",
        "format_name",
        type=types.FORMAT,
        metavar="NAME",
        help="Format of the station files.  [default: guessed; see 'observations formats']",
        **more,
    )(command)


def read_options(
    config: Config, format_name: str | None, station_lists: Sequence[str], skip_broken: bool
) -> ReadOptions:
    """Return how station files are read, as the options of `reading_options` and the config say."""
    from aqreanalysis.observations import ReadOptions

    return ReadOptions(format_name, tuple(station_lists), skip_broken, config.quality)


def option_group(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that adds several options, in the order in which the help shows them."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


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
            type=types.SETTING,
            metavar="SECTION.KEY=VALUE",
            help=f"Change one value of the config, for example {example}. Repeatable.",
        )(command)
        return click.option(
            "--config",
            "config_source",
            type=types.CONFIG,
            metavar="NAME|YAML",
            help=f"Named config or YAML file.  [default: {default}]",
        )(command)

    return add


def species_option(text: str) -> Callable[[Command], Command]:
    """Add ``--species``, repeatable and with commas; `text` is its help."""
    return click.option(
        "--species",
        multiple=True,
        type=types.Suggested("name", types.species_names),
        callback=split_commas,
        metavar="NAME[,NAME]",
        help=text,
    )


def device_option(command: Command) -> Command:
    """Add ``--device``."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    )(command)


def read_limits(option: str, pairs: Iterable[str]) -> list[tuple[str, float]]:
    """Return pollutant key and concentration of each ``NAME=VALUE`` that was given with `option`.

    Raises
    ------
    ConfigError
        If a text is not of that form.
    """
    from aqreanalysis.species import get_species

    limits = []
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(f"{option} {pair!r}: write NAME=VALUE, for example pm25=75") from None
        limits.append((get_species(name).key, value))
    return limits


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
    changes = list(overrides)
    for text in changes:
        section = text.partition("=")[0].split(".")[0].strip()
        if "=" in text and section not in uses:
            raise ConfigError(
                f"--set {text!r} has no effect here: this command uses {', '.join(uses)} of a config; "
                "the rest is fixed when a model is trained"
            )
    return load_run_config(source, changes)


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


def covariates_option(command: Command) -> Command:
    """Add ``--covariates``, repeatable; see `load_covariates`."""
    return click.option(
        "--covariates",
        "covariate_paths",
        multiple=True,
        type=types.FieldFiles(),
        metavar="PATH",
        help="Meteorology, background concentrations and rasters: GRIB, NetCDF, NAME=RASTER, tables of weather, or "
        "folders of them. Repeatable. A model trained with them needs them from then on.",
    )(command)


def static_option(command: Command) -> Command:
    """Add ``--static``, repeatable; see `load_static`."""
    return click.option(
        "--static",
        "static_specs",
        multiple=True,
        type=types.StaticFiles(),
        metavar="[NAME=]PATH[:COLUMN]",
        help="Static field of the external drift: a raster, a NetCDF file (:VARIABLE), a table of points with lat, lon "
        "and a strength (:COLUMN; without it they are counted), or a folder of rasters. Repeatable. A model whose "
        "drift uses one needs it from then on.",
    )(command)


def load_static(specs: Sequence[str], config: Config, trained: bool = False) -> StaticFields | None:
    """Return the static fields of ``--static``, taken as the config's section drift says; None without any.

    With `trained` it is the config of a trained model, of whose fields those that it does not use may be left out.
    """
    if not specs:
        return None
    from aqreanalysis.covariates import StaticFields

    return StaticFields.open(specs, config.drift, some=trained)


def load_covariates(paths: Sequence[str], config: Config, trained: bool = False) -> Covariates | None:
    """Return the covariates in `paths`, and tell on stderr what in them was left out or assumed; None without paths.

    Parameters
    ----------
    paths : sequence of str
        Of ``--covariates``.
    config : Config
        Says how they are read.
    trained : bool
        Whether it is the config of a trained model, which takes its own fields of those in the files.
    """
    if not paths:
        return None
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.covariates import Covariates

    how = config.covariates.model_copy(update={"fields": None}) if trained else config.covariates
    with progress_shown("reading headers") as progress:
        covariates = Covariates.open(paths, how, progress)
    for line in covariates.report.lines():
        say(line, err=True)
    return covariates


def load_observations(
    path: str | Path | Sequence[str], config: Config, span: tuple[int, int] | None = None
) -> Observations:
    """Return the observations, and tell on stderr what in them was dropped or flagged.

    How they are read say the options of `reading_options`; `span` is that of `ReadOptions`: the stamps that are needed.
    """
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.observations import read_observations

    context = click.get_current_context(silent=True)
    reading = context.meta.get(_READING, {}) if context is not None else {}
    how = read_options(
        config, reading.get("format_name"), reading.get("station_lists", ()), bool(reading.get("skip_broken", False))
    )
    many = not isinstance(path, (str, Path)) or Path(path).is_dir()  # one file is read at once
    with progress_shown("reading") if many else nullcontext() as progress:
        observations = read_observations(path, config.columns, replace(how, span=span), progress=progress)
    for line in observations.report.lines():
        say(line, err=True)
    kinds = reading.get("station_kinds")
    if kinds:
        from aqreanalysis.background_air.groups import choose_kinds

        return choose_kinds(observations, kinds)
    return observations
