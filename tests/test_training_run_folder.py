"""The bundle of a training appears whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from killed import die, dies_after_rename_of, killed
from model_case import make_bundle

from aqreanalysis.common import publish
from aqreanalysis.errors import OutputError
from aqreanalysis.model import read_bundle
from aqreanalysis.training.run_folder import TrainOptions, claimed, publish_bundle


@pytest.fixture
def part(tmp_path: Path) -> Path:
    folder = tmp_path / "model.part"
    (folder / "member-0").mkdir(parents=True)
    (folder / "member-0" / "state.json").write_text("{}")
    (folder / "fingerprint.json").write_text("{}")
    return folder


def test_a_bundle_takes_its_place_and_the_working_folder_goes(tmp_path: Path, part: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    out = publish_bundle(make_bundle(), part, tmp_path / "model")
    assert read_bundle(out).config.species == ["pm25", "o3"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"] and not (out / "old").exists()


def test_a_full_disk_leaves_the_old_bundle_and_the_checkpoints(tmp_path: Path, part: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    # The kernel itself refuses to let files grow.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
        with pytest.raises(
            OutputError, match=r"cannot be written to .*model: .*the training is kept in .*\.part"
        ) as error:
            publish_bundle(make_bundle(), part, tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert (tmp_path / "model" / "old").read_text() == "old" and (part / "member-0" / "state.json").is_file()
    assert read_bundle(publish_bundle(make_bundle(), part, tmp_path / "model")).digest


def test_a_bundle_that_a_killed_training_had_put_aside_gets_its_name_back(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    monkeypatch.setattr(publish, "_swap", lambda *_: False)  # a file system that cannot swap two names
    monkeypatch.setattr(Path, "rename", dies_after_rename_of("model"))
    killed(lambda: publish_bundle(make_bundle(), part, tmp_path / "model"))
    monkeypatch.undo()
    assert not (tmp_path / "model").exists()
    with claimed(tmp_path / "model", TrainOptions(overwrite=True)):
        assert (tmp_path / "model" / "old").read_text() == "old" and (part / "member-0").is_dir()
        publish_bundle(make_bundle(), part, tmp_path / "model")
    assert read_bundle(tmp_path / "model").digest and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_working_folder_of_a_bundle_that_is_whole_goes_with_the_next_command_and_no_other(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, again = tmp_path / "model", pytest.raises(OutputError, match="exists: choose another --out")
    publish_bundle(make_bundle(), part, out)
    (part / "member-0").mkdir(parents=True)  # of a training that is to replace it, and was stopped
    with again, claimed(out, TrainOptions()):
        pass
    assert (part / "member-0").is_dir()
    monkeypatch.setattr("shutil.rmtree", lambda path, *_, **__: die() if path == part else None)
    killed(lambda: publish_bundle(make_bundle(), part, out))
    monkeypatch.undo()
    with again, claimed(out, TrainOptions()):
        pass
    assert read_bundle(out).digest and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_two_that_write_the_same_model_the_second_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "models" / "north"
    with claimed(out, TrainOptions()):
        with pytest.raises(OutputError, match="north is being written by process"), claimed(out, TrainOptions()):
            pass
        with claimed(out, TrainOptions(), mine=False):  # another process of the same training
            pass
    assert list(out.parent.iterdir()) == []
