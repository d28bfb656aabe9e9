"""The formats of national networks, harmed: one clear line that names the file, or the numbers of the unharmed file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fuzz_case import CASES, Shelf, check_refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from network_formats import TEXTS, make_network_files
from station_files import read
from station_formats import Made

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations

NAMES = list(TEXTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return Shelf(make_network_files(tmp_path_factory.mktemp("networks")))


@pytest.fixture(scope="module")
def right(made: dict[str, Made]) -> dict[str, dict[tuple[str, str, pd.Timestamp], float]]:
    return Shelf({name: _readings(_read(each, each.path)) for name, each in made.items()})


def _read(made: Made, path: Path, format: str | None = None) -> Observations:
    return read(path, *([made.stations] if made.stations is not None else []), format=format or made.format)


def _readings(observations: Observations) -> dict[tuple[str, str, pd.Timestamp], float]:
    """Return (pollutant, station, stamp) -> reading, whatever its flag."""
    frames = {key: observations.dataset[key].to_pandas().stack().dropna() for key in observations.species}
    return {(key, str(at[1]), at[0]): float(v) for key, frame in frames.items() for at, v in frame.items()}


def _refused_or(made: Made, path: Path, raw: bytes) -> Observations | None:
    path.write_bytes(raw)
    try:
        return _read(made, path)
    except ObservationsError as error:
        check_refusal(error, path)
        return None


@pytest.mark.parametrize("name", NAMES)
def test_each_is_known_by_itself_and_read(made: dict[str, Made], right: dict[str, dict], name: str) -> None:
    each = made[name]
    stations = [] if each.stations is None else [each.stations]
    assert len(right[name]) >= 24
    assert _readings(read(each.path, *stations)) == right[name]


@pytest.mark.parametrize("name", NAMES)
@given(share=st.floats(0, 1, exclude_max=True))
@settings(CASES, max_examples=5)
def test_a_truncated_text_is_refused_or_gives_what_is_left_of_it(
    made: dict[str, Made], right: dict[str, dict], tmp_path_factory: pytest.TempPathFactory, name: str, share: float
) -> None:
    each = made[name]
    raw = each.path.read_bytes()
    whole = raw[: int(share * len(raw))]
    observations = _refused_or(each, tmp_path_factory.mktemp("cut") / each.path.name, whole)
    if observations is not None:
        wrong = {k: v for k, v in _readings(observations).items() if right[name].get(k) != v}
        assert len(wrong) <= observations.report.counts.get("files_without_line_end", 0), (wrong, whole[-80:])


@pytest.mark.parametrize("name", NAMES)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
@settings(CASES, max_examples=5)
def test_a_text_with_other_bytes_in_it_never_ends_in_a_traceback(
    made: dict[str, Made], tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]]
) -> None:
    each = made[name]
    raw = bytearray(each.path.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    _refused_or(each, tmp_path_factory.mktemp("bytes") / each.path.name, bytes(raw))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "gb18030", "cp037"])
def test_another_encoding_is_read_right_or_refused(
    made: dict[str, Made], right: dict[str, dict], tmp_path: Path, name: str, encoding: str
) -> None:
    each = made[name]
    raw = each.path.read_text(encoding="utf-8").encode(encoding, errors="replace")
    observations = _refused_or(each, tmp_path / each.path.name, raw)
    assert observations is None or _readings(observations) == right[name]
