"""Station lists as networks publish them: several ids of a station, names in several languages."""

from __future__ import annotations

from pathlib import Path

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_metadata import StationList, read_station_lists


def _list(tmp_path: Path, text: str, name: str = "list.csv", encoding: str = "utf-8-sig") -> StationList:
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    return read_station_lists([path], ColumnsConfig(), QualityReport())


def test_a_station_is_known_by_each_of_its_ids(tmp_path: Path) -> None:
    stations = _list(
        tmp_path,
        "CODIGO;CODIGO_CORTO;ESTACION;LONGITUD_ETRS89;LONGITUD;LATITUD\n"
        "28079004;4;Plaza de España;3º42'44W;-3.7122567;40.4238823\n28079008;8;Escuelas Aguirre;x;-3.68;40.42\n",
    )
    assert {key: stations.stations()[key] for key in ("4", "28079004", "Plaza de España")} == {
        "4": "4",
        "28079004": "4",
        "Plaza de España": "4",
    }
    place = stations.places().set_index("station").loc["4"]
    assert (place["lat"], place["lon"]) == (40.4238823, -3.7122567)
    assert len(stations.places()) == 2


def test_an_id_that_several_stations_share_is_none(tmp_path: Path) -> None:
    stations = _list(tmp_path, "station_id,code,lat,lon\nA,x,1,2\nB,x,3,4\nC,A,5,6\n")
    assert stations.stations() == {"A": "A", "B": "B", "C": "C"}


def test_the_bars_of_airnow_are_known_by_where_the_degrees_stand(tmp_path: Path) -> None:
    row = "060590008|PM2.5|0008|Anaheim|Active|069|South Coast|R9|33.819305|-117.918759|50.0|-8.00|US"
    stations = _list(tmp_path, row + "|" * 12 + "\n", "monitoring_site_locations.dat", "latin-1")
    assert stations.stations() == {"060590008": "060590008"}
