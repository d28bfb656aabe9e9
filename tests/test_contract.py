"""What scripts may rely on is what `docs/contract.json` lists: exit statuses, keys of ``--json``, keys of configs."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from production_case import make_frame

from aqreanalysis import errors
from aqreanalysis.cli import main
from aqreanalysis.cli.errors import STOPPED_BY_KEYBOARD, STOPPED_BY_TERMINATION
from aqreanalysis.configs import config_keys

FILE = Path(__file__).parents[1] / "docs" / "contract.json"
CONTRACT = json.loads(FILE.read_text(encoding="utf-8"))
#: Of version 1: none may go, or mean something else, before the version is raised. More may come, and are promised by
#: being listed when a version is released.
FIRST_CONFIG_KEYS = FILE.with_name("config_keys.txt")
#: Commands whose JSON costs a training or a sweep: what they print is made of what other tests look at.
DEAR = {"calibrate", "demo", "evaluate", "map", "produce", "train", "export points", "covariates check"}


@pytest.fixture(scope="module")
def commands(cubes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:  # type: ignore[no-untyped-def]
    """Return a cheap run of each command of the contract, by its name there."""
    folder = tmp_path_factory.mktemp("contract")
    records = folder / "obs.csv"
    make_frame().to_csv(records, index=False)
    one, obs, png = str(cubes.one), str(records), str(folder / "x.png")
    return {
        "compare": ["compare", one, "--observations", obs],
        "config keys": ["config", "keys", "split."],
        "config show": ["config", "show"],
        "grids around": ["grids", "around", obs],
        "grids list": ["grids", "list"],
        "grids show": ["grids", "show", "r36x18"],
        "info CUBE": ["info", one],
        "info MODEL": ["info", str(cubes.model)],
        "info OBSERVATIONS": ["info", obs],
        "new": ["new", str(folder / "project")],
        "observations check": ["observations", "check", obs],
        "observations formats": ["observations", "formats"],
        "observations import": ["observations", "import", obs, "--out", str(folder / "obs.nc")],
        "plot": ["plot", one, "--time", "2019-01-03T06:00", "--no-borders", "--out", png],
        "style": ["style", str(cubes.two), "--out", str(folder / "styles")],
        "validate": ["validate", one, "--no-checker", "--no-values"],
        "view": ["view", one, "--out", str(folder / "x.html")],
    }


@pytest.mark.parametrize("name", sorted(set(CONTRACT["json"]) - DEAR))
def test_a_command_prints_all_keys_that_the_contract_promises(name: str, commands: dict[str, list[str]]) -> None:
    done = CliRunner().invoke(main, [*commands[name], "--json"])
    assert (done.exit_code in (0, 1) and done.exception is None) or isinstance(done.exception, SystemExit), done.output
    printed, promised = json.loads(done.stdout), CONTRACT["json"][name]
    for one in printed if promised.get("each") else [printed]:
        assert set(promised["keys"]) <= set(one), f"gone from {name}: raise the contract's version and say so"


def test_every_command_that_takes_json_stands_in_the_contract() -> None:
    def named(group, before=""):  # type: ignore[no-untyped-def]
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from named(command, f"{before}{name} ")
            elif any("--json" in each.opts for each in command.params):
                yield f"{before}{name}"

    listed = {name.partition(" CUBE")[0].partition(" MODEL")[0].partition(" OBS")[0] for name in CONTRACT["json"]}
    exports = {name for name in named(main) if name.startswith("export ")}
    assert set(named(main)) - exports == listed - {"export points"}


def test_the_exit_statuses_are_those_of_the_code() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    raised = {kind.exit_code for kind in kinds if hasattr(kind, "exit_code")}
    assert {int(status) for status in CONTRACT["exit_statuses"]} == {
        *(0, 1),
        *raised,
        STOPPED_BY_KEYBOARD,
        STOPPED_BY_TERMINATION,
    }


def test_no_config_key_of_this_version_has_gone() -> None:
    known = {key.name for key in config_keys()}
    promised = FIRST_CONFIG_KEYS.read_text(encoding="utf-8").split()
    assert sorted(promised) == promised and set(promised) <= known, "a key went: raise the contract's version, say so"
