"""Headers: those that differ in nothing but the day are decoded twice, and say what decoding each of them would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from covariates_case import message, plane, write_grib

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import gribindex
from aqreanalysis.covariates.gribfile import walk
from aqreanalysis.covariates.gribindex import read_headers
from aqreanalysis.errors import CovariatesError

DAYS = pd.date_range("1999-12-30", "2000-01-04")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the messages that ecCodes decodes."""
    numbers: list[int] = []
    plain = gribindex._entry

    def counted(message: Any, frame: Any, *rest: Any) -> Any:
        numbers.append(frame.number)
        return plain(message, frame, *rest)

    monkeypatch.setattr(gribindex, "_entry", counted)
    return numbers


def decode_each(path: Path, accumulation: str = "auto") -> gribindex.Headers:
    """Return the headers with every message decoded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gribindex, "_STEADY_UNITS", set())
        return read_headers(path, CovariatesConfig(accumulation=accumulation))


def told(headers: gribindex.Headers) -> tuple[Any, ...]:
    """Return all of some headers in what can be compared."""
    return headers.entries, list(headers.axes), headers.left_out, headers.messages


def era5(path: Path) -> Path:
    """Write instants, sums and a level aloft of some days over a turn of the century, at two hours each."""
    aloft = {"indicatorOfTypeOfLevel": 100, "level": 850}
    return write_grib(
        path,
        (
            one
            for day in DAYS
            for run in ("00:00", "12:00")
            for one in (
                message("t2m", f"{day:%Y-%m-%d}T{run}", plane(280.0)),
                message("tp", f"{day:%Y-%m-%d}T{run}", plane(0.001), (0, 6)),
                message("t2m", f"{day:%Y-%m-%d}T{run}", plane(270.0), **aloft),
            )
        ),
    )


@pytest.mark.parametrize("accumulation", ["auto", "hourly", "from-start"])
def test_headers_that_differ_in_the_day_alone_are_decoded_twice_and_say_the_same(
    accumulation: str, decoded: list[int], tmp_path: Path
) -> None:
    path = era5(tmp_path / "a.grib")
    headers = read_headers(path, CovariatesConfig(accumulation=accumulation))
    assert len(decoded) == 2 * 6 < headers.messages == 6 * len(DAYS)
    assert told(headers) == told(decode_each(path, accumulation))
    assert {entry.time_step["end"] for entry in headers.entries if entry.field.key == "t2m"} == {
        24 * day + hour for day in (DAYS - pd.Timestamp(0)).days for hour in (0, 12)
    }


def test_those_of_edition_2_too(decoded: list[int], tmp_path: Path) -> None:
    keys = {"edition": 2, "productDefinitionTemplateNumber": 40, "parameterCategory": 20, "parameterNumber": 0}
    keys |= {"typeOfFirstFixedSurface": 103, "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": 0}
    maps = [
        {**keys, "dataDate": int(f"{day:%Y%m%d}"), "dataTime": 0, "forecastTime": step, "constituentType": 40009,
         "values": plane(12e-9)}
        for day in DAYS for step in (0, 3)
    ]  # fmt: skip
    path = write_grib(tmp_path / "cams.grib2", maps)
    headers = read_headers(path, CovariatesConfig())
    assert len(decoded) == 2 * 2 < headers.messages and told(headers) == told(decode_each(path))


def test_steps_in_months_are_decoded_each(decoded: list[int], tmp_path: Path) -> None:
    path = write_grib(tmp_path / "m.grib", [message("t2m", f"{d:%Y-%m-%d}T00:00", 280.0) for d in DAYS])
    whole = bytearray(path.read_bytes())
    for frame in walk(path):
        whole[frame.offset + 8 + 17] = 3
    path.write_bytes(whole)
    read_headers(path, CovariatesConfig())
    assert len(decoded) == len(DAYS)


def test_a_header_that_is_not_moved_by_the_days_is_not_believed(
    decoded: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_grib(tmp_path / "m.grib", [message("t2m", f"{d:%Y-%m-%d}T00:00", 280.0) for d in DAYS])
    plain = gribindex._slot
    odd = iter(range(100))
    monkeypatch.setattr(gribindex, "_slot", lambda *given: plain(*given) | {"kind": str(next(odd))})
    read_headers(path, CovariatesConfig())
    assert len(decoded) == len(DAYS)


def test_a_date_that_is_none_is_refused_among_others_like_it(tmp_path: Path) -> None:
    path = write_grib(tmp_path / "d.grib", [message("t2m", f"{d:%Y-%m-%d}T00:00", 280.0) for d in DAYS])
    frames, whole = list(walk(path)), bytearray(path.read_bytes())
    assert [frame.day for frame in frames] == (DAYS - pd.Timestamp(0)).days.tolist()
    assert len({frame.header for frame in frames}) == 1
    whole[frames[4].offset + 8 + 13] = 13
    path.write_bytes(whole)
    assert list(walk(path))[4].day is None
    with pytest.raises(CovariatesError, match=r"d.grib, message 5"):
        read_headers(path, CovariatesConfig())


def test_values_are_read_from_the_message_of_their_own_day(tmp_path: Path) -> None:
    from aqreanalysis.covariates import Covariates

    levels = 280.0 + np.arange(len(DAYS))
    path = write_grib(
        tmp_path / "v.grib",
        [message("t2m", f"{d:%Y-%m-%d}T00:00", plane(x)) for d, x in zip(DAYS, levels, strict=True)],
    )
    hours = 24 * (DAYS - pd.Timestamp(0)).days.to_numpy()
    values = Covariates.open(path).at(np.array([50.0]), np.array([7.0]), hours)[:, 0, 0]
    assert values == pytest.approx(levels, abs=1e-3)
