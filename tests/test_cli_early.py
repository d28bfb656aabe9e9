"""Cheap mistakes are told before anything heavy is loaded, whichever command makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from aqreanalysis.cli import early
from aqreanalysis.cli.evaluate import evaluate
from aqreanalysis.cli.produce import produce
from aqreanalysis.cli.types import Names, config_names, format_names, grid_names
from aqreanalysis.configs import list_configs
from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation.options import NAMES, PROTOCOLS
from aqreanalysis.grids import list_grids
from aqreanalysis.observations import list_formats
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.production.plan.timeline import FREQUENCIES

#: What takes longer to load than a person waits for a typing error to be told.
HEAVY = ("torch", "xarray", "pandas", "scipy", "numba", "dask", "netCDF4", "pyarrow", "matplotlib")

PRODUCE = {
    "--model": str(FOLDER),
    "--observations": "records.csv",
    "--grid": "north-china-0.1",
    "--start": "2019-01-01",
    "--end": "2019-01-08",
    "--out": "x.nc",
}
SPAN = datetime(2019, 1, 1), datetime(2019, 1, 8)
#: By what is wrong: the command, what is changed of its options, and a part of what is said.
MISTAKES = {
    "output": ("produce", {"--out": "x.tif"}, "must end in .nc or .zarr"),
    "output that is there": ("produce", {"--out": "there.nc"}, "there.nc exists"),
    "frequency": ("produce", {"--frequency": "dayly"}, "did you mean 'daily'"),
    "dates": ("produce", {"--end": "2018-01-01"}, "is not before end"),
    "no hour": ("produce", {"--end": "2019-01-01T00:30"}, "no whole hour"),
    "grid": ("produce", {"--grid": "north-china-0.9"}, "no grid named"),
    "box": ("produce", {"--grid": "1,2,3,4@x"}, "not all numbers"),
    "key": ("produce", {"--set": "production.tile_row=3"}, "did you mean 'tile_rows'"),
    "config": ("produce", {"--config": "aqnett"}, "did you mean 'aqnet'"),
    "file": ("produce", {"--observations": "record.csv"}, "did you mean 'records.csv'"),
    "kind of file": ("produce", {"--observations": "notes.md"}, "unknown kind of file"),
    "covariates": ("produce", {"--covariates": "era5"}, "no covariates at 'era5'"),
    "model": ("produce", {"--model": "models/north"}, "no model bundle at"),
    "own grid": ("map", {"--grid": "nowhere"}, "no grid named"),
    "own output": ("map", {"--out": "there.nc"}, "there.nc exists: choose another --out, or replace it"),
    "own dates": ("map", {"--end": "2018-01-01"}, "is not before end"),
    "training": ("train", {"--set": "training.epoch=3"}, "did you mean 'epochs'"),
    "bundle": ("train", {"--out": "there.nc"}, "there.nc exists: choose another --out"),
    "protocol": ("evaluate", {"--protocol": "hidden-tenths"}, "did you mean 'hidden-tenth'"),
    "report": ("evaluate", {"--out": "report"}, "holds an evaluation already"),
    "place": ("train", {"--out": "notes.md/model"}, "notes.md is a file; choose another --out"),
    "static field": ("train", {"--static": "none.tif"}, "no static field at 'none.tif'"),
    "grid file": ("produce", {"--grid": "notes.md"}, "is no 'key = value' of a CDO grid description"),
    "record": ("observations import", {"--out": "record.csv"}, "must end in .nc or .nc4"),
    "no cube": ("validate", {}, "no cube none.nc; check the path"),
    "picture": ("plot", {"--out": "x.jpeg", "--mean": ""}, "must end in .png or .svg or .pdf"),
    "page": ("view", {"--out": "x.txt"}, "must end in .html"),
    "raster": ("export cog", {"--out": "notes.md"}, "is a file, and a folder is to be written"),
    "table": ("export points", {"--places": "notes.md", "--out": "there.nc"}, "must end in .csv or .parquet"),
    "places": ("export points", {"--places": "none.csv", "--out": "x.csv"}, "no places file none.csv"),
    "polygons": ("export polygons", {"--vector": "none.gpkg", "--out": "x.csv"}, "no vector file none.gpkg"),
    "limit": ("export aggregate", {"--limit": "pm25", "--out": "x.nc"}, "write NAME=VALUE"),
    "no limit": ("export aggregate", {"--statistic": "exceedance", "--out": "x.nc"}, "give --limit pm25=75"),
    "limit of a mean": ("export aggregate", {"--limit": "pm25=75", "--out": "x.nc"}, "no effect on --statistic mean"),
    "constituents": ("export grib", {"--species": "pm25,no2", "--out": "x.grib2"}, "choose one, a file each"),
    "demo": ("demo", {"--out": "thesis"}, "holds 'thesis.tex', which is of no demo"),
    "map made before": ("map", {"--out": "made.nc"}, "made.nc exists: choose another --out, or replace it"),
    "format": ("observations check", {"--format": "openac"}, "did you mean 'openair'"),
    "message": ("export grib", {"--out": "x.nc"}, "must end in .grib2"),
}
TAKES = {
    "produce": tuple(PRODUCE),
    "train": ("--observations", "--out"),
    "evaluate": ("--model", "--observations", "--out"),
    "map": ("--grid", "--start", "--end", "--out"),
}
#: What a command is given first; of the others that have no options here it is a cube.
FIRST = {"produce": [], "train": [], "evaluate": [], "map": ["records.csv"], "observations import": ["records.csv"]} | {
    "observations check": ["records.csv"],
    "demo": [],
}

RUN_ALL = """
import json, sys
from click.testing import CliRunner
from aqreanalysis.cli import main
for name, arguments in json.load(sys.stdin).items():
    result = CliRunner().invoke(main, arguments)
    print(json.dumps([name, result.exit_code, result.stderr, sorted({m.partition('.')[0] for m in sys.modules})]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Return, by mistake, exit status, what was said, and what was loaded by then; one process makes them all."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "records.csv").write_text("station_id,time,lat,lon,pm25\na,2019-01-01T01:00,39,116,20\n")
    (folder / "notes.md").write_text("x")
    (folder / "there.nc").write_text("x")
    (folder / "thesis").mkdir()
    (folder / "thesis" / "thesis.tex").write_text("x")
    for name in ("made.nc", "made_pm25.png"):
        (folder / name).write_text("x")
    for name in ("made.nc.model", "made.nc.evaluation"):
        (folder / name).mkdir()
    (folder / "made.nc.evaluation" / "metrics.json").write_text('{"species": {"pm25": {}}}')
    (folder / "report").mkdir()
    (folder / "report" / "metrics.json").write_text("{}")
    runs = {}
    for name, (command, changed, _) in MISTAKES.items():
        options = {key: PRODUCE[key] for key in TAKES.get(command, ())} | changed
        first = FIRST.get(command, ["none.nc" if name == "no cube" else "there.nc"])
        runs[name] = [*command.split(), *first, *(part for pair in options.items() for part in pair if part)]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL], input=json.dumps(runs), cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {name: (code, text, loaded) for name, code, text, loaded in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_cheap_mistake_is_told_with_the_way_out_before_anything_heavy_is_loaded(
    name: str, answers: dict[str, tuple[int, str, list[str]]]
) -> None:
    code, text, loaded = answers[name]
    assert code == 2 and MISTAKES[name][2] in text and text.count("\n") == 1, text
    assert set(HEAVY) & set(loaded) == set()


def test_the_names_that_the_command_line_knows_are_those_of_the_rooms() -> None:
    def names(command, option):  # type: ignore[no-untyped-def]
        (kind,) = (each.type for each in command.params if option in each.opts)
        assert isinstance(kind, Names)
        return kind.known()

    assert names(produce, "--frequency") == list(FREQUENCIES)
    assert set(names(evaluate, "--protocol")) == {*NAMES, *PROTOCOLS, "all"}
    assert format_names() == sorted(each.name for each in list_formats())
    assert grid_names() == list_grids() and config_names() == list_configs()


def test_an_output_that_waits_to_go_on_or_may_be_replaced_is_left_to_the_run(tmp_path: Path) -> None:
    out = tmp_path / "x.nc"
    early.check_produced(str(out), SPAN, {})
    out.touch()
    with pytest.raises(OutputError, match="let it grow with --append"):
        early.check_produced(str(out), SPAN, {})
    for key in ("overwrite", "append", "repair", "dry_run"):
        early.check_produced(str(out), SPAN, {key: True})
    early.check_produced(str(out), SPAN, {"split": "month"})  # its files have other names
    early.check_produced(str(out), SPAN, {"frequencies": ("hourly", "daily")})
    (tmp_path / "x.nc.part").mkdir()
    early.check_produced(str(out), SPAN, {})


def test_a_timeline_of_part_of_an_hour_is_none() -> None:
    early.check_span(None, datetime(2019, 1, 1))
    early.check_span(datetime(2019, 1, 1, 0, 30), datetime(2019, 1, 1, 2, 15))
    with pytest.raises(OutputError, match="no whole hour"):
        early.check_span(datetime(2019, 1, 1, 0, 30), datetime(2019, 1, 1, 1, 45))
