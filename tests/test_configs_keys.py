"""What can be configured is told: every key with its meaning, its values, its default and its unit."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from aqreanalysis.cli import main
from aqreanalysis.configs import config_keys, load_config
from aqreanalysis.errors import ConfigError

KEYS = {key.name: key for key in config_keys()}


def test_every_key_says_what_it_means_and_what_it_may_be() -> None:
    assert [name for name, key in KEYS.items() if not key.meaning or not key.values] == []


def test_every_key_of_a_config_is_listed_with_its_default() -> None:
    def leaves(section: dict[str, object], before: str = "") -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in section.items():
            inside = isinstance(value, dict) and any(key.startswith(f"{before}{name}.") for key in KEYS)
            if inside and f"{before}{name}" not in KEYS:
                found |= leaves(value, f"{before}{name}.")  # type: ignore[arg-type]
            else:
                found[before + name] = value
        return found

    for name, value in leaves(load_config({}).model_dump(mode="json")).items():
        assert yaml.safe_load(KEYS[name].default) == value or KEYS[name].default == value, name


def test_a_default_that_is_listed_may_be_set() -> None:
    unset = tuple(f"{key.name}." for key in KEYS.values() if key.values == "a section" and key.default == "null")
    settable = [key for key in KEYS.values() if "NAME" not in key.name and not key.name.startswith(unset)]
    for key in settable:
        load_config("aqnet", [f"{key.name}={key.default}"])
    assert len(settable) > 90


@pytest.mark.parametrize(
    ("name", "unit", "values"),
    [
        ("split.cluster_km", "km", "number > 0"),
        ("training.max_minutes", "min", "number > 0 or null"),
        ("columns.pressure_hpa", "hPa", "number >= 300, <= 1100"),
        ("training.epochs", "", "whole number >= 1"),
        ("drift.fields.NAME.transform", "", "both, log, linear"),
    ],
)
def test_units_and_values_are_those_of_the_model(name: str, unit: str, values: str) -> None:
    assert (KEYS[name].unit, KEYS[name].values) == (unit, values)


def test_the_command_lists_the_keys_of_a_section_and_knows_what_was_meant() -> None:
    listed = CliRunner().invoke(main, ["config", "keys", "split.", "--json"])
    assert [row["name"] for row in json.loads(listed.stdout)] == [n for n in KEYS if n.startswith("split.")]
    plain = CliRunner().invoke(main, ["config", "keys", "split.cluster_km"]).stdout
    assert "25.0" in plain and "km" in plain and "one city" in plain
    assert CliRunner().invoke(main, ["config", "keys", "split.cluster_mk"]).exit_code == ConfigError.exit_code


def test_the_command_shows_a_config_that_can_be_given_back(tmp_path) -> None:
    shown = CliRunner().invoke(main, ["config", "show", "six", "--set", "training.epochs=3"])
    path = tmp_path / "mine.yaml"
    path.write_text(shown.stdout)
    assert load_config(path) == load_config("six", ["training.epochs=3"])
