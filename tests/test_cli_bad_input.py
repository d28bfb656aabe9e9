"""Bad input ends with one clear line and exit status 2, and leaves nothing half-written.

What the readers can mend (negative, absurd and stuck readings, repeated rows) is counted and told instead.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from aqreanalysis.cli import main

HOURS = 12 * 24


def table() -> pd.DataFrame:
    """Return 12 days of ozone and PM2.5 at 12 stations, with the afternoon peak of ozone that UTC asks for."""
    rng = np.random.default_rng(3)
    times = pd.date_range("2021-06-01 01:00", periods=HOURS, freq="h")
    frames = []
    for i in range(12):
        level = 40 + 10 * np.sin(np.arange(HOURS) / 30 + i / 4) + rng.normal(0, 3, HOURS)
        ozone = 60 - 40 * np.cos(2 * np.pi * (times.hour.to_numpy() - 3.0) / 24) + rng.normal(0, 4, HOURS)
        place = {"station_id": f"s{i:02d}", "lon": 10 + 0.2 * (i % 4), "lat": 48 + 0.2 * (i // 4)}
        frames.append(pd.DataFrame({**place, "time": times, "pm25": level.round(1), "o3": ozone.clip(1).round(1)}))
    return pd.concat(frames, ignore_index=True)


def run(*arguments: str | Path) -> Result:
    """Return the command line's answer."""
    return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="aqreanalysis")


def refused(result: Result) -> str:
    """Check that a command was refused with one line and exit status 2; return the line."""
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert result.exit_code == 2, result.output
    assert errors == lines[-1:], result.stderr
    assert "Traceback" not in result.output
    assert len(errors[0]) > 30, "the line must say which value, which rule and what to do"
    return errors[0]


def no_lat(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="lat")


def lat_out_of_range(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(lat=frame["lat"].where(frame["station_id"] != "s03", 148.2))


def swapped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(lat=frame["lon"] + 100, lon=frame["lat"])


def local_time(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(time=frame["time"] + pd.Timedelta(hours=9))


def contradicting_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[7]].assign(pm25=99.0)])


def one_station_under_two_names(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame[frame["station_id"] == "s05"].assign(station_id="other")])


def moving_station(frame: pd.DataFrame) -> pd.DataFrame:
    later = (frame["station_id"] == "s02") & (frame["time"] > "2021-06-05")
    return frame.assign(lat=frame["lat"] + 0.5 * later)


def no_pollutant(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"pm25": "dust", "o3": "smell"})


def no_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:0]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_lat, "lat"),
        (lat_out_of_range, "148.2"),
        (swapped, "swapped"),
        (local_time, "columns.time_zone"),
        (contradicting_rows, "s00"),
        (one_station_under_two_names, "'other' and 's05'"),
        (moving_station, "must not move"),
        (no_pollutant, "pm25"),
        (no_rows, "no"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_records_that_break_a_rule_are_refused(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], said: str, suffix: str, tmp_path: Path
) -> None:
    file, out = tmp_path / f"obs.{suffix}", tmp_path / "model"
    frame = spoil(table())
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    line = refused(run("train", "--observations", file, "--out", out))
    assert said in line
    assert not out.exists()


def test_a_missing_file_and_one_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    assert "nowhere.csv" in refused(run("train", "--observations", tmp_path / "nowhere.csv", "--out", tmp_path / "m"))
    for name in ("noise.parquet", "noise.nc", "noise.csv"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(3000))
        assert name in refused(run("train", "--observations", tmp_path / name, "--out", tmp_path / "m"))
        assert name in refused(run("info", tmp_path / name))
    assert not (tmp_path / "m").exists()


def test_negative_absurd_and_stuck_readings_are_counted_and_told(tmp_path: Path) -> None:
    frame = table()
    frame.loc[5, "pm25"] = -30.0
    frame.loc[20, "pm25"] = 88888.0
    frame.loc[100:130, "pm25"] = 41.3
    frame.to_csv(tmp_path / "obs.csv", index=False)
    result = run("info", tmp_path / "obs.csv")
    assert result.exit_code == 0, result.output
    assert "33 of 3456 readings flagged and not used (1 negative, 1 above plausible range, 31 stuck)" in result.output


def test_repeated_rows_are_merged_and_told(tmp_path: Path) -> None:
    frame = table()
    pd.concat([frame, frame.iloc[:40]]).to_csv(tmp_path / "obs.csv", index=False)
    result = run("info", tmp_path / "obs.csv")
    assert result.exit_code == 0, result.output
    assert "40 rows repeating a station-hour with the same readings merged" in result.output


def test_columns_of_other_names_are_read_when_told(tmp_path: Path) -> None:
    table().rename(columns={"lat": "breite", "pm25": "PM"}).to_csv(tmp_path / "obs.csv", index=False)
    assert "breite" in refused(run("info", tmp_path / "obs.csv"))
    given = run("info", tmp_path / "obs.csv", "--set", "columns.lat=breite", "--set", "columns.species.pm25=PM")
    assert given.exit_code == 0, given.output
    assert "pm25" in given.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "training.epoch=3"), "did you mean 'epochs'"),
        (("--set", "training.epochs=many"), "training.epochs = 'many'"),
        (("--set", "epochs"), "write section.key=value"),
        (("--config", "aqnett"), "did you mean 'aqnet'"),
        (("--config", "nowhere.yaml"), "no config file 'nowhere.yaml'"),
        (("--species", "pm2"), "unknown pollutant 'pm2'"),
        (("--species", "co"), "co"),
        (("--device", "tpu"), "'tpu' is not one of"),
    ],
)
def test_options_that_mean_nothing_are_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "obs.parquet")
    line = refused(run("train", "--observations", tmp_path / "obs.parquet", "--out", tmp_path / "model", *arguments))
    assert said in line
    assert not (tmp_path / "model").exists()


