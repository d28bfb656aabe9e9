"""Every format of station records, harmed: one clear line that names the file, or the numbers of the unharmed file."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzz_case import CASES, Shelf, check_refusal
from hypothesis import example, given, settings
from hypothesis import strategies as st
from station_files import read
from station_formats import NAMES, Made, make_files

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations, ReadOptions, import_observations, read_observations

TEXTS = [name for name in NAMES if name not in ("table-zip", "table-parquet", "wide-parquet", "eea", "netcdf")]
LINES = [name for name in TEXTS if name not in ("ebas", "openaq-api")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return Shelf(make_files(tmp_path_factory.mktemp("formats")))


@pytest.fixture(scope="module")
def right(made: dict[str, Made]) -> dict[str, dict[tuple[str, str, pd.Timestamp], float]]:
    return Shelf({name: _readings(_read(each, each.path)) for name, each in made.items()})


def _read(made: Made, path: Path) -> Observations:
    return read(path, *([made.stations] if made.stations is not None else []), format=made.format)


def _readings(observations: Observations) -> dict[tuple[str, str, pd.Timestamp], float]:
    """Return (pollutant, station, stamp) -> reading, whatever its flag."""
    readings = {}
    for key in observations.species:
        frame = observations.dataset[key].to_pandas()
        for (stamp, station), value in frame.stack().dropna().items():
            readings[key, str(station), stamp] = float(value)
    return readings


def _text(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def _write(folder: Path, made: Made, raw: bytes) -> Path:
    path = folder / made.path.name
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def _refused_or(made: Made, path: Path) -> Observations | None:
    """Return the observations, or None if the file is refused as it should be: one line, with its name."""
    try:
        return _read(made, path)
    except ObservationsError as error:
        check_refusal(error, path)
        return None


@pytest.mark.parametrize("name", NAMES)
@given(share=st.floats(0, 1, exclude_max=True))
@CASES
def test_a_truncated_file_is_refused_or_gives_what_is_left_of_it(
    made: dict[str, Made],
    right: dict[str, dict],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    share: float,
) -> None:
    each, folder = made[name], tmp_path_factory.mktemp("cut")
    raw = _text(each.path)
    whole = raw[: int(share * len(raw))]
    observations = _refused_or(each, _write(folder, each, whole))
    if observations is None:
        return
    assert name in TEXTS and name != "openaq-api", "binary files and JSON tell that they are cut"
    wrong = {k: v for k, v in _readings(observations).items() if right[name].get(k) != v}
    # The last number may be cut, as 45.0 to 4, and no reader can know: then it is told that the line has no end.
    warned = observations.report.counts.get("files_without_line_end", 0)
    assert len(wrong) <= warned, (wrong, whole[-80:])


@pytest.mark.parametrize("name", ["openaq-archive", "table-zip", "table-parquet", "wide-parquet", "eea", "netcdf"])
@given(share=st.floats(0.0, 1, exclude_max=True), length=st.integers(1, 60), byte=st.integers(0, 255))
@example(share=0.1875, length=1, byte=128)  # a text of Parquet that is no UTF-8
@CASES
def test_a_binary_file_with_other_bytes_in_it_is_refused_or_tells_it(
    made: dict[str, Made],
    right: dict[str, dict],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    share: float,
    length: int,
    byte: int,
) -> None:
    each, folder = made[name], tmp_path_factory.mktemp("bytes")
    raw = bytearray(each.path.read_bytes())
    at = int(share * len(raw))
    length = min(length, len(raw) - at)
    raw[at : at + length] = bytes([byte]) * length
    path = folder / each.path.name
    path.write_bytes(raw)
    observations = _refused_or(each, path)
    if observations is not None and name in (
        "openaq-archive",
        "table-zip",
        "netcdf",
    ):  # these carry a sum of their content
        wrong = {k: v for k, v in _readings(observations).items() if right[name].get(k) != v}
        assert not wrong or any("was changed" in text for text in observations.report.warnings), wrong


@pytest.mark.parametrize("name", TEXTS)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
@example(changes=[(0.0, 13)])
@CASES
def test_a_text_with_other_bytes_in_it_never_ends_in_a_traceback(
    made: dict[str, Made], tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]]
) -> None:
    each = made[name]
    raw = bytearray(_text(each.path))
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    _refused_or(each, _write(tmp_path_factory.mktemp("bytes"), each, bytes(raw)))


@pytest.mark.parametrize("name", LINES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(CASES, max_examples=5)
def test_shuffled_lines_change_nothing_and_shuffled_fields_are_refused_or_change_nothing(
    made: dict[str, Made], right: dict[str, dict], tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    each, rng = made[name], np.random.default_rng(seed)
    head, *lines = _text(each.path).splitlines()
    heads = [] if name == "airnow" else [head]  # it has no header
    lines = lines if heads else [head, *lines]
    folder = tmp_path_factory.mktemp("shuffled")
    shuffled = b"\n".join([*heads, *(lines[i] for i in rng.permutation(len(lines))), b""])
    assert _readings(_read(each, _write(folder, each, shuffled))) == right[name]
    if heads:
        mark = max((b",", b";", b"|"), key=head.count)
        order = rng.permutation(head.count(mark) + 1)
        columns = [mark.join(_fields(line, mark)[i] for i in order) for line in [head, *lines]]
        observations = _refused_or(each, _write(folder, each, b"\n".join([*columns, b""])))
        assert observations is None or _readings(observations) == right[name]


def _fields(line: bytes, mark: bytes) -> list[bytes]:
    field = rb'("[^"]*"|[^' + mark + rb"]*)(?:" + mark + rb"|$)"
    return list(re.findall(field, line))[: line.count(mark) + 1]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "gb18030", "cp037", "utf-7"]
)
def test_another_encoding_is_read_right_or_refused(
    made: dict[str, Made], right: dict[str, dict], tmp_path: Path, name: str, encoding: str
) -> None:
    each = made[name]
    own = "latin-1" if name == "airnow" else "utf-8"
    raw = _text(each.path).decode(own).encode(encoding, errors="replace")
    observations = _refused_or(each, _write(tmp_path, each, raw))
    assert observations is None or _readings(observations) == right[name]


UNITS = {
    "openaq-archive": "µg/m³",
    "openaq-api": r"\u00b5g/m\u00b3",
    "aqs": "Parts per million",
    "airnow": "PPB",
    "laqn": "ug m-3",
    "ebas": "nmol/mol",
}


@pytest.mark.parametrize("name", list(UNITS))
def test_an_unknown_unit_is_refused_with_its_place(made: dict[str, Made], tmp_path: Path, name: str) -> None:
    each = made[name]
    text = _text(each.path).decode("latin-1")
    unit = UNITS[name] if name != "openaq-archive" else UNITS[name].encode().decode("latin-1")
    assert unit in text
    path = _write(tmp_path, each, text.replace(unit, "furlongs").encode("latin-1"))
    place = r", (line|result|row) \d+: unit 'furlongs' of \w+ is unknown: expected"
    with pytest.raises(ObservationsError, match=re.escape(path.name) + place):
        _read(each, path)
    if name in ("openaq-archive", "openaq-api", "laqn"):
        particles = _write(tmp_path, each, text.replace(unit, "ppb").encode("latin-1"))
        with pytest.raises(ObservationsError, match=re.escape(path.name) + r".*particles have a mass"):
            _read(each, particles)


HUGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("one byte", lambda raw: raw[:1]),
    ("blanks", lambda raw: b" \n\n \n"),
    ("zeros", lambda raw: bytes(100_000)),
    ("the header alone", lambda raw: raw.split(b"\n")[0] + b"\n"),
    ("a line of 40 MB", lambda raw: raw + b"9" * 40_000_000),
    ("a header of 40 MB", lambda raw: b"a" * 40_000_000 + raw),
    ("a hundred thousand columns", lambda raw: raw.split(b"\n")[0] + b",x" * 100_000 + b"\n" + raw),
    ("numbers beyond all", lambda raw: re.sub(rb"(?<=[,;| \t:])\d+(?=[,;| \t\n\r])", b"1e999", raw)),
    ("numbers of a thousand digits", lambda raw: re.sub(rb"(?<=[,;| \t])\d+(?=[,;| \t\n\r])", b"7" * 1000, raw)),
    ("years beyond all", lambda raw: re.sub(rb"20(\d\d)-", rb"9\g<1>9-", raw.replace(b"/20", b"/99"))),
    ("every number negative", lambda raw: re.sub(rb"(?<=[,;| \t])(\d)", rb"-\1", raw)),
    ("the file ten times over", lambda raw: raw * 10),
    ("deep brackets", lambda raw: b"[" * 200_000),
]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("harm", HUGE, ids=[title for title, _ in HUGE])
def test_the_empty_and_the_enormous_are_refused_or_hold_no_wrong_number(
    made: dict[str, Made],
    right: dict[str, dict],
    tmp_path: Path,
    name: str,
    harm: tuple[str, Callable[[bytes], bytes]],
) -> None:
    each = made[name]
    observations = _refused_or(each, _write(tmp_path, each, harm[1](_text(each.path))))
    if observations is None:
        return
    for key in observations.species:
        assert np.isfinite(observations.values(key)[~np.isnan(observations.values(key))]).all()
    if harm[0] in ("a line of 40 MB", "the file ten times over"):
        readings = _readings(observations)
        assert all(right[name].get(k) == v for k, v in readings.items())


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_refused_as_such(made: dict[str, Made], tmp_path: Path, name: str) -> None:
    path = tmp_path / made[name].path.name
    path.write_bytes(b"")
    with pytest.raises(ObservationsError, match=re.escape(path.name) + r".*(empty|no readable|truncated)"):
        _read(made[name], path)


def _folder(folder: Path, files: int) -> tuple[Path, Path]:
    """Write so many files of two hours each, one station a file; return the folder and the one in the middle."""
    folder.mkdir()
    paths = []
    for i in range(files):
        rows = [f"S{i:05d},2020-01-01T{h:02d}:00,{40 + i / 1000:.3f},116.5,{10 + i % 50}.{h}" for h in (1, 2)]
        paths.append(folder / f"s{i:05d}.csv")
        paths[-1].write_text("\n".join(["station_id,time,lat,lon,pm25", *rows, ""]))
    return folder, paths[files // 2]


@pytest.mark.parametrize("files", [120, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("harm", ["garbage", "empty", "a wrong number"])
def test_one_broken_file_in_a_full_folder_stops_by_name_or_is_left_out_and_named(
    tmp_path: Path, files: int, harm: str
) -> None:
    folder, broken = _folder(tmp_path / "in", files)
    text = broken.read_text()
    broken.write_bytes(
        {"garbage": b"\x00\xff\xfe" * 500, "empty": b"", "a wrong number": text.replace(".1\n", "y\n").encode()}[harm]
    )
    for run in (
        lambda options: read_observations(folder, None, options),
        lambda options: import_observations(folder, tmp_path / "out.nc", None, options, overwrite=True),
    ):
        with pytest.raises(ObservationsError, match=broken.name):
            run(ReadOptions())
        assert not [path for path in tmp_path.iterdir() if path.name not in ("in", "out.nc")]
        done = run(ReadOptions(skip_broken=True))
        report = done.report if isinstance(done, Observations) else done
        assert report.counts["files_skipped"] == 1 and report.rows == 2 * (files - 1)
        assert [text for text in report.warnings if broken.name in text]
    through = read_observations(tmp_path / "out.nc")
    at_once = read_observations(folder, None, ReadOptions(skip_broken=True))
    assert through.digest() == at_once.digest() and len(through.stations) == files - 1


def test_a_page_of_json_with_values_of_other_kinds_is_refused_with_the_result(
    made: dict[str, Made], tmp_path: Path
) -> None:
    each = made["openaq-api"]
    page = json.loads(each.path.read_text())
    for harm in ([], {}, "x", {"utc": 5}, True):
        page["results"][2]["value"] = harm if harm is not True else 1e999
        path = _write(tmp_path, each, json.dumps(page).encode())
        observations = _refused_or(each, path)
        if observations is not None:
            assert harm is True


@pytest.mark.parametrize("name", ["wide", "airnow", "openaq-api", "eea"])
@given(
    share=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
@CASES
def test_a_harmed_station_list_is_refused_or_gives_the_same_numbers_at_the_same_places(
    made: dict[str, Made],
    right: dict[str, dict],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    share: float,
    changes: list[tuple[float, int]],
) -> None:
    each, whole = made[name], _read(made[name], made[name].path)
    assert each.stations is not None
    raw = bytearray(each.stations.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    harmed = tmp_path_factory.mktemp("list") / each.stations.name
    harmed.write_bytes(raw[: int(share * len(raw))])
    try:
        observations = read(each.path, harmed, format=each.format)
    except ObservationsError as error:
        assert "\n" not in str(error) and len(str(error)) < 700
        assert harmed.name in str(error) or each.path.name in str(error)
        return
    if changes:  # a changed digit is another place, and nothing in a list can show it
        return
    assert _readings(observations).items() <= right[name].items()
    places = dict(zip(whole.stations, zip(whole.lat, whole.lon, strict=True), strict=True))
    moved = [s for i, s in enumerate(observations.stations) if places[s] != (observations.lat[i], observations.lon[i])]
    assert len(moved) <= observations.report.counts.get("files_without_line_end", 0)
