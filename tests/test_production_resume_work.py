"""Unfinished work: one process holds it, what has begun nothing leaves nothing, another run's is refused or dropped."""

from __future__ import annotations

import os
import shutil

import pytest
from click.testing import CliRunner
from killed import die, killed

from aqreanalysis.cli import main
from aqreanalysis.errors import OutputError
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.resume.ledger import LEDGER, LOCK
from aqreanalysis.production.resume.work import check_free, open_work
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.zarr import ZarrStore


def work_on(out, options: ProduceOptions):
    outputs = Outputs.of(out, ("hourly",))
    return open_work(outputs, outputs.open(options, 1), options, 4)


def test_work_that_has_begun_nothing_leaves_nothing_and_is_held_meanwhile(tmp_path):
    out, options = tmp_path / "new" / "x.zarr", ProduceOptions()
    with work_on(out, options) as work:
        assert work.outputs.part.is_dir()
        with pytest.raises(OutputError, match="is being written by process"), work_on(out, options):
            pytest.fail("two at once")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_another_run_has_begun_is_refused_with_both_values_and_dropped_where_that_is_wished(tmp_path):
    out, options = tmp_path / "x.zarr", ProduceOptions(overwrite=True)
    with work_on(out, options) as work:
        work.ledger.begin({"fingerprint": {"model": "a", "grid": "g"}, "facts": {}})
        work.ledger.record(0, b"key")
    with work_on(out, ProduceOptions()) as work:
        assert [output.name for _, output in work.waiting({"model": "a", "grid": "g"})] == ["hourly"]
        assert work.ledger.done == {0}
        with pytest.raises(OutputError, match="model is a there and b here; repeat that run"):
            work.waiting({"model": "b", "grid": "g"})
    with work_on(out, options) as work:
        assert work.waiting({"model": "b", "grid": "g"}) and work.ledger.header is None and not work.ledger.done


def owners_of(monkeypatch, refused: str = "") -> list[str]:
    """Return the stores that a run owns, as a store in a bucket would know them; that of one frequency is another's."""
    owners: list[str] = []

    def acquire(store, resumes, overwrite):
        if store.path.stem == refused:
            raise OutputError("is being written by another")
        owners.append(store.path.stem)

    monkeypatch.setattr(ZarrStore, "acquire_ownership", acquire)
    monkeypatch.setattr(ZarrStore, "release_ownership", lambda store: owners.remove(store.path.stem))
    return owners


def test_what_was_owned_before_a_store_was_found_to_be_anothers_is_given_back(tmp_path, monkeypatch):
    owners = owners_of(monkeypatch, refused="daily")
    outputs = Outputs.of(tmp_path / "x.zarr", ("hourly", "daily"))
    work = open_work(outputs, outputs.open(ProduceOptions(), 1), ProduceOptions(), 4)
    with pytest.raises(OutputError, match="by another"), work:
        pytest.fail("it is another's")
    assert owners == []


def test_finished_work_gives_its_right_back_once_so_that_it_takes_nobody_elses(tmp_path, monkeypatch):
    owners = owners_of(monkeypatch)
    with work_on(tmp_path / "x.zarr", ProduceOptions()) as work:
        work.ledger.begin({"fingerprint": {}})
        work.finish([])
        owners.append("store")  # of a run that began as soon as this one had ended
    assert owners == ["store"]


def test_an_output_that_is_there_is_refused_unless_it_is_replaced_grows_or_is_unfinished(tmp_path):
    out = tmp_path / "x.zarr"
    out.mkdir()
    outputs = Outputs.of(out, ("hourly",))
    with pytest.raises(OutputError, match=r"x\.zarr exists; choose another --out"):
        check_free(outputs, ProduceOptions())
    with work_on(out, ProduceOptions()) as work, pytest.raises(OutputError, match="exists"):
        work.waiting({"model": "a"})
    check_free(outputs, ProduceOptions(overwrite=True))
    check_free(outputs, ProduceOptions(append=True))
    outputs.part.mkdir()
    check_free(outputs, ProduceOptions())


@pytest.mark.parametrize("name", ["x.zarr", "x.nc"])
def test_the_folder_of_finished_work_that_a_kill_left_goes_with_the_same_command(
    name, production_files, tmp_path, monkeypatch
):
    model, observations = map(str, production_files)
    cell = ["--grid", "116,39,117,40@0.5", "--start", "2019-01-03", "--end", "2019-01-04"]
    command = ["produce", "--model", model, "--observations", observations, *cell, "--out", str(tmp_path / name)]
    remove = shutil.rmtree

    def removed(path, *more, **named):
        return die() if str(path).endswith(".part") else remove(path, *more, **named)

    monkeypatch.setattr(shutil, "rmtree", removed)
    killed(lambda: CliRunner().invoke(main, command))
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.part"}
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_of_finished_work_the_ledger_goes_last_so_that_a_kill_on_the_way_leaves_what_the_same_command_removes(
    production_files, tmp_path, monkeypatch
):
    model, observations = map(str, production_files)
    cell = ["--grid", "116,39,117,40@0.5", "--start", "2019-01-03", "--end", "2019-01-04"]
    command = ["produce", "--model", model, "--observations", observations, *cell, "--out", str(tmp_path / "x.zarr")]
    unlink = os.unlink

    def unlinked(path, **named):
        last = os.fspath(path) == LEDGER and "dir_fd" in named  # by rmtree; a ledger of nothing goes by its whole path
        return die() if last else unlink(path, **named)

    monkeypatch.setattr(os, "unlink", unlinked)
    killed(lambda: CliRunner().invoke(main, command))
    monkeypatch.undo()
    part = tmp_path / "x.zarr.part"
    assert {LEDGER} <= {path.name for path in part.iterdir()} <= {LEDGER, LOCK}
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
