"""``aqreanalysis train``: what it prints, and one line with the exit status 2 for what the user can mend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from model_case import SMALL, make_observations, make_readings

from aqreanalysis.cli import main
from aqreanalysis.model import read_bundle


def train(records: Path, out: Path, *more: str) -> Result:
    changes = [text for change in SMALL for text in ("--set", change)]
    asked = ["train", "--observations", str(records), "--out", str(out), "--device", "cpu", *changes, *more]
    return CliRunner().invoke(main, asked)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return make_observations(make_readings()).to_netcdf(tmp_path / "obs.nc")


def test_a_bundle_is_told_in_json(records: Path, tmp_path: Path) -> None:
    done = train(records, tmp_path / "model", "--json", "--set", "training.epochs=1")
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    bundle = read_bundle(tmp_path / "model")
    assert printed["digest"] == bundle.digest and printed["species"] == ["pm25"]
    assert printed["training"]["history"][0]["validation"] == bundle.metrics["training"]["history"][0]["validation"]


@pytest.mark.parametrize("torn", ["fingerprint.json", "member-0/state.json"])
def test_torn_work_is_one_line_and_exit_status_2(records: Path, tmp_path: Path, torn: str) -> None:
    part = tmp_path / "model.part"
    (part / torn).parent.mkdir(parents=True)
    (part / torn).write_text('{"epoch": ')
    done = train(records, tmp_path / "model")
    assert done.exit_code == 2 and "begin anew with --fresh" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("finished", "said"),
    [
        (True, "the epochs that were finished are kept in {part}; run the same command again to go on"),
        (False, "before its first epoch was finished; run the same command again"),
    ],
)
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    finished: bool, said: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "model.part"

    def stopped(*_: object, **__: object) -> Path:
        if finished:
            (part / "member-0").mkdir(parents=True)
            (part / "member-0" / "state.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr("aqreanalysis.training.train", stopped)
    done = train(records, tmp_path / "model")
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == f"Error: training stopped: {said.format(part=part)}"
