"""Decoded maps are kept within their bytes, found again by the next tile, and give way to those of the next block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from covariates_case import hour, message, plane, write_grib

from aqreanalysis.covariates import Covariates, grib
from aqreanalysis.covariates import map_cache as kept
from aqreanalysis.covariates.map_cache import KeptMaps


def _asked(maps: KeptMaps, keys: range, rounds: int) -> list[int]:
    """Ask for maps of 100 bytes round and round; return how many had to be decoded in each round."""
    decoded = []
    for _ in range(rounds):
        made: list[int] = []
        for key in keys:

            def decode(key: int = key, made: list[int] = made) -> np.ndarray:
                made.append(key)
                return np.full(25, key, np.float32)

            assert maps.get(key, decode)[3] == key
            assert maps._bytes <= kept.KEPT_BYTES and maps._bytes == 100 * len(maps._maps)
        decoded.append(len(made))
    return decoded


def test_what_fits_is_decoded_once_and_half_of_what_is_twice_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 1000)
    assert _asked(KeptMaps(), range(10), 3) == [10, 0, 0]
    assert _asked(KeptMaps(), range(20), 3) == [20, 10, 10]


def test_the_next_block_gets_the_room_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 1000)
    maps = KeptMaps()
    _asked(maps, range(10), 2)
    assert _asked(maps, range(100, 110), 10)[-1] == 0


def test_a_map_larger_than_all_room_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 99)
    assert _asked(KeptMaps(), range(3), 2) == [3, 3]


def test_tiles_after_the_first_decode_nothing_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = [f"2020-01-01T{h:02d}:00" for h in range(1, 7)]
    maps = [message("t2m", stamp, plane(280 + i, 1.0, 0.5)) for i, stamp in enumerate(stamps)]
    path = write_grib(tmp_path / "a.grib", maps)
    tiles = [(np.array([48.3, 49.1]), np.array([5.2, 5.9])), (np.array([50.6]), np.array([8.4]))]
    hours = np.array([hour(stamp) for stamp in stamps])
    monkeypatch.setattr(kept, "KEPT_BYTES", 0)
    plain = [Covariates.open(path).at(*tile, hours) for tile in tiles]
    monkeypatch.setattr(kept, "KEPT_BYTES", 1 << 20)
    monkeypatch.setattr(grib, "_KEPT", KeptMaps())
    decoded = []
    real = grib._decode
    monkeypatch.setattr(grib, "_decode", lambda *of: decoded.append(of[2]) or real(*of))
    covariates = Covariates.open(path)
    for tile, expected in zip(tiles, plain, strict=True):
        np.testing.assert_array_equal(covariates.at(*tile, hours), expected)
    assert decoded == [1, 2, 3, 4, 5, 6]
    # Another file under the same name is another file.
    write_grib(path, [message("t2m", stamp, plane(290 + i, 1.0, 0.5)) for i, stamp in enumerate(stamps)])
    np.testing.assert_allclose(Covariates.open(path).at(*tiles[1], hours), plain[1] + 10, atol=1e-3)
