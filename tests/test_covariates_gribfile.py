from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from covariates_case import hour, message, plane, write_grib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.covariates.gribfile import walk
from aqreanalysis.errors import CovariatesError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three messages."""
    path = tmp_path_factory.mktemp("whole") / "whole.grib"
    return write_grib(path, [message("t2m", f"2020-01-01T0{h}:00", plane(280.0 + h, 1.0)) for h in range(3)])


def test_the_frames_are_those_of_eccodes(whole: Path) -> None:
    import eccodes

    with whole.open("rb") as file:
        there = []
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            there.append(tuple(int(eccodes.codes_get(handle, key)) for key in ("offset", "totalLength")))
            eccodes.codes_release(handle)
    assert [(frame.offset, frame.length) for frame in walk(whole)] == there


def test_a_message_of_more_than_8_mb_is_measured_by_the_convention_for_them(tmp_path: Path) -> None:
    lat, lon = np.linspace(60, 20, 1601), np.linspace(0, 60, 2401)  # 3.8 million values of 24 bits: 11.5 MB
    noise = np.random.default_rng(0).normal(280, 5, (lat.size, lon.size))
    path = write_grib(tmp_path / "large.grib", [message("t2m", f"2020-01-01T0{h}:00", noise) for h in (0, 1)], lat, lon)
    frames = list(walk(path))
    assert len(frames) == 2 and frames[0].length > 0x800000
    assert sum(frame.length for frame in frames) == path.stat().st_size
    values = Covariates.open(path).at(lat[[5]], lon[[7]], np.array([hour("2020-01-01T01:00")]))
    assert values[0, 0, 0] == pytest.approx(noise[5, 7], abs=1e-3)


def test_an_empty_file_and_one_that_is_something_else_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.grib").touch()
    (tmp_path / "text.grib").write_text("temperature,280\n" * 50)
    for name, reason in (("empty", "is empty"), ("text", "holds no GRIB message")):
        with pytest.raises(CovariatesError, match=rf"{name}.grib {reason}"):
            Covariates.open(tmp_path / f"{name}.grib")


def test_a_file_cut_short_is_refused_with_the_number_of_the_message(whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.grib"
    cut.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(CovariatesError, match=r"cut.grib, message 3: .* cut short"):
        Covariates.open(cut)


def test_a_message_whose_beginning_is_lost_is_not_skipped_in_silence(whole: Path, tmp_path: Path) -> None:
    damaged, data = tmp_path / "damaged.grib", bytearray(whole.read_bytes())
    second = list(walk(whole))[1]
    data[second.offset : second.offset + 4] = b"XXXX"
    damaged.write_bytes(data)
    with pytest.raises(CovariatesError, match=r"damaged.grib(, message|: after message)"):
        Covariates.open(damaged)


def test_a_broken_file_among_whole_ones_stops_the_run_or_is_left_out_and_told(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "a.grib").write_bytes(whole.read_bytes())
    (tmp_path / "b.grib").write_bytes(whole.read_bytes()[:100])
    with pytest.raises(CovariatesError, match=r"b.grib, message 1"):
        Covariates.open(tmp_path)
    opened = Covariates.open(tmp_path, CovariatesConfig(skip_broken=True))
    assert opened.hours("t2m").size == 3
    assert list(opened.report.skipped) == [str(tmp_path / "b.grib")]


def test_without_cfgrib_or_its_library_one_line_says_what_to_install(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cfgrib.messages", None)
    with pytest.raises(CovariatesError, match=r"pip install cfgrib eccodes") as caught:
        Covariates.open(whole)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_gives_one_line_with_its_name_or_the_right_numbers(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Headers are damaged, cut and shuffled; values carry no checksum in GRIB (docs/covariates.md)."""
    good = whole.read_bytes()
    broken = bytearray(good)
    kind = data.draw(st.sampled_from(["cut", "drop", "repeat", "swap", "zero"]))
    a = data.draw(st.integers(0, len(good) - 2))
    b = data.draw(st.integers(a + 1, len(good)))
    if kind == "cut":
        broken = broken[:a]
    elif kind == "drop":
        del broken[a:b]
    elif kind == "repeat":
        broken[b:b] = good[a:b]
    elif kind == "swap":
        broken = bytearray(good[b:] + good[a:b] + good[:a])
    else:
        frame = data.draw(st.sampled_from(list(walk(whole))))
        start = frame.offset + data.draw(st.integers(0, 30))
        broken[start : start + 4] = b"\0\0\0\0"
    path = tmp_path / "fuzzed.grib"
    path.write_bytes(broken)
    try:
        covariates = Covariates.open(path)
        read = covariates.at(
            np.array([50.0]), np.array([7.0]), np.array([hour(f"2020-01-01T0{h}:00") for h in range(3)])
        )
    except CovariatesError as error:
        assert "fuzzed.grib" in str(error) and "\n" not in str(error)
        return
    for h in range(3):
        values = read[h, 0]
        assert all(np.isnan(v) or 180 < v < 340 for v in values)
        if kind != "zero" and covariates.fields == ("t2m",) and np.isfinite(values[0]):
            assert values[0] == pytest.approx(280.0 + h, abs=1.1)


def test_what_eccodes_prints_goes_into_the_error_and_not_to_stderr(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged, data = tmp_path / "damaged.grib", bytearray(whole.read_bytes())
    data[8 + int.from_bytes(data[8:11], "big") + 5] = 255  # a representation of the grid that there is not
    damaged.write_bytes(data)
    with pytest.raises(CovariatesError, match=r"damaged.grib, message 1: cannot be decoded .*ecCodes: "):
        Covariates.open(damaged)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("edition", [1, 2])
def test_a_section_that_is_longer_than_its_message_is_refused_before_anything_decodes_it(
    tmp_path: Path, edition: int
) -> None:
    keys = {"edition": 2, "parameterCategory": 0, "parameterNumber": 0, "typeOfFirstFixedSurface": 103}
    keys |= {"scaledValueOfFirstFixedSurface": 2, "scaleFactorOfFirstFixedSurface": 0}
    keys |= {"dataDate": 20200101, "dataTime": 100, "values": plane(280, 1.0, 0.5)}
    one = keys if edition == 2 else message("t2m", "2020-01-01T01:00", plane(280, 1.0, 0.5))
    path = write_grib(tmp_path / "one.grib", [one])
    assert len(list(walk(path))) == 1
    raw = bytearray(path.read_bytes())
    at = 16 if edition == 2 else 8 + int.from_bytes(raw[8:11], "big")  # section 1, or section 2 of edition 1
    raw[at : at + 2] = b"\x7f\xff"
    path.write_bytes(raw)
    with pytest.raises(CovariatesError, match=r"one.grib, message 1: its sections do not end where the message does"):
        list(walk(path))
