"""Station lists as networks publish them: several ids of a station, names in several languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
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


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.parquet", "PAR1", r"list\.parquet: a station list is read from a text table \(CSV\), not from Parquet"),
        ("list.csv", "a,lat,lon\nA,1,2\n", r"no column for the key of stations \(there are: a, lat, lon\): name one "),
        ("list.csv", "station_id,lat,b\nA,1,2\n", "no column for the lon of stations"),
        ("list.csv", "station_id,lat,lon\n", "list.csv: a station list without stations"),
        ("list.json", '{"results": []}', "list.json: a station list without stations"),
        ("list.json", '{"results": [{"id": 1, "sensors": [{"id": 2}]}]}', r"no page of locations \(KeyError: 'coord"),
        ("list.json", "[1]", r"no page of locations \(TypeError"),
    ],
)
def test_what_is_no_list_of_stations_is_refused_with_what_lacks(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    with pytest.raises(ObservationsError, match=says):
        _list(tmp_path, text, name)


def test_the_sensors_of_openaq_are_known_by_their_location(tmp_path: Path) -> None:
    place = (
        '{"id": 7, "name": "a", "coordinates": {"latitude": 1.5, "longitude": 2}, "sensors": [{"id": 70}, {"id": 71}]}'
    )
    stations = _list(tmp_path, f'{{"results": [{place}]}}', "page.json", "utf-8")
    assert stations.stations() == {"70": "7", "71": "7"}
    assert stations.places()[["station", "lat", "lon"]].to_numpy().tolist() == [["7", 1.5, 2.0]]


def test_a_list_joined_to_none_is_itself_and_what_both_say_stands_once(tmp_path: Path) -> None:
    one = _list(tmp_path, "station_id,lat,lon\nA,1,2\nB,3,4\n")
    other = _list(tmp_path, "station_id,lat,lon\nB,3,4\nC,5,6\n", "other.csv")
    none = StationList(one.frame[:0])
    assert one.joined(none) is one and none.joined(one) is one
    assert sorted(one.joined(other).places()["station"]) == ["A", "B", "C"]
