"""Checkpoints: everything that an interrupted training needs, and no pickle."""

from __future__ import annotations

import json
import resource

import pytest
import torch
from torch import nn

from aqreanalysis.errors import OutputError
from aqreanalysis.training.checkpoint import load_checkpoint, save_checkpoint


def make(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1))
    return network, torch.optim.AdamW(network.parameters(), lr=0.05)


def step(network, optimiser, count=3):
    x = torch.arange(12.0).view(4, 3) / 10
    for _ in range(count):
        optimiser.zero_grad()
        network(x).square().mean().backward()
        optimiser.step()


@pytest.fixture
def saved(tmp_path):
    network, optimiser = make(0)
    step(network, optimiser)
    best = {k: v.clone() for k, v in network.state_dict().items()}
    step(network, optimiser)
    save_checkpoint(tmp_path / "part", network, best, optimiser, {"epoch": 2, "best_score": 0.5, "history": [{"a": 1}]})
    return tmp_path / "part", network, best, optimiser


def test_training_goes_on_as_if_nothing_had_happened(saved):
    folder, network, best, optimiser = saved
    other, other_optimiser = make(99)
    state, restored = load_checkpoint(folder, other, other_optimiser)
    assert state == {"epoch": 2, "best_score": 0.5, "history": [{"a": 1}]}
    assert all(torch.equal(restored[k], v) for k, v in best.items()) and restored.keys() == best.keys()
    step(network, optimiser)
    step(other, other_optimiser)
    for (name, here), there in zip(network.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(here, there), name


def test_an_infinite_best_score_survives(saved):
    folder, network, best, optimiser = saved
    save_checkpoint(folder, network, best, optimiser, {"epoch": 3, "best_score": float("inf")})
    assert load_checkpoint(folder, network, optimiser)[0]["best_score"] == float("inf")


def test_only_the_last_checkpoint_is_kept(saved):
    folder, network, best, optimiser = saved
    save_checkpoint(folder, network, best, optimiser, {"epoch": 3})
    assert sorted(p.name for p in folder.iterdir()) == ["00003.safetensors", "state.json"]


def test_nothing_in_a_checkpoint_is_a_pickle(saved):
    for file in saved[0].iterdir():
        assert file.suffix in {".json", ".safetensors"}
        head = file.read_bytes()[:9]
        # The weights begin with the length of their header, which may be any byte; then comes the header.
        assert head[8:] == b"{" if file.suffix == ".safetensors" else head[:1] not in {b"\x80", b"P"}


def test_a_kill_between_weights_and_state_leaves_the_checkpoint_before(saved):
    folder, _, best, _ = saved
    # What a kill while the next checkpoint is written leaves: its weights torn, its state not yet renamed.
    (folder / "00003.safetensors").write_bytes(b"torn")
    (folder / ".state.1.part.json").write_text('{"epoch": 3')
    other, optimiser = make(5)
    state, restored = load_checkpoint(folder, other, optimiser)
    assert state["epoch"] == 2 and torch.equal(restored["0.weight"], best["0.weight"])
    assert json.loads((folder / "state.json").read_text())["epoch"] == 2


def test_a_full_disk_is_one_clear_line_and_leaves_the_checkpoint_before(saved):
    folder, network, best, optimiser = saved
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    # The kernel itself refuses to let files grow.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(OutputError, match=r"epoch 3 cannot be written .*the one before it is kept") as caught:
            save_checkpoint(folder, network, best, optimiser, {"epoch": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    save_checkpoint(folder, network, best, optimiser, {"epoch": 3})
    assert load_checkpoint(folder, network, optimiser)[0] == {"epoch": 3}


@pytest.mark.parametrize("torn", ["state.json", "00002.safetensors"])
def test_a_torn_checkpoint_is_one_clear_line_with_the_way_out(saved, torn):
    folder, network, _, optimiser = saved
    (folder / torn).write_bytes((folder / torn).read_bytes()[:20])
    with pytest.raises(OutputError, match=r"checkpoint in .* cannot be read .*--fresh") as caught:
        load_checkpoint(folder, network, optimiser)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(saved):
    folder, _, _, optimiser = saved
    with pytest.raises(OutputError, match=r"begin anew with --fresh"):
        load_checkpoint(folder, nn.Linear(3, 4), optimiser)


@pytest.mark.parametrize("name", ["state.json", "00002.safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_bit_that_flipped_in_a_checkpoint_is_seen(saved, name, share):
    folder, network, _, optimiser = saved
    data = bytearray((folder / name).read_bytes())
    data[int(share * len(data))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(OutputError, match=r"checkpoint in .* cannot be read .*--fresh"):
        load_checkpoint(folder, network, optimiser)
