"""Importing in blocks gives the same file as reading everything at once, whatever the blocks and the order of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig, QualityConfig
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.observations import ReadOptions, import_observations, read_observations, readers, time_partitions

COLUMNS = ColumnsConfig(check_clock=False)
# Every test, with reaches short enough for small blocks.
SHORT = {"stuck_hours": 6.0, "plateau_hours": 8.0}
QUALITY = QualityConfig(
    tests=("negative", "above_plausible_range", "stuck", "spike_in_time", "too_little_data"),
    limits={"pm25": SHORT, "co": SHORT, "pm10": SHORT, "so2": SHORT, "no2": SHORT, "o3": SHORT},
)


def _network(hours: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return five stations with gaps, codes, stuck values and spikes in them."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-01 01:00", periods=hours, freq="h")
    frames = []
    for s in range(5):
        pm25 = rng.gamma(4, 10, hours).round(0)
        pm25[rng.integers(0, hours, 4)] = [-999, 5000, 900, 800]
        at = int(rng.integers(0, hours - 20))
        pm25[at : at + 12] = 55
        frame = pd.DataFrame({"station_id": f"s{s}", "time": times, "lat": 40.0 + s, "lon": 116.0, "pm25": pm25})
        frame["co"] = rng.gamma(4, 0.2, hours).round(1)
        frames.append(frame[rng.random(hours) > 0.2])
    return pd.concat(frames, ignore_index=True)


def _write(folder: Path, frame: pd.DataFrame, parts: int) -> Path:
    folder.mkdir()
    for i, part in enumerate(np.array_split(np.random.default_rng(1).permutation(len(frame)), parts)):
        frame.iloc[part].to_csv(folder / f"{i}.csv", index=False)
    return folder


@given(block=st.integers(30, 500), parts=st.integers(1, 4), seed=st.integers(0, 5))
@settings(max_examples=3, deadline=None)
def test_blocks_change_neither_readings_nor_flags_nor_the_report(
    tmp_path_factory: pytest.TempPathFactory, block: int, parts: int, seed: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("import")
    folder = _write(tmp_path / "files", _network(seed=seed), parts)
    options = ReadOptions(quality=QUALITY)
    whole = read_observations(folder, COLUMNS, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "BLOCK_HOURS", block)
        report = import_observations(folder, tmp_path / "obs.nc", COLUMNS, options)
    again = read_observations(tmp_path / "obs.nc")
    assert again.digest() == whole.digest() and not again.report.warnings
    for key in whole.species:
        np.testing.assert_array_equal(again.flags(key), whole.flags(key))
    assert report.flagged == whole.report.flagged and report.readings == whole.report.readings
    assert report.counts == whole.report.counts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["files", "obs.nc"]  # no partitions, nothing half-written


@pytest.mark.parametrize("minutes", [60, 30])
def test_rows_without_a_place_and_rows_that_repeat_count_alike_in_one_block_and_in_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    frame = _network()
    if minutes == 30:
        frame = pd.concat([frame, frame.assign(time=frame["time"] - pd.Timedelta(minutes=30))])
    early = frame[(frame["station_id"] == "s0") & (frame["time"] < "2020-01-03")]
    late = frame[(frame["station_id"] == "s1") & (frame["time"] > "2020-01-12")]
    lost = frame[frame["station_id"] == "s2"].assign(station_id="nowhere", lat=np.nan, lon=np.nan)
    lost["time"] += pd.Timedelta(days=40)  # hours at which no station has a row
    repeats = [early.assign(co=np.nan), late.assign(pm25=late["pm25"] + 1.0)]
    folder = _write(tmp_path / "files", pd.concat([frame, lost]), 2)
    pd.concat(repeats).to_csv(folder / "z.csv", index=False)
    columns = ColumnsConfig(check_clock=False, repeats="last")
    whole = read_observations(folder, columns)
    assert whole.report.counts["rows_without_place"] == len(lost) and whole.report.counts["rows_reissued"] == len(late)
    assert ("hours_averaged" in whole.report.counts) == (minutes == 30)
    monkeypatch.setattr(time_partitions, "GATHERED_ROWS", 300)  # on disk, but for the last rows
    report = import_observations(folder, tmp_path / "obs.nc", columns)
    assert read_observations(tmp_path / "obs.nc").digest() == whole.digest()
    assert report.lines() == whole.report.lines()


def test_a_broken_file_stops_the_import_by_name_or_is_skipped_and_told(tmp_path: Path) -> None:
    folder = _write(tmp_path / "files", _network(), 6)
    raw = (folder / "3.csv").read_bytes()
    (folder / "3.csv").write_bytes(raw[:2000] + b"\xff\xfe\x00" * 50 + raw[2000:])
    with pytest.raises(ObservationsError, match=r"3\.csv is no readable UTF-8 CSV file \(line \d+ holds the byte 0xff"):
        import_observations(folder, tmp_path / "obs.nc", COLUMNS)
    assert not (tmp_path / "obs.nc").exists()
    report = import_observations(folder, tmp_path / "obs.nc", COLUMNS, ReadOptions(skip_broken=True))
    assert report.counts["files_skipped"] == 1 and "3.csv" in report.warnings[0]
    (folder / "3.csv").unlink()
    assert read_observations(tmp_path / "obs.nc").digest() == read_observations(folder, COLUMNS).digest()


def test_nothing_is_replaced_unless_told(tmp_path: Path) -> None:
    folder = _write(tmp_path / "files", _network(60), 1)
    import_observations(folder, tmp_path / "obs.nc", COLUMNS)
    with pytest.raises(OutputError, match=r"obs\.nc exists"):
        import_observations(folder, tmp_path / "obs.nc", COLUMNS)
    import_observations(folder, tmp_path / "obs.nc", COLUMNS, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        import_observations(folder, tmp_path / "no" / "obs.nc", COLUMNS)


def test_progress_names_the_files(tmp_path: Path) -> None:
    seen: list[str] = []
    folder = _write(tmp_path / "files", _network(60), 2)
    import_observations(folder, tmp_path / "o.nc", COLUMNS, progress=lambda done, total, note: seen.append(note))
    assert seen == ["0.csv", "1.csv", "quality control and writing"]
