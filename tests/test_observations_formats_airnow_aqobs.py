"""AirNow's hourly observations: a row a site, places in the file, units beside the readings."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read

HEAD = (
    '"AQSID","SiteName","Status","EPARegion","Latitude","Longitude","Elevation","GMTOffset","CountryCode","StateName",'
    '"ValidDate","ValidTime","DataSource","ReportingArea_PipeDelimited","OZONE_AQI","PM10_AQI","PM25_AQI","NO2_AQI",'
    '"OZONE_Measured","PM10_Measured","PM25_Measured","NO2_Measured","PM25","PM25_Unit","OZONE","OZONE_Unit","NO2",'
    '"NO2_Unit","CO","CO_Unit","SO2","SO2_Unit","PM10","PM10_Unit"'
)


def _row(site: str, lat: float, hour: int, readings: str, status: str = "Active") -> str:
    head = f'"{site}","Site, {site}","{status}","R4","{lat}","-87.9","0.0","-6","US","AL","09/27/2026","{hour:02d}:00"'
    return f'{head},"Agency","Mobile","38","","52","","1","0","1","0",{readings}'


def test_units_places_and_empty_sites(tmp_path: Path) -> None:
    some = '"10.6","UG/M3","43.0","PPB","","","0.3","PPM","","","",""'
    none = ",".join(['""'] * 12)
    for hour in (15, 16):
        lines = [HEAD, _row("010030010", 30.5, hour, some), _row("010331002", 34.8, hour, none, "Inactive")]
        (tmp_path / f"HourlyAQObs_20260927{hour}.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    observations = read(tmp_path)
    assert observations.stations == ["010030010"] and observations.names == ["Site, 010030010"]
    assert raw(observations, "pm25", "010030010", "2026-09-27 15:00") == pytest.approx(10.6)
    # ppb at the EPA's 25 degC: 43 x 48.00 / 24.465.
    assert raw(observations, "o3", "010030010", "2026-09-27 16:00") == pytest.approx(43 * 1.962, rel=1e-3)
    assert raw(observations, "co", "010030010", "2026-09-27 16:00") == pytest.approx(0.3 * 1.145, rel=1e-3)
    shifted = read(tmp_path, stamp="start")
    assert raw(shifted, "pm25", "010030010", "2026-09-27 17:00") == pytest.approx(10.6)