def test_a_config_file_with_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("trainning: {epochs: 3}\n")
    records = tmp_path / "any.csv"
    records.touch()
    result = run("train", "--observations", records, "--config", tmp_path / "own.yaml", "--out", tmp_path / "model")
    assert "unknown key 'trainning'; did you mean 'training'" in refused(result)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("105,33,125,43@0.3", "0.3"),
        ("north-chin-0.1", "north-china-0.1"),
        ("5,4,3@1", "5,4,3@1"),
        ("nowhere.yaml", "nowhere"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(grid: str, said: str) -> None:
    assert said in refused(run("grids", "show", grid))


def test_a_box_that_begins_with_a_minus_sign_is_shown_as_any_other() -> None:
    shown = run("grids", "show", "-10,35,5,45@0.1")
    assert shown.exit_code == 0 and "151 columns of 0.1 degree" in shown.output
    assert "no grid named '--jsn'" in refused(run("grids", "show", "--jsn"))


DAY = {"--start": "2001-03-09", "--end": "2001-03-10", "--grid": "nature-0.1"}


def produce(way: Any, out: Path, model: Path | None = None, records: Path | None = None, **changed: str) -> Result:
    """Run ``produce`` for a day on the shared model with some options changed."""
    given = DAY | {f"--{name}": value for name, value in changed.items()}
    pairs = [part for pair in given.items() for part in pair]
    return run(
        *("produce", "--model", model or way.model, "--observations", records or way.records, "--out", out),
        *pairs,
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"start": "2001-03-10", "end": "2001-03-09"}, "is not before end"),
        ({"start": "2001-03-09", "end": "2001-03-09"}, "is not before end"),
        ({"start": "09.03.2001"}, "is not a time"),
        ({"start": "2005-03-09", "end": "2005-03-10"}, "the observations span"),
        ({"start": "2001-02-01"}, "the observations span"),
        ({"grid": "105,33,125,43@0.5"}, "km"),
        ({"grid": "10,46,16,50@0.7"}, "0.7"),
        ({"species": "o3"}, "o3"),
        ({"exceedance": "pm25"}, "write NAME=VALUE"),
        ({"exceedance": "pm25=-3"}, "above 0"),
        ({"workers": "0"}, "--workers"),
        ({"set": "production.tile_row=8"}, "did you mean 'tile_rows'"),
    ],
)
def test_a_cube_that_cannot_be_is_refused_before_its_first_byte(
    way: Any, changed: dict[str, str], said: str, tmp_path: Path
) -> None:
    assert said in refused(produce(way, tmp_path / "cube.nc", **changed))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cube.tif", "cube"])
def test_an_output_of_no_known_format_is_refused(way: Any, name: str, tmp_path: Path) -> None:
    assert ".nc or .zarr" in refused(produce(way, tmp_path / name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cube.nc", "cube.zarr"])
def test_an_output_that_exists_is_left_as_it_is(way: Any, name: str, tmp_path: Path) -> None:
    existing = tmp_path / name
    existing.write_text("mine")
    assert "--overwrite" in refused(produce(way, existing))
    assert existing.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [existing]


def test_records_without_any_pollutant_of_the_model_are_refused(way: Any, tmp_path: Path) -> None:
    table().drop(columns="pm25").to_parquet(tmp_path / "ozone.parquet")
    line = refused(produce(way, tmp_path / "cube.nc", records=tmp_path / "ozone.parquet"))
    assert "pm25" in line
    assert not (tmp_path / "cube.nc").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "scaling.json", "calibration.json", "provenance.json"])
def test_a_model_bundle_with_a_file_missing_or_altered_is_refused(way: Any, name: str, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(way.model, broken)
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[:-40] + b"0" * 40)
    assert name in refused(produce(way, tmp_path / "cube.nc", model=broken))
    (broken / name).unlink()
    assert name in refused(produce(way, tmp_path / "cube.nc", model=broken))
    assert name in refused(run("info", broken))
    assert not (tmp_path / "cube.nc").exists()


def test_a_model_that_is_not_there_is_refused(way: Any, tmp_path: Path) -> None:
    assert "nowhere" in refused(produce(way, tmp_path / "cube.nc", model=tmp_path / "nowhere"))
    given = ("--observations", way.records, "--out", tmp_path / "e")
    assert "nowhere" in refused(run("evaluate", "--model", tmp_path / "nowhere", *given))
    assert "did you mean 'hidden-tenth'" in refused(
        run("evaluate", "--model", way.model, *given, "--protocol", "hidden-tents")
    )
    assert not (tmp_path / "e").exists()


def test_a_bundle_that_exists_is_not_trained_over(way: Any) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in way.model.iterdir()}
    line = refused(run("train", "--observations", way.records, "--out", way.model, "--species", "pm25"))
    assert "--overwrite" in line
    assert {p.name: p.stat().st_mtime_ns for p in way.model.iterdir()} == before


def test_a_cube_that_is_none_is_refused(way: Any, tmp_path: Path) -> None:
    for name in ("cube.nc", "noise.nc"):
        if name == "noise.nc":
            (tmp_path / name).write_bytes(b"no netcdf at all")
        assert name in refused(run("compare", tmp_path / name, "--observations", way.records))
        assert name in refused(run("info", tmp_path / name))
