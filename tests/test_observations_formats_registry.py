"""Formats are found, guessed with a reason, and survive damage: a clear line or right numbers, never a traceback."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from station_files import read, write_list

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import AqreanalysisError, ObservationsError
from aqreanalysis.observations import list_formats
from aqreanalysis.observations.formats.registry import find_format, guess_format, look_at
from aqreanalysis.observations.sources import Source

HERE = Path(__file__).parent


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _files(folder: Path) -> dict[str, tuple[Path, Path | None]]:
    """Return a made-up file of each text format, and the station list that it needs."""
    made: dict[str, tuple[Path, Path | None]] = {}
    tests = "test_observations_formats_"
    made["uci-beijing"] = (_module(f"{tests}uci_beijing")._file(folder), write_list(folder, ["Aotizhongxin"], "u.csv"))
    china = _module(f"{tests}china_archive")._day(folder, "20190101")
    made["china-archive"] = (china, write_list(folder, ["1001A", "1002A"], "c.csv"))
    archive = _module(f"{tests}openaq_archive")
    rows = archive._hours(1, "pm10", "µg/m³", 45.0)
    made["openaq-archive"] = (archive._write(folder / "location-2178-20230101.csv.gz", rows), None)
    api = _module(f"{tests}openaq_api")
    made["openaq-api"] = (api._page(folder, [api._result(h, 10.0 + h) for h in range(6)]), api._locations(folder))
    aqs = _module(f"{tests}aqs")
    made["aqs"] = (aqs._file(folder, [aqs._row(h, "0.03") for h in range(6)]), None)
    airnow = _module(f"{tests}airnow")
    made["airnow"] = (airnow._hour(folder, 5, 30.0), airnow._sites(folder))
    laqn = _module(f"{tests}laqn")
    lines = [f"MY1,PM2.5,01/07/2017 {h:02d}:00,{h + 5},ug m-3,P" for h in range(6)]
    made["laqn"] = (laqn._file(folder, lines), write_list(folder, ["MY1"], "l.csv"))
    ebas = _module(f"{tests}ebas")
    made["ebas"] = (ebas._file(folder, ebas.ROWS), None)
    eea = _module(f"{tests}eea")
    (folder / "metadata.csv").write_text(eea.META)
    made["eea"] = (eea._file(folder / "a.parquet", "SPO.30.0101.1.1", 7, [60.0, 61.5]), folder / "metadata.csv")
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path | None]]:
    return _files(tmp_path_factory.mktemp("formats"))


def test_every_format_has_a_name_a_document_and_a_test_file() -> None:
    for form in list_formats():
        assert form.title and form.document
        if form.name != "table":
            assert (HERE / f"test_observations_formats_{form.name.replace('-', '_')}.py").is_file(), form.name


def test_each_made_up_file_is_guessed_right_and_says_why(made: dict[str, tuple[Path, Path | None]]) -> None:
    for name, (path, _) in made.items():
        guessed, reason = guess_format(look_at(Source(path)), ColumnsConfig())
        assert guessed.name == name and len(reason) > 10, (name, guessed.name)


def test_an_unknown_name_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match=r"no format 'eae'; did you mean 'eea'"):
        find_format("eae")
    path = tmp_path / "notes.csv"
    path.write_text("when,what\n1,2\n")
    with pytest.raises(ObservationsError, match=r"looks like no known format \(its columns are when, what\)"):
        read(path)


@pytest.mark.parametrize(
    "name", ["uci-beijing", "china-archive", "openaq-archive", "openaq-api", "aqs", "airnow", "laqn", "ebas", "eea"]
)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    length=st.floats(0.01, 1),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_in_one_line(
    made: dict[str, tuple[Path, Path | None]],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[float, int]],
    length: float,
) -> None:
    path, stations = made[name]
    raw = bytearray(path.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    damaged = tmp_path_factory.mktemp("damaged") / path.name
    damaged.write_bytes(bytes(raw[: max(int(length * len(raw)), 1)]))
    try:
        read(damaged, *([stations] if stations is not None else []), format=name)
    except AqreanalysisError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["uci-beijing", "laqn", "aqs", "openaq-archive"])
def test_shuffled_lines_change_nothing(made: dict[str, tuple[Path, Path | None]], tmp_path: Path, name: str) -> None:
    import gzip

    path, stations = made[name]
    raw = path.read_bytes()
    packed = path.suffix == ".gz"
    head, *lines = (gzip.decompress(raw) if packed else raw).splitlines()
    shuffled = b"\n".join([head, *(lines[i] for i in np.random.default_rng(0).permutation(len(lines)))])
    other = tmp_path / path.name
    other.write_bytes(gzip.compress(shuffled) if packed else shuffled)
    lists = [stations] if stations is not None else []
    assert read(other, *lists).digest() == read(path, *lists).digest()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding(
    made: dict[str, tuple[Path, Path | None]], tmp_path: Path, encoding: str
) -> None:
    path, stations = made["laqn"]
    other = tmp_path / path.name
    other.write_text(path.read_text(), encoding=encoding)
    assert stations is not None
    assert read(other, stations).digest() == read(path, stations).digest()
