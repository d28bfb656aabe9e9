"""Words for kinds of station and for networks, and their way from columns and lists into records and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.configs import ColumnsConfig, load_config
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations, from_frame, read_observations
from aqreanalysis.observations.inspect import check_observations
from aqreanalysis.observations.readers import ReadOptions
from aqreanalysis.observations.station_kinds import is_low_cost, kind_of

WORDS = {
    "traffic": "traffic, Traffic, TRA-FFIC, Kerbside, Roadside, Urban Traffic, MOBILE, MICROSCALE, Verkehr, trafic, "
    "tráfico, traffico, verkeer, trafik, komunikacyjna, doprava, 交通測站, 自排局, T",
    "industrial": "industrial, Industriel, Urban Industrial, industrie, przemysłowa, průmyslová, 工業測站, "
    "SOURCE ORIENTED, I, POINT",
    "background": "background, Hintergrund, fondo, fond urbain, fundo, tło miejskie, Rural, suburban, "
    "Urban Background, 一般局, 背景測站, NEIGHBORHOOD, REGIONAL TRANSPORT, UPWIND BACKGROUND, "
    "POPULATION EXPOSURE, B, ländlich",
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, text in WORDS.items() for word in text.split(", ")])
def test_a_word_of_a_list_is_its_kind(kind: str, word: str) -> None:
    assert kind_of(word) == kind


@pytest.mark.parametrize("word", ["", "tower", "unknown", "n/a", "2"])
def test_a_word_that_says_nothing_is_no_kind(word: str) -> None:
    assert kind_of(word) is None


def test_cheap_sensors_are_told_by_the_name_of_their_network() -> None:
    assert all(map(is_low_cost, ["low-cost", "Low cost sensors", "PurpleAir", "sensor.community", "Luftdaten.info"]))
    assert not any(map(is_low_cost, ["reference", "AURN", "London Air Quality Network", "Patriot", ""]))


def table(**columns: list[str]) -> pd.DataFrame:
    """Return two days of three stations with the columns beside."""
    times = pd.date_range("2019-01-01 01:00", periods=48, freq="h").astype(str)
    rows = [(s, t, 50.0 + i, 4.0, 10.0 + i) for i, s in enumerate("abc") for t in times]
    frame = pd.DataFrame(rows, columns=["station_id", "time", "lat", "lon", "pm25"])
    for name, texts in columns.items():
        frame[name] = np.repeat(texts, 48)
    return frame


def test_columns_of_readings_give_kinds_and_networks() -> None:
    observations = from_frame(table(site_type=["Kerbside", "Urban Background", ""], network=["AURN", "PurpleAir", ""]))
    assert observations.kinds == ["traffic", "background", ""]
    assert observations.networks == ["AURN", "PurpleAir", ""]
    assert observations.summary()["kinds"] == {"": 1, "background": 1, "traffic": 1}


def test_a_record_without_such_columns_has_neither() -> None:
    observations = from_frame(table())
    assert observations.kinds is None and observations.networks is None
    assert "kinds" not in observations.summary()


def test_columns_are_named_where_they_have_other_names() -> None:
    columns = load_config("aqnet", ["columns.kind=what", "columns.network=whose"]).columns
    observations = from_frame(table(what=["t", "i", "b"], whose=["x", "y", "z"]), columns)
    assert (observations.kinds, observations.networks) == (["traffic", "industrial", "background"], ["x", "y", "z"])
    with pytest.raises(ObservationsError, match=r"no column 'what' for kind.*set columns\.kind"):
        from_frame(table(), ColumnsConfig(kind="what"))


def test_words_that_are_not_known_are_named() -> None:
    observations = from_frame(table(kind=["tower", "kerb", "rural"]))
    assert observations.kinds == ["", "traffic", "background"]
    assert any("tower" in warning for warning in observations.report.warnings)


def test_a_station_list_gives_them_and_a_netcdf_keeps_them(tmp_path: Path) -> None:
    table().drop(columns=["lat", "lon"]).to_csv(tmp_path / "rows.csv", index=False)
    listed = {"station_id": list("abc"), "lat": [50.0, 51.0, 52.0], "lon": [4.0] * 3}
    kinds = ["traffic", "background", "industrial"]
    pd.DataFrame(
        listed | {"Air Quality Station Type": kinds, "Air Quality Network Name": ["N", "N", "low-cost"]}
    ).to_csv(tmp_path / "stations.csv", index=False)
    read = read_observations(tmp_path / "rows.csv", None, ReadOptions(stations=(str(tmp_path / "stations.csv"),)))
    assert (read.kinds, read.networks) == (kinds, ["N", "N", "low-cost"])
    again: Observations = read_observations(read.to_netcdf(tmp_path / "obs.nc"))
    assert (again.kinds, again.networks) == (kinds, ["N", "N", "low-cost"])
    assert again.digest() == from_frame(table()).digest()
    assert again.select(stations=["c"]).kinds == ["industrial"]
    facts = check_observations(tmp_path / "obs.nc")
    assert facts["kinds"] == {"background": 1, "industrial": 1, "traffic": 1}


def test_a_narrow_table_gives_them(tmp_path: Path) -> None:
    frame = table(kind=["kerb", "rural", "rural"]).rename(columns={"pm25": "value"}).assign(parameter="pm25")
    frame.to_csv(tmp_path / "narrow.csv", index=False)
    assert read_observations(tmp_path / "narrow.csv").kinds == ["traffic", "background", "background"]
