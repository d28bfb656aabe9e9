"""One compiled call writes the bytes of the codec under the final name, or says at which step it failed."""

from __future__ import annotations

import numcodecs
import numpy as np
import pytest

from aqreanalysis.production.stores import fused
from aqreanalysis.production.stores import zarr_direct as direct


@pytest.mark.parametrize("shape", [(5, 7, 3), (24, 64, 64)])
@pytest.mark.parametrize("dtype", ["f4", "i2", "i1"])
def test_one_call_and_the_codec_itself_write_the_same_bytes(dtype, shape, tmp_path, monkeypatch):
    values = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    codec = numcodecs.Blosc("zstd", clevel=3, shuffle=numcodecs.Blosc.SHUFFLE)
    paths = str(tmp_path / "0.partial"), str(tmp_path / "0")
    assert direct.write_fused(codec, values, paths) and not direct.write_fused(None, values, paths)
    assert [f.name for f in tmp_path.iterdir()] == ["0"]
    assert (tmp_path / "0").read_bytes() == codec.encode(values)


def test_each_failed_step_has_a_number(tmp_path):
    assert fused.can_fuse()
    values, form = np.arange(64, dtype=np.uint8), np.array((1, 1, 4, 0))
    names = direct._ended(str(tmp_path / "a")), direct._ended(str(tmp_path / "b"))
    missing = direct._ended(str(tmp_path / "missing" / "a"))
    codec, room = direct._ended("zstd"), np.empty(80, np.uint8)
    assert fused.compress_and_write(values, form, codec, names, room) == 0
    assert fused.compress_and_write(values, form, direct._ended("nothing"), names, room) == 1
    assert fused.compress_and_write(values, form, codec, (missing, names[1]), room) == 2
    assert fused.compress_and_write(values, form, codec, (names[0], missing), room) == 5
