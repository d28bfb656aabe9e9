"""CSV, gzipped CSV, Parquet and NetCDF of the same records give the same observations; broken files are refused."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import from_frame, read_observations
from aqreanalysis.observations.files import Source, list_sources
from aqreanalysis.observations.table_blocks import inspect_csv

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HOURS = 60


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    times = pd.date_range("2020-05-01 01:00", periods=HOURS, freq="h")
    return pd.DataFrame(
        {
            "station_id": np.repeat(["001", "1001A", "x y"], HOURS),
            "time": np.tile(times, 3),
            "lat": np.repeat(np.float32([39.8784, 40.2915, 39.9]), HOURS),
            "lon": np.repeat(np.float32([116.3621, 116.2202, 116.417]), HOURS),
            "pm25": rng.integers(5, 90, 3 * HOURS).astype(np.float32),
            "temp": rng.normal(size=3 * HOURS),
        }
    )


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "a.csv": lambda f, p: f.to_csv(p, index=False),
    "a.csv.gz": lambda f, p: f.to_csv(p, index=False),
    "a.tsv": lambda f, p: f.to_csv(p, index=False, sep="\t"),
    "semicolon.csv": lambda f, p: f.to_csv(p, index=False, sep=";"),
    "bom.CSV": lambda f, p: f.to_csv(p, index=False, encoding="utf-8-sig"),
    "blank.csv": lambda f, p: f.rename(columns={"pm25": " PM2.5 "}).to_csv(p, index=False),
    "aware.csv": lambda f, p: f.assign(time=f["time"].dt.tz_localize("UTC")).to_csv(p, index=False),
    "a.parquet": lambda f, p: f.to_parquet(p, index=False),
    "aware.parquet": lambda f, p: f.assign(time=f["time"].dt.tz_localize("Asia/Tokyo") + pd.Timedelta("9h")).to_parquet(
        p
    ),
    "text.parquet": lambda f, p: f.assign(time=f["time"].astype(str), pm25=f["pm25"].astype(str)).to_parquet(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_observations(tmp_path: Path, name: str) -> None:
    WRITERS[name](_frame(), tmp_path / name)
    observations = read_observations(tmp_path / name)
    assert observations.digest() == from_frame(_frame()).digest()
    assert observations.stations == ["001", "1001A", "x y"]
    assert observations.report.lines()[0] == f"{name}: {3 * HOURS} rows read"
    assert read_observations(observations.to_netcdf(tmp_path / "b.nc")).digest() == observations.digest()


def test_files_read_together_and_a_folder_of_them_equal_the_whole(tmp_path: Path) -> None:
    frame = _frame()
    for i, part in enumerate(np.array_split(np.random.default_rng(0).permutation(len(frame)), 3)):
        frame.iloc[part].to_csv(tmp_path / f"{i}.csv", index=False)
    (tmp_path / "README.md").write_text("not a station file")
    whole = from_frame(frame).digest()
    assert read_observations(tmp_path).digest() == whole
    assert read_observations([tmp_path / f"{i}.csv" for i in (2, 0, 1)]).digest() == whole


def test_a_station_list_gives_places_cities_and_names(tmp_path: Path) -> None:
    frame = _frame()
    listed = frame[["station_id", "lat", "lon"]].drop_duplicates().assign(city=["北京", "X", None], name="n")
    extra = pd.DataFrame({"station_id": ["far"], "lat": [10.0], "lon": [10.0], "city": ["Y"], "name": ["m"]})
    extra = extra.astype({"lat": np.float32, "lon": np.float32})
    pd.concat([listed, extra]).to_csv(tmp_path / "stations.csv", index=False)
    frame.drop(columns=["lat", "lon"]).to_parquet(tmp_path / "a.parquet")
    observations = read_observations([tmp_path / "a.parquet", tmp_path / "stations.csv"])
    assert observations.digest() == from_frame(frame).digest()
    assert observations.city == ["北京", "X", ""] and observations.names == ["n"] * 3
    assert observations.report.counts == {"listed_without_rows": 1}
    with pytest.raises(ObservationsError, match="'lat'"):
        read_observations(tmp_path / "a.parquet")
    with pytest.raises(ObservationsError, match="only station lists"):
        read_observations([tmp_path / "stations.csv", tmp_path / "stations.csv"])


def test_a_station_list_that_contradicts_the_rows_is_refused(tmp_path: Path) -> None:
    frame = _frame()
    frame.to_parquet(tmp_path / "a.parquet")
    listed = frame[["station_id", "lat", "lon"]].drop_duplicates()
    listed.assign(lat=listed["lat"] + 1).to_csv(tmp_path / "stations.csv", index=False)
    with pytest.raises(ObservationsError, match=r"'001' stands at .*km apart"):
        read_observations([tmp_path / "a.parquet", tmp_path / "stations.csv"])


def test_only_the_needed_columns_are_read(tmp_path: Path) -> None:
    _frame().assign(temp="not a number").to_csv(tmp_path / "a.csv", index=False)
    assert not read_observations(tmp_path / "a.csv").report.counts


def test_odd_cells_and_short_lines_are_counted_and_many_are_refused(tmp_path: Path) -> None:
    lines = _frame().to_csv(index=False).splitlines()
    lines[5] = ",".join([*lines[5].split(",")[:4], "n.v.", "0"])
    lines[7] = ",".join([*lines[7].split(",")[:4], "NA", "0"])
    lines[9] = lines[9][:20]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*lines, ""]))
    assert read_observations(path).report.counts == {"broken_lines": 1, "text_values": 1}
    path.write_text("\n".join(lines))
    assert read_observations(path).report.counts["files_without_line_end"] == 1
    path.write_text("\n".join(line[:20] if i % 3 else line for i, line in enumerate(lines)))
    with pytest.raises(ObservationsError, match=r"wrong number of fields, the first line 2: 2 fields instead of 6"):
        read_observations(path)


def test_an_open_quotation_mark_swallows_no_rows_in_silence(tmp_path: Path) -> None:
    lines = _frame().to_csv(index=False).splitlines()
    for i in (5, 25):
        lines[i] = lines[i].replace(",2020", ',"2020')
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(ObservationsError, match="quotation mark is not closed"):
        read_observations(tmp_path / "a.csv")


def test_labels_of_a_parquet_file_pass_through(tmp_path: Path) -> None:
    frame = _frame()
    frame.attrs = {"synthetic": "true", "comment": "made up"}
    frame.to_parquet(tmp_path / "a.parquet")
    observations = read_observations(tmp_path / "a.parquet")
    assert observations.attributes == {"synthetic": "true", "comment": "made up"}
    again = read_observations(observations.to_netcdf(tmp_path / "a.nc"))
    assert again.attributes == observations.attributes
    # As pandas alone has written them, before Arrow did.
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({"PANDAS_ATTRS": json.dumps(frame.attrs)})
    pq.write_table(table, tmp_path / "b.parquet")
    assert read_observations(tmp_path / "b.parquet").attributes == observations.attributes


def test_configured_columns_are_used(tmp_path: Path) -> None:
    names = {"station_id": "Station", "time": "Zeit", "lat": "Breite", "lon": "Laenge", "pm25": "Feinstaub"}
    _frame().rename(columns=names).to_csv(tmp_path / "a.csv", index=False)
    columns = ColumnsConfig(station="Station", time="Zeit", lat="Breite", lon="Laenge", species={"pm25": "Feinstaub"})
    assert read_observations(tmp_path / "a.csv", columns).digest() == from_frame(_frame()).digest()


def _write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("head.csv", b"station_id,time,lat,lon,pm25\n", "holds no rows"),
        ("other.parquet", b"station_id,time\n" * 10, "no readable Parquet"),
        ("other.nc", b"station_id,time\n" * 10, "no readable NetCDF"),
        ("other.csv", bytes(range(128, 256)) * 10, "no readable UTF-8 CSV"),
        ("gbk.csv", b"station_id,time,lat,lon,city,pm25\na,2020-01-01 00:00,40,116,\xb1\xb1\xbe\xa9,5\n", "UTF-8 CSV"),
        ("plain.csv.gz", b"station_id,time\n", "no readable gzip"),
        ("notes.docx", b"x", "unknown kind of file"),
        ("weather.csv", b"station_id,time,lat,lon,temp\na,2020-01-01 00:00,40,116,5\n", "is a known pollutant"),
        ("short.csv", b"station_nr,time,lat,lon,pm25\na,2020-01-01 00:00,40,116,5\n", "did you mean 'station_nr'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, raw: bytes, message: str
) -> None:
    path = _write(tmp_path / name, raw)
    with pytest.raises(ObservationsError, match=message) as caught:
        read_observations(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    WRITERS[name](_frame(), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    with pytest.raises(ObservationsError, match="truncated"):
        read_observations(_write(tmp_path / name, raw[: int(share * len(raw))]))


@given(
    name=st.sampled_from(["a.csv", "a.csv.gz", "a.parquet", "a.nc"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    length=st.floats(0.01, 1),
)
@settings(max_examples=80, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_one_line_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]], length: float
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    if name == "a.nc":
        from_frame(_frame()).to_netcdf(path)
    else:
        WRITERS[name](_frame(), path)
    raw = bytearray(path.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    _write(path, bytes(raw[: max(int(length * len(raw)), 1)]))
    try:
        read_observations(path)
    except ObservationsError as error:
        assert "\n" not in str(error)


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    _frame().to_csv(tmp_path / "north.csv", index=False)
    with pytest.raises(ObservationsError, match=r"did you mean 'north.csv'"):
        read_observations(tmp_path / "nort.csv")
    with pytest.raises(ObservationsError, match="no station file"):
        (tmp_path / "empty").mkdir()
        read_observations(tmp_path / "empty")
    with pytest.raises(ObservationsError, match="no observations file given"):
        read_observations([])


def test_files_of_different_pollutants_are_read_together_and_tables_and_netcdf_are_not(tmp_path: Path) -> None:
    frame = _frame()
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.assign(no2=frame["pm25"] + 3).drop(columns="pm25").to_csv(tmp_path / "b.csv", index=False)
    from_frame(frame).to_netcdf(tmp_path / "c.nc")
    both = read_observations([tmp_path / "a.csv", tmp_path / "b.csv"])
    np.testing.assert_array_equal(both.values("no2"), both.values("pm25") + 3)
    with pytest.raises(ObservationsError, match="cannot be read together with tables"):
        read_observations([tmp_path / "a.csv", tmp_path / "c.nc"])
    with pytest.raises(ObservationsError, match="2 NetCDF files"):
        read_observations([tmp_path / "c.nc", tmp_path / "c.nc"])


def test_cut_gzip_in_the_middle_of_plain_text_is_no_silent_loss(tmp_path: Path) -> None:
    raw = gzip.compress(_frame().to_csv(index=False).encode())
    with pytest.raises(ObservationsError):
        read_observations(_write(tmp_path / "a.csv.gz", raw[:-20]))


def test_the_real_network_is_read_with_its_station_list() -> None:
    path = DATA / "china_north_2019.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    observations = read_observations([path, DATA / "china_north_2019_stations.csv"])
    frame = pd.read_parquet(path, columns=["station_id", "time", "lat", "pm25", "co"])
    assert len(observations.stations) == frame["station_id"].nunique() == 467
    assert len(observations.times) == 8760
    for key in ("pm25", "co"):
        assert observations.report.readings[key] == frame[key].notna().sum()
        total = np.nansum(observations.dataset[key].values, dtype=np.float64)
        assert total == pytest.approx(frame[key].astype(np.float64).sum(), rel=1e-12)
    assert observations.city is not None and "北京" in observations.city
    whole_gap = observations.select(start="2019-04-08", end="2019-04-09")
    assert np.isnan(whole_gap.values("pm25")).mean() > 0.5


def test_a_link_out_of_a_folder_is_not_followed_and_one_within_is(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside.csv"
    folder.mkdir()
    outside.write_text("secret,of,another\n")
    (folder / "a.csv").symlink_to(outside)
    with pytest.raises(ObservationsError, match=r"a\.csv is a link out of the folder") as caught:
        list_sources(folder)
    assert "secret" not in str(caught.value)
    (folder / "a.csv").unlink()
    (folder / "b.csv").write_text("x\n")
    (folder / "c.csv").symlink_to(folder / "b.csv")
    assert [source.path.name for source in list_sources(folder)] == ["b.csv", "c.csv"]


def test_an_archive_with_one_endless_line_is_refused_in_bounded_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(ObservationsError, match=r"a\.csv.* has a line of more than 4194304 characters"):
        inspect_csv(Source(tmp_path / "a.zip", "a.csv"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000


def test_two_tables_below_lines_of_notes_in_other_languages_are_no_station_lists(tmp_path: Path) -> None:
    for month in (1, 2):
        rows = [f"Amt {i};15.0{month}.2019 0{hour}:00;47,{i};8,{i};{i},5" for i in range(3) for hour in (1, 2)]
        lines = [
            "Messwerte des Amtes; Stundenmittel",
            "Messstation;Datum/Zeit;Breitengrad;Längengrad;PM2,5 [µg/m³]",
            *rows,
        ]
        (tmp_path / f"{month}.csv").write_text("\n".join([*lines, ""]), encoding="cp1252")
    observations = read_observations(tmp_path, ColumnsConfig(encoding="cp1252"))
    assert observations.stations == ["Amt 0", "Amt 1", "Amt 2"] and observations.times[-1].month == 2
