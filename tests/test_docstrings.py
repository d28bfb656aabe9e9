"""The examples in the docstrings of the public API and in the README run, and public names say what they do."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pandas as pd
import pytest

import aqreanalysis as aq
from aqreanalysis import species
from aqreanalysis.grids import load_grid
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)

README = Path(__file__).parents[1] / "README.md"
#: Rooms with a list of public names.
ROOMS = (
    *("configs", "covariates", "evaluation", "export", "grids", "model", "nature"),
    *("observations", "pictures", "production", "training", "validation"),
)
#: What a network needs to be made in seconds.
SMALL = ("species=[pm25]", "inputs=[pm25]", "model.state_width=8", "model.head_width=8", "window.history_hours=6")
SHORT = ("window.lookahead_hours=6", "training.epochs=1", "training.steps_per_epoch=2")


def write_table(observations: Observations, path: Path, first: str | None = None) -> None:
    """Write observations as a table, one row a station and hour; `first` is another stamp to begin with."""
    frame = observations.dataset[[*observations.species, "city"]].to_dataframe().reset_index()
    if first is not None:
        frame["time"] += pd.Timestamp(first) - frame["time"].min()
    columns = {"station": "station_id"}
    frame.rename(columns=columns)[["station_id", "time", "lat", "lon", "city", *observations.species]].to_parquet(path)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an evaluation draw nothing: pictures take most of its time and have tests of their own."""
    monkeypatch.setattr("aqreanalysis.evaluation.run.draw_pictures", lambda *_, **__: {})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, town_network: Observations, untrained_bundle: Path) -> Path:
    """The folder in which the examples run: ``obs.parquet`` and the bundle ``models/north``."""
    folder = tmp_path_factory.mktemp("examples")
    write_table(town_network, folder / "obs.parquet")
    (folder / "models").mkdir()
    (folder / "models" / "north").symlink_to(untrained_bundle)
    return folder


def documented() -> Iterator[tuple[str, object]]:
    """Yield the names of the public API, and what bears their docstring."""
    for name in aq.__all__:
        if name != "__version__":
            yield name, species if name == "SPECIES" else getattr(aq, name)


@pytest.mark.parametrize(("name", "thing"), list(documented()), ids=[name for name, _ in documented()])
def test_the_example_in_a_docstring_of_the_public_api_runs(
    name: str, thing: object, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    tests = [t for t in doctest.DocTestFinder(recurse=False).find(thing, name, globs={}) if t.examples]
    assert tests, f"aqreanalysis.{name} shows no example"
    for test in tests:
        lines: list[str] = []
        failed = doctest.DocTestRunner().run(test, out=lines.append).failed
        assert not failed, "".join(lines)


def test_the_readme_and_the_packages_own_example_run_and_say_the_same(
    town_network: Observations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    examples = doctest.DocTestParser().get_examples(aq.__doc__ or "")
    assert [e.source.strip() for e in examples[:-1]] == [line for line in block.splitlines() if line]
    # Small things in the place of those named: eleven days of 36 stations, a small network, a grid of 36 cells.
    for name in ("obs.parquet", "independent.parquet"):
        write_table(town_network, tmp_path / name, "2018-12-31T01:00")
    monkeypatch.chdir(tmp_path)
    config = aq.load_config("aqnet", (*SMALL, *SHORT))
    monkeypatch.setattr("aqreanalysis.configs.load_config", lambda name: config)
    monkeypatch.setattr("aqreanalysis.grids.load_grid", lambda name: load_grid("110,35,112.5,37.5@0.5"))
    names: dict[str, object] = {}
    exec(block, names)
    exec(examples[-1].source, names)
    assert (tmp_path / "outputs" / "evaluation" / "north" / "report.html").is_file()
    assert names["cube"].sizes["time"] == 168  # type: ignore[attr-defined]


def public() -> Iterator[tuple[str, object]]:
    for room in ROOMS:
        module = import_module(f"aqreanalysis.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type | FunctionType):
                yield f"{room}.{name}", thing
            else:
                assert not isinstance(thing, ModuleType), f"{room}.{name} is a module: name what it holds"


def raises(function: FunctionType) -> bool:
    """Say whether a function raises one of this package's errors by itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(
        isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func).endswith("Error")
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(("name", "thing"), list(public()), ids=[name for name, _ in public()])
def test_what_a_room_offers_says_what_it_gives_takes_and_refuses(name: str, thing: object) -> None:
    text = inspect.getdoc(thing) or ""
    assert len(text.split()) >= 4 and not text.startswith(f"{name.rpartition('.')[2]}("), f"{name} says nothing"
    if not isinstance(thing, FunctionType):
        return
    parameters = list(inspect.signature(thing).parameters)
    gives = inspect.signature(thing).return_annotation not in ("None", None)
    if gives:
        assert "return" in text.lower() or "Yield" in text, f"{name} does not say what it returns"
    section = text.partition("Parameters\n----------")[2]
    for each in parameters if len(parameters) > 2 else ():
        listed = re.search(rf"^(\w+, )*{each}(,| :|$)", section, re.MULTILINE)
        assert listed or f"`{each}`" in text, f"{name} does not describe {each}"
    if raises(thing):
        assert "Raises\n------" in text, f"{name} does not say what it raises"
