"""AirNow's hourly files: no header, later issues win, sites placed by the network's own list."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read

from aqreanalysis.errors import ObservationsError

SITE = (
    "{id}|{parameter}|0103|Mérida|Active|AL1|Alabama|R4|30.5|-87.9|37|-6|US|33660|Mobile|33660|Mobile|01|AL|003|Baldwin"
    "|1|Fairhope"
)


def _sites(folder: Path) -> Path:
    path = folder / "monitoring_site_locations.dat"
    lines = [SITE.format(id="010030010", parameter=p) for p in ("O3", "PM2.5")]
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


def _hour(folder: Path, hour: int, ozone: float, name: str | None = None) -> Path:
    lines = [
        f"03/01/24|{hour:02d}:00|010030010|Mérida|-6|OZONE|PPB|{ozone}|Alabama DEM",
        f"03/01/24|{hour:02d}:00|010030010|Mérida|-6|PM2.5|UG/M3|{8 + hour}|Alabama DEM",
        f"03/01/24|{hour:02d}:00|010030010|Mérida|-6|WS|M/S|3|Alabama DEM",
    ]
    path = folder / (name or f"HourlyData_20240301{hour:02d}.dat")
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


def test_hours_are_read_at_their_site(tmp_path: Path) -> None:
    folder = tmp_path / "hours"
    folder.mkdir()
    for hour in (5, 6, 7):
        _hour(folder, hour, 30.0)
    observations = read(folder, _sites(tmp_path))
    assert observations.stations == ["010030010"] and observations.names == ["Mérida"]
    assert raw(observations, "pm25", "010030010", "2024-03-01 05:00") == 13
    ug = 30e-9 * 47.998e6 * 101325 / (8.314462618 * 298.15)  # 25 degC, the EPA's
    assert raw(observations, "o3", "010030010", "2024-03-01 06:00") == pytest.approx(ug, rel=1e-6)
    assert observations.report.counts["rows_of_other_pollutants"] == 3


def test_a_file_that_is_issued_again_wins_and_is_told(tmp_path: Path) -> None:
    first, again = _hour(tmp_path, 5, 30.0, "a.dat"), _hour(tmp_path, 5, 33.0, "b.dat")
    from station_files import ColumnsConfig, ReadOptions, read_observations

    columns, how = ColumnsConfig(check_clock=False), ReadOptions(stations=[_sites(tmp_path)])
    second = _hour(tmp_path, 6, 31.0)
    late = read_observations([first, again, second], columns, how)
    early = read_observations([again, first, second], columns, how)
    assert late.values("o3")[0, 0] / early.values("o3")[0, 0] == pytest.approx(33 / 30, rel=1e-6)
    assert late.report.counts["rows_reissued"] == 1


def test_a_stamp_of_another_shape_is_refused_with_its_line(tmp_path: Path) -> None:
    path = _hour(tmp_path, 5, 30.0)
    path.write_bytes(
        path.read_bytes().replace(b"03/01/24|05:00|010030010|M\xe9rida|-6|PM2.5", b"2024-03-01|05|0|M|-6|PM2.5")
    )
    with pytest.raises(
        ObservationsError, match=r"dat, line 2: 1 of 3 stamps: '2024-03-01 05' is not written as %m/%d/%y"
    ):
        read(path, _sites(tmp_path))
