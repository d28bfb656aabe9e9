"""The bundle on disk: what is written is read again, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from model_case import make_bundle, small_config
from torch import nn

from aqreanalysis.errors import ModelError
from aqreanalysis.model import NUMERICS, read_bundle, training_fingerprint, write_bundle
from aqreanalysis.model import bundle as module
from aqreanalysis.model.bundle import bundle_config, load_member, measured_coverage

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


def sign(path: Path, **contents: bytes) -> None:
    """Put files into a bundle as whoever made it could, with digests that fit."""
    listed = json.loads((path / "provenance.json").read_text())["files_sha256"]
    for name, content in contents.items():
        name = {"weights": "weights.safetensors", "stations": "stations.parquet", "card": "MODEL_CARD.md"}.get(
            name, f"{name}.json"
        )
        (path / name).write_bytes(content)
        listed[name] = hashlib.sha256(content).hexdigest()
    provenance(path, files_sha256=listed, model_digest=module._model_digest(listed))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/hostname", "no file of a model"),
        ("../../etc/hostname", "no file of a model"),
        ("other.safetensors", "no file of a model"),
        ("weights-0.safetensors/../x", "no file of a model"),
        ("weights-9.safetensors", "is missing"),
    ],
)
def test_a_list_with_any_name_but_those_of_a_bundle_is_refused(path, name, reason):
    listed = json.loads((path / "provenance.json").read_text())["files_sha256"] | {name: "0" * 64}
    provenance(path, files_sha256=listed, model_digest=module._model_digest(listed))
    with pytest.raises(ModelError, match=reason):
        read_bundle(path)


@pytest.mark.parametrize("name", ["config.yaml", "scaling.json", "calibration.json", "stations.parquet"])
def test_a_file_that_is_not_listed_is_never_read(path, name):
    listed = json.loads((path / "provenance.json").read_text())["files_sha256"]
    listed.pop(name)
    provenance(path, files_sha256=listed, model_digest=module._model_digest(listed))
    with pytest.raises(ModelError, match=rf"does not list {name}"):
        read_bundle(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "MODEL_CARD.md", "provenance.json"])
def test_a_link_is_refused_wherever_it_leads(path, name, tmp_path):
    (tmp_path / "elsewhere").write_bytes((path / name).read_bytes())
    (path / name).unlink()
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=rf"{name} is no plain file"):
        read_bundle(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "scaling.json", "MODEL_CARD.md", "provenance.json"])
def test_a_file_of_20_gigabytes_is_refused_before_a_byte_of_it_is_read(path, name):
    with (path / name).open("r+b") as file:
        file.truncate(20 << 30)
    with pytest.raises(ModelError, match=rf"{name} has 21474836480 bytes, a model's has at most"):
        read_bundle(path)


@pytest.mark.parametrize(
    "contents",
    [
        {"scaling": b"[" * 100_000},
        {"scaling": b"[]"},
        {"scaling": b'{"pm25": 3}'},
        {"scaling": b'{"pm25": {"offset": 1}}'},
        {"scaling": b'{"pm25": {"offset": NaN, "mean": 1, "std": 1, "typical_error": 1}}'},
        {"scaling": b'{"pm25": {"offset": 1e999, "mean": 1, "std": 1, "typical_error": 1}}'},
        {"calibration": b'{"pm25": {"distance_km": [0], "level": [0], "quantiles": [NaN]}}'},
        {"calibration": b'{"pm25": null}'},
        {"calibration_means": b'{"pm25": {}}'},
        {"drift": b'{"a": 1}'},
        {"crowding": b'{"a": 1}'},
        {"covariates": b"3"},
        {"stations": b"PAR1 no"},
        {"weights": b"\xff" * 8 + b"{}"},
        {"weights": b""},
        {"card": b"\xff\xfe"},
    ],
)
def test_signed_files_that_do_not_hold_what_a_bundle_does_end_in_one_line(path, contents):
    sign(path, **contents)
    with pytest.raises(ModelError, match="model ") as caught:
        read_bundle(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, tmp_path):
    bundle = make_bundle()
    next(iter(bundle.members[0].values())).view(-1)[0] = value
    with pytest.raises(ModelError, match="a weight is not a finite number"):
        read_bundle(write_bundle(bundle, tmp_path / "model"))


def test_card_and_metrics_are_checked_too_and_scores_may_be_written_into_a_bundle(path):
    for name in ("MODEL_CARD.md", "metrics.json"):
        before = (path / name).read_bytes()
        (path / name).write_bytes(before + b" ")
        with pytest.raises(ModelError, match=f"{name} was altered after training"):
            read_bundle(path)
        (path / name).write_bytes(before)
    bundle = read_bundle(path)
    bundle.metrics, bundle.card = {"evaluation": {"mae": float("nan")}}, "# Measured\n"
    module.write_description(bundle, path)
    again = read_bundle(path)
    assert again.metrics == {"evaluation": {"mae": None}} and again.card == "# Measured\n"
    assert again.digest == bundle.digest


@pytest.mark.parametrize("writes", range(4))
def test_scores_whose_writing_is_cut_short_leave_a_bundle_that_can_be_read(writes, path, monkeypatch):
    bundle = read_bundle(path)
    bundle.metrics, bundle.card = {"evaluation": 1}, "# Measured\n"
    real, count = module._replace, iter(range(99))

    def cut_short(*given):
        if next(count) == writes:
            raise KeyboardInterrupt
        real(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_replace", cut_short)
        module.write_description(bundle, path)
    assert read_bundle(path).digest == bundle.digest


def test_a_bundle_of_before_whose_card_and_metrics_are_not_listed_is_read(path):
    listed = json.loads((path / "provenance.json").read_text())["files_sha256"]
    provenance(path, files_sha256={k: v for k, v in listed.items() if k not in ("metrics.json", "MODEL_CARD.md")})
    read = read_bundle(path)
    assert read.metrics == make_bundle().metrics and read.card == make_bundle().card
    for name in ("metrics.json", "MODEL_CARD.md"):
        (path / name).unlink()
    assert read_bundle(path).metrics == {} and read_bundle(path).card == ""


def test_everybody_who_may_read_the_folder_may_read_the_weights(tmp_path):
    before = os.umask(0o022)
    try:
        path = write_bundle(make_bundle(), tmp_path / "model")
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o644}


def test_what_is_no_folder_of_a_bundle_is_refused_by_its_kind(tmp_path):
    with pytest.raises(ModelError, match="the folder of a bundle"):
        read_bundle(3)
    with pytest.raises(ModelError, match=r"no model at .*none: train one with 'aqreanalysis train --out "):
        bundle_config(tmp_path / "none")


def test_the_config_of_a_bundle_is_read_without_its_weights(path):
    (path / "weights.safetensors").unlink(missing_ok=True)
    assert bundle_config(path) == make_bundle().config


def test_what_the_interval_covered_is_told_where_it_was_measured():
    assert measured_coverage({}) == ""

    def scores(share):
        return {"methods": {"aq-net": {"overall": {"coverage": share}}}, "stations": 5}

    hours = {"choice": "all", "first": "a", "last": "b"}
    metrics = {"coverage": 0.9, "hours": hours, "species": {"pm25": {"random": scores(0.8876), "holes": scores(None)}}}
    told = measured_coverage({"evaluation": metrics})
    assert told.startswith(
        "share of readings inside the 90% interval at stations hidden from the model, all hours from a"
    )
    assert told.endswith(": PM2.5 0.888 (random, 5 stations)")
    metrics["species"] = {"pm25": {"random": scores(None)}}
    assert measured_coverage({"evaluation": metrics}) == ""
