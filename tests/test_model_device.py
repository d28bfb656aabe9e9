"""Which device, in which precision."""

from __future__ import annotations

import pytest
import torch

from aqreanalysis.errors import ConfigError
from aqreanalysis.model import choose_device
from aqreanalysis.model.device import mixed_precision

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


def test_auto_takes_cuda_where_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_is_refused_where_there_is_none(name):
    with pytest.raises(ConfigError, match=f"--device {name}: torch sees no CUDA device here; use --device cpu or auto"):
        choose_device(name)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_float32_on_cuda_is_not_rounded_to_ten_bits(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert choose_device(name).type == "cuda"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "mps"])
def test_an_unknown_device_is_refused_with_those_there_are(name):
    with pytest.raises(ConfigError, match="choose auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize("wanted", [True, False])
def test_mixed_precision_changes_nothing_on_the_cpu(wanted):
    a = torch.randn(5, 5)
    with mixed_precision(torch.device("cpu"), wanted):
        product = a @ a
    assert product.dtype == torch.float32
    assert torch.equal(product, a @ a)
