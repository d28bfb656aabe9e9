"""The bundle on disk: what is written is read again, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from model_case import make_bundle, small_config
from torch import nn

from aqreanalysis.errors import ModelError
from aqreanalysis.model import NUMERICS, read_bundle, training_fingerprint, write_bundle
from aqreanalysis.model.bundle import load_member

KINDS = {".yaml", ".json", ".safetensors", ".parquet", ".md"}


@pytest.fixture
def path(tmp_path):
    return write_bundle(make_bundle(), tmp_path / "model")


def test_a_bundle_comes_back_as_it_was_written(path):
    written, read = make_bundle(), read_bundle(path)
    assert read.config == written.config
    assert read.scaling == written.scaling
    assert read.metrics == written.metrics and read.card == written.card
    pd.testing.assert_frame_equal(read.stations, written.stations)
    for key, table in written.calibration.items():
        np.testing.assert_allclose(read.calibration[key].quantiles, table.quantiles, atol=1e-6)
    assert len(read.members) == 1
    for name, weight in written.members[0].items():
        assert torch.equal(read.members[0][name], weight), name
    assert read.provenance["unseen_from"] == "2019-01-06T01"
    assert len(read.digest) == 64


def test_members_of_an_ensemble_come_back_in_their_order(tmp_path):
    written = make_bundle(members=12)
    read = read_bundle(write_bundle(written, tmp_path / "model"))
    assert len(read.members) == 12
    for there, here in zip(read.members, written.members, strict=True):
        assert torch.equal(there["own.weight"], here["own.weight"])


def test_nothing_in_a_bundle_is_a_pickle(path):
    for file in path.rglob("*"):
        assert file.suffix in KINDS, file.name
        head = file.read_bytes()[:9]
        if file.suffix == ".safetensors":  # the length of its header, which may be any byte, then the header
            assert head[8:] == b"{", file.name
        else:  # b"\x80" begins a pickle, b"PK" the zip around the pickle of torch.save
            assert head[:1] != b"\x80" and head[:2] != b"PK", file.name


def test_the_digest_is_that_of_the_numbers(tmp_path):
    first = write_bundle(make_bundle(), tmp_path / "a")
    other = make_bundle()
    other.card, other.metrics = "# Another card\n", {"scores": 1}
    assert read_bundle(write_bundle(other, tmp_path / "b")).digest == read_bundle(first).digest
    assert read_bundle(write_bundle(make_bundle(seed=1), tmp_path / "c")).digest != read_bundle(first).digest


def test_a_bundle_without_scores_and_card_is_still_a_model(path):
    for name in ("metrics.json", "MODEL_CARD.md"):
        (path / name).unlink()
    assert read_bundle(path).metrics == {}


def test_a_missing_model_is_refused_with_the_way_to_one(tmp_path):
    with pytest.raises(ModelError, match=r"no model at .*absent: train one with 'aqreanalysis train --out"):
        read_bundle(tmp_path / "absent")


def test_an_unfinished_bundle_is_refused(path):
    (path / "provenance.json").unlink()
    with pytest.raises(ModelError, match=r"no finished model: provenance\.json is missing"):
        read_bundle(path)


@pytest.mark.parametrize(
    "name", ["config.yaml", "weights.safetensors", "scaling.json", "calibration.json", "stations.parquet"]
)
def test_a_missing_or_altered_file_is_named(path, name):
    whole = (path / name).read_bytes()
    middle = len(whole) // 2
    (path / name).write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(ModelError, match=f"{name} was altered after training"):
        read_bundle(path)
    (path / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing; restore it or train the model again"):
        read_bundle(path)


def provenance(path, **changes):
    file = path / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_other_numerics_are_refused_with_both_versions(path):
    provenance(path, numerics=NUMERICS + 1)
    with pytest.raises(ModelError, match=f"numerics version {NUMERICS + 1}, this program has {NUMERICS}"):
        read_bundle(path)


def test_a_provenance_that_names_another_model_is_refused(path):
    provenance(path, model_digest="0" * 64)
    with pytest.raises(ModelError, match=r"provenance\.json was altered"):
        read_bundle(path)


def test_a_provenance_that_leaves_out_a_file_is_refused(path):
    digests = json.loads((path / "provenance.json").read_text())["files_sha256"]
    provenance(path, files_sha256={k: v for k, v in digests.items() if k != "weights.safetensors"})
    with pytest.raises(ModelError, match=r"provenance\.json was altered"):
        read_bundle(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"numerics": 1, "files_sha256": []}'])
def test_a_provenance_that_is_none_is_refused(path, text):
    (path / "provenance.json").write_text(text)
    with pytest.raises(ModelError, match=r"provenance\.json"):
        read_bundle(path)


def test_only_what_decides_the_weights_is_in_the_fingerprint_of_a_training():
    mine = training_fingerprint("one", small_config())
    assert mine == training_fingerprint("one", small_config("production.tile_rows=8", "metadata.title=A field"))
    assert mine["config"] != training_fingerprint("one", small_config("training.seed=1"))["config"]
    assert mine["observations"] != training_fingerprint("other", small_config())["observations"]


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(ModelError, match="do not fit the config"):
        load_member(nn.Linear(3, 2), nn.Linear(2, 2).state_dict(), torch.device("cpu"))


def test_a_loaded_member_computes_with_its_own_weights_and_without_dropout():
    first = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    second = load_member(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), first.state_dict(), torch.device("cpu"))
    asked = torch.arange(3.0)
    assert torch.equal(second(asked), first.eval()(asked))
