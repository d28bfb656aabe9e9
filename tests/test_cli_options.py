"""Shared options mean the same in every command."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aqreanalysis.cli import main, options, types
from aqreanalysis.errors import ConfigError, ModelError, ObservationsError


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2019-01-07", datetime(2019, 1, 7)),
        ("2019-01-07T05:00", datetime(2019, 1, 7, 5)),
        ("2019-01-07 05:00Z", datetime(2019, 1, 7, 5)),
        ("2019-01-07T08:00+08:00", datetime(2019, 1, 7)),
    ],
)
def test_times_are_utc_whatever_their_offset(text: str, time: datetime) -> None:
    assert types.UtcTime().convert(text, None, None) == time


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(click.BadParameter, match=r"'07/01/2019' is not a time: write 2019-01-31"):
        types.UtcTime().convert("07/01/2019", None, None)


def test_species_may_be_repeated_or_listed_with_commas_and_reach_the_config_in_order() -> None:
    @click.command()
    @options.species_option("")
    def command(species: tuple[str, ...]) -> None:
        click.echo(" ".join(options.load_run_config(None, (), species).species))

    result = CliRunner().invoke(command, ["--species", "o3,PM2.5", "--species", "no2"])
    assert result.output == "pm25 no2 o3\n"


def test_an_unknown_pollutant_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ObservationsError, match=r"unknown pollutant 'pm2'.*did you mean"):
        options.load_run_config(None, (), ("pm2",))


def test_set_changes_one_value_and_species_stand_above_it() -> None:
    config = options.load_run_config("aqnet", ("training.epochs=3", "species=[co]"), ("so2",))
    assert (config.training.epochs, config.species) == (3, ["so2"])


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'training.epoch'; did you mean 'epochs'"):
        options.load_run_config("aqnet", ("training.epoch=3",))


def test_a_model_is_used_with_the_config_in_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("columns: {lat: latitude}\nspecies: [no2]\n")
    config = options.load_model_config(tmp_path, None, ("columns.lon=longitude",))
    assert (config.columns.lat, config.columns.lon, config.species) == ("latitude", "longitude", ["no2"])


def test_a_config_that_is_given_replaces_the_one_in_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("columns: {lat: latitude}\n")
    assert options.load_model_config(tmp_path, "aqnet", ()).columns.lat == "lat"


def test_a_model_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model bundle at '.*nowhere': it does not exist"):
        options.load_model_config(tmp_path / "nowhere", None, ())
    with pytest.raises(ModelError, match=r"it is a folder without config\.yaml"):
        options.load_model_config(tmp_path, None, ())


def test_a_change_that_would_have_no_effect_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("species: [no2]\n")
    with pytest.raises(ConfigError, match=r"'uncertainty.coverage=0.5' has no effect here: this command uses columns"):
        options.load_model_config(tmp_path, None, ("uncertainty.coverage=0.5",))
    config = options.load_model_config(tmp_path, None, ("production.tile_rows=7",), ("columns", "production"))
    assert config.production.tile_rows == 7


@pytest.mark.parametrize("command", ["train", "evaluate", "produce", "compare", "info"])
def test_whatever_reads_observations_takes_set(command: str) -> None:
    assert "--set" in {name for p in main.commands[command].params for name in p.opts}


def _leaves(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for part, child in command.commands.items():
            yield from _leaves(child, f"{name} {part}".strip())
    else:
        yield name, command


# A script for a shell is text, and has no other form.
@pytest.mark.parametrize(("name", "command"), [one for one in _leaves(main) if not one[0].startswith("completion ")])
def test_every_command_takes_json(name: str, command: click.Command) -> None:
    assert "--json" in {option for p in command.params for option in p.opts}, name


def test_limits_are_read_by_pollutant_and_told_apart_by_their_option() -> None:
    assert options.read_limits("--limit", ("PM2.5=75", "o3=160", "pm25=35")) == [
        ("pm25", 75.0),
        ("o3", 160.0),
        ("pm25", 35.0),
    ]
    with pytest.raises(ConfigError, match=r"--exceedance 'pm25': write NAME=VALUE"):
        options.read_limits("--exceedance", ("pm25",))
    with pytest.raises(ObservationsError, match="unknown pollutant 'pm3'"):
        options.read_limits("--limit", ("pm3=1",))


def test_station_kinds_choose_which_stations_are_read_and_another_word_is_refused(tmp_path: Path) -> None:
    @click.command()
    @options.observations_option
    def command(observations_path: str) -> None:
        read = options.load_observations(observations_path, options.load_run_config(None, ()))
        click.echo(f"{' '.join(read.stations)} {read.tells_kinds}")

    rows = [
        f"{s},2019-01-01 {h:02d}:00,50.{i},4,{k},{10 + h}"
        for i, (s, k) in enumerate(zip("ab", ("kerb", "rural"), strict=True))
        for h in range(1, 5)
    ]
    (tmp_path / "obs.csv").write_text("\n".join(["station_id,time,lat,lon,kind,pm25", *rows]) + "\n")

    def run(*more: str) -> str:
        return CliRunner().invoke(command, ["--observations", str(tmp_path / "obs.csv"), *more]).stdout.splitlines()[-1]

    assert run() == "a b True"
    assert run("--station-kinds", "background,industrial") == "b True"
    assert run("--station-kinds", "kerb") == "a False"
    assert run("--station-kinds", "alike") == "a b False"
    with pytest.raises(ConfigError, match="no kind of station 'tower': there are background, traffic"):
        CliRunner().invoke(
            command, ["--observations", str(tmp_path / "obs.csv"), "--station-kinds", "tower"], catch_exceptions=False
        )
