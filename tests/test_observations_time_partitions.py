"""Rows come back from disk block by block as memory would give them, and of a broken file nothing comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.observations import time_partitions
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.time_partitions import NEVER, TimePartitions

HOUR = 60 * 24 * 365 * 50  # 2019 or so, in minutes
BLOCK = 50


def _batches(seed: int) -> Iterator[tuple[int, RawRecords]]:
    """Yield records of four files with pollutants, periods, flags and instruments of their own."""
    rng = np.random.default_rng(seed)
    for number in range(12):
        rows = int(rng.integers(1, 80))
        ids = [f"s{i}" for i in rng.permutation(6)[:3]]
        keys = [("pm25",), ("o3",), ("pm25", "o3")][number % 3]
        yield (
            number // 3,
            RawRecords(
                source="made up",
                places=pd.DataFrame({"station": ids, "lat": 40.0, "lon": [116.0 + int(name[1]) for name in ids]}),
                station=rng.integers(0, 3, rows).astype(np.int32),
                end=(HOUR + 30 * rng.integers(0, 1000, rows)).astype(np.int32),
                minutes=[60, 30][number % 2],
                values={key: rng.random(rows).astype(np.float32) for key in keys},
                flags={keys[0]: rng.integers(0, 2, rows).astype(np.int8)} if number % 4 == 0 else {},
                instrument=rng.integers(0, 9, rows) if number % 5 == 0 else None,
            ),
        )


def _fill(partitions: TimePartitions, discarded: int | None = None) -> TimePartitions:
    last = 0
    for file, records in _batches(7):
        if file != last and last == discarded:
            partitions.discard_file(last)
        partitions.append(file, records)
        last = file
    return partitions


def _columns(records: RawRecords) -> list[tuple[str, np.ndarray]]:
    extra = [] if records.instrument is None else [("instrument", records.instrument)]
    return [("station", records.station), ("end", records.end), *records.values.items(), *records.flags.items(), *extra]


@pytest.mark.parametrize("gathered", [1, 200, 10_000])
@pytest.mark.parametrize("discarded", [None, 1])
def test_rows_come_back_as_they_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gathered: int, discarded: int | None
) -> None:
    monkeypatch.setattr(time_partitions, "GATHERED_ROWS", gathered)
    whole = _fill(TimePartitions(), discarded)
    table = whole.station_table()
    index = np.append(np.arange(len(table)), -1).astype(np.int32)
    expected = list(whole.read_block(0, index))
    with _fill(TimePartitions(tmp_path, BLOCK), discarded) as partitions:
        pd.testing.assert_frame_equal(partitions.station_table(), table)
        hours, unplaced = partitions.hours(index)
        np.testing.assert_array_equal(hours, whole.hours(index)[0])
        assert unplaced == 0 and len(list(partitions.forms())) == len(expected)
        for number, first, last in partitions.blocks(int(hours[0]), int(hours[-1])):
            inside = [records.where((records.hours >= first) & (records.hours <= last)) for records in expected]
            inside = [records for records in inside if len(records.end)]
            read = list(partitions.read_block(number, index))
            assert len(read) == len(inside)
            for one, other in zip(read, inside, strict=True):
                assert one.minutes == other.minutes and list(one.flags) == list(other.flags)
                for (name, column), (_, right) in zip(_columns(one), _columns(other), strict=True):
                    np.testing.assert_array_equal(column, right, err_msg=name)
        assert bool(list(tmp_path.glob(".observations-*/*/*.parquet"))) == (gathered < 10_000)
    assert not list(tmp_path.iterdir())


def test_rows_whose_place_is_nowhere_count_and_give_no_hour() -> None:
    partitions = _fill(TimePartitions())
    table = partitions.station_table()
    index = np.where(table["station"] == "s1", 0, -1)
    hours, unplaced = partitions.hours(np.append(index, -1).astype(np.int32))
    rows = [records.station[index[records.station] == 0] for records in partitions.forms()]
    assert unplaced == sum(len(records.end) for records in partitions.forms()) - sum(map(len, rows)) > 0
    assert len(hours) <= sum(map(len, rows))


def test_places_of_a_broken_file_alone_are_no_stations() -> None:
    partitions = TimePartitions()
    for file, name in ((0, "broken"), (1, "fine")):
        places = pd.DataFrame({"station": [name], "lat": [40.0], "lon": [116.0 + file]})
        values = {"pm25": np.ones(1, np.float32)}
        partitions.append(file, RawRecords("", places, np.zeros(1, np.int32), np.full(1, HOUR, np.int32), 60, values))
        if name == "broken":
            partitions.discard_file(file)
    table = partitions.station_table()
    assert table["station"].isna().tolist() == [True, False] and table["since"].tolist() == [NEVER, HOUR]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".observations-abc.partitions"
    left.mkdir()
    (left / "0.parquet").write_bytes(b"rows")
    with TimePartitions(tmp_path):
        assert not left.exists() and len(list(tmp_path.iterdir())) == 1
        with TimePartitions(tmp_path):
            assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []
