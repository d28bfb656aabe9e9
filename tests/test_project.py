"""A project folder goes from records to a validated cube by one command, and grows by the same one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from killed import die, killed
from production_case import make_frame

from aqreanalysis.cli import main
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.project import lay_project

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def test_a_project_is_laid_with_its_records_and_settings_and_never_over_another(tmp_path: Path) -> None:
    records = tmp_path / "mine.csv"
    records.write_text("station_id,time,lat,lon,pm25\na,2019-01-01T01:00,39,116,20\n")
    out = tmp_path / "north"
    done = CliRunner().invoke(main, ["new", str(out), "--observations", str(records), "--grid", "r36x18", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [
        *(".gitignore", "Makefile", "README.md", "config.yaml", "records/mine.csv", "settings.mk"),
    ]
    assert "GRID    := r36x18\n" in (out / "settings.mk").read_text() and (out / "covariates").is_dir()
    with pytest.raises(OutputError, match="is not empty"):
        lay_project(out)
    with pytest.raises(ObservationsError, match=r"none\.csv"):
        lay_project(tmp_path / "other", [tmp_path / "none.csv"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("files", "there", "steps"),
    [
        ([], [], ["observations import", "grids around", "map", "validate", "plot", "view"]),
        (
            ["covariates/era5.nc"],
            [],
            ["observations import", "grids around", "train", "evaluate", "produce --model", "validate", "plot", "view"],
        ),
        (
            [],
            ["observations.nc", "grid.txt", "cube.nc", "cube.nc.evaluation/metrics.json"],
            ["produce --observations outputs/observations.nc --grid 1,2,3,4@1 --append", "validate", "plot", "view"],
        ),
        (
            [],
            ["observations.nc", "grid.txt", "cube.nc"],
            ["map outputs/observations.nc --grid 1,2,3,4@1 --start", "validate", "plot", "view"],
        ),
    ],
    ids=["records alone", "with covariates", "a cube that is there", "a cube whose scores were stopped"],
)
def test_make_takes_the_steps_that_what_is_there_asks_for(
    files: list[str], there: list[str], steps: list[str], tmp_path: Path
) -> None:
    root = lay_project(tmp_path / "north")
    (root / "records" / "a.csv").write_text("x")
    (root / "outputs").mkdir()
    for name in [*files, *(f"outputs/{name}" for name in there)]:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("1,2,3,4@1")
    done = subprocess.run(["make", "-n", "-C", root, "AQ=echo aq"], capture_output=True, text=True, check=True)
    ran = [line.strip() for line in done.stdout.replace("\\\n", " ").splitlines() if line.strip().startswith("echo aq")]
    assert len(ran) == len(steps), ran
    for line, step in zip(ran, steps, strict=True):
        assert f"echo aq {step}" in " ".join(line.split())


def test_the_first_cube_begins_with_the_first_hour_of_the_records_and_not_at_its_end(tmp_path: Path) -> None:
    root = lay_project(tmp_path / "north", settings={"GRID": "116,39,118,40.5@0.25", "END": "2019-01-02"})
    (root / "outputs").mkdir()
    table = "station_id,time,lat,lon,pm25\n" + "".join(f"a,2019-01-01T{hour:02}:00,39,116,2\n" for hour in range(1, 24))
    (root / "records" / "a.csv").write_text(table)
    shutil.copyfile(root / "records" / "a.csv", root / "outputs" / "observations.csv")
    program = f"AQ={sys.executable} -m aqreanalysis.cli"
    command = ["make", "-n", "-C", root, program, "OBS=outputs/observations.csv"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--start 2019-01-01T00:00:00 --end 2019-01-02" in shown


def test_a_clock_without_a_path_finds_the_program_and_imports_what_is_put_in_or_taken_out_later(tmp_path: Path) -> None:
    root = lay_project(tmp_path / "north")
    for name in ("outputs/observations.nc", "outputs/grid.txt", "outputs/cube.nc"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("1,2,3,4@1")

    def imports() -> bool:
        shown = subprocess.run(
            ["make", "-n", "-C", root], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
        ).stdout
        assert f"{Path(sys.executable).with_name('aqreanalysis')} validate outputs/cube.nc" in shown
        return "observations import records" in shown

    past = time.time() - 3600
    for path in (root / "records", root / "config.yaml"):
        os.utime(path, (past, past))
    assert not imports()
    late = root / "records" / "of last year, with blanks.csv"
    late.write_text("x")
    os.utime(late, (past, past))
    assert imports()
    os.utime(root / "records", (past, past))
    assert not imports()
    late.unlink()
    assert imports()


@pytest.mark.slow
def test_one_command_makes_a_cube_of_a_small_record_and_the_same_one_lets_it_grow(tmp_path: Path) -> None:
    root = lay_project(tmp_path / "north", settings={"GRID": "116,39,118,40.5@0.25", "SPECIES": "pm25"})
    frame = make_frame()[["station_id", "time", "lat", "lon", "pm25"]]
    early = frame["time"] <= frame["time"].max() - (frame["time"].max() - frame["time"].min()) / 6
    frame[early].to_csv(root / "records" / "first.csv", index=False)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def make() -> dict[str, object]:
        command = ["make", "-C", str(root), f"AQ={sys.executable} -m aqreanalysis.cli"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        facts = [sys.executable, "-m", "aqreanalysis.cli", "info", str(root / "outputs" / "cube.nc"), "--json"]
        return dict(json.loads(subprocess.run(facts, capture_output=True, text=True, check=True).stdout))

    begun = make()
    assert (root / "outputs" / "page.html").is_file() and (root / "outputs" / "mean.png").is_file()
    assert (root / "outputs" / "cube.nc.evaluation" / "report.html").is_file()
    frame[~early].to_csv(root / "records" / "later.csv", index=False)
    grown = make()
    assert grown["first"] == begun["first"] and str(grown["last"]) > str(begun["last"])
    assert grown["model_digest"] == begun["model_digest"]


def test_a_project_whose_laying_was_cut_short_is_laid_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.csv").write_text("one")
    copy = shutil.copyfile

    def copied(one: Path, goal: Path) -> object:
        return die() if Path(one).name == "README.md" else copy(one, goal)

    monkeypatch.setattr("shutil.copyfile", copied)
    killed(lambda: lay_project(tmp_path / "north", [tmp_path / "mine.csv"]))
    monkeypatch.undo()
    assert (tmp_path / "north").is_dir()
    lay_project(tmp_path / "north", [tmp_path / "mine.csv"])
    assert (tmp_path / "north" / "records" / "mine.csv").read_text() == "one"
    assert [path.name for path in (tmp_path / "north").iterdir() if ".part" in path.name] == []
