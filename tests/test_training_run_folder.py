"""The bundle of a training appears whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from model_case import make_bundle

from aqreanalysis.errors import OutputError
from aqreanalysis.model import read_bundle
from aqreanalysis.training.run_folder import publish_bundle


@pytest.fixture
def part(tmp_path: Path) -> Path:
    folder = tmp_path / "model.part"
    (folder / "member-0").mkdir(parents=True)
    (folder / "member-0" / "state.json").write_text("{}")
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
