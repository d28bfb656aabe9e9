"""What is merged block by block is what is merged at once: grids, flags and every count of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.merging import Hourly, Merger, MergeRules
from aqreanalysis.observations.raw_records import RawRecords, Repeats
from aqreanalysis.observations.report import QualityReport

FIRST, HOURS, IDS, KEYS = 420_000, 60, ["a", "b", "c"], ["pm25", "o3"]


def _records(seed: int, instruments: bool, minutes: int, flagged: bool) -> list[RawRecords]:
    rng = np.random.default_rng(seed)
    batches = []
    for key in (*KEYS, *KEYS):
        rows = 120
        batches.append(
            RawRecords(
                source="made up",
                places=pd.DataFrame(),
                station=rng.integers(0, len(IDS), rows).astype(np.int32),
                end=((FIRST - 1) * 60 + minutes * rng.integers(1, HOURS * 60 // minutes + 1, rows)).astype(np.int32),
                minutes=minutes,
                values={key: rng.integers(1, 4, rows).astype(np.float32)},
                flags={key: np.where(rng.random(rows) < 0.3, Flag.INVALID_AT_SOURCE, 0).astype(np.int8)}
                if flagged
                else {},
                instrument=rng.integers(1, 4, rows) if instruments else None,
            )
        )
    return batches


def _merge(batches: list[RawRecords], blocks: list[tuple[int, int]], rules: MergeRules) -> tuple[Hourly, dict]:
    report = QualityReport()
    hourly = all(records.minutes == 60 and records.instrument is None and not records.flags for records in batches)
    merger = Merger(KEYS, IDS, rules, report, hourly)
    parts = []
    for first, hours in blocks:
        here = [records.where((records.hours >= first) & (records.hours < first + hours)) for records in batches]
        parts.append(merger.merge([records for records in here if len(records.end)], first, hours))
    merger.count(wide=False)
    values = {key: np.concatenate([part.values[key] for part in parts]) for key in KEYS}
    none = {key: [np.zeros(part.values[key].shape, np.int8) for part in parts] for key in KEYS}
    flags = {
        key: np.concatenate([part.flags.get(key, empty) for part, empty in zip(parts, none[key], strict=True)])
        for key in KEYS
    }
    return Hourly(FIRST, values, flags), report.counts


@given(
    seed=st.integers(0, 50),
    instruments=st.booleans(),
    minutes=st.sampled_from([60, 30, 20]),
    flagged=st.booleans(),
    cut=st.integers(1, HOURS - 1),
    repeats=st.sampled_from(["last", "first", "mean"]),
)
@settings(max_examples=40, deadline=None)
def test_blocks_change_nothing(
    seed: int, instruments: bool, minutes: int, flagged: bool, cut: int, repeats: Repeats
) -> None:
    batches, rules = _records(seed, instruments, minutes, flagged), MergeRules(repeats)
    whole, counts = _merge(batches, [(FIRST, HOURS)], rules)
    parts, again = _merge(batches, [(FIRST, cut), (FIRST + cut, HOURS - cut)], rules)
    for key in KEYS:
        np.testing.assert_array_equal(parts.values[key], whole.values[key])
        np.testing.assert_array_equal(parts.flags[key], whole.flags[key])
    assert again == counts and counts["rows_reissued"] > 0
    assert ("gaps_filled_by_second" in counts) == instruments and ("hours_averaged" in counts) == (minutes < 60)


def test_the_simple_way_gives_what_the_sorted_one_does() -> None:
    batches = _records(3, False, 60, False)
    simple, _ = _merge(batches, [(FIRST, HOURS)], MergeRules("last"))
    batches[0].flags["pm25"] = np.zeros(len(batches[0].end), np.int8)  # something is said, and so rows are sorted
    same, _ = _merge(batches, [(FIRST, HOURS)], MergeRules("last"))
    for key in KEYS:
        np.testing.assert_array_equal(simple.values[key], same.values[key])


def test_rows_that_contradict_each_other_are_refused_where_nothing_says_which_counts() -> None:
    with pytest.raises(ObservationsError, match=r"station '[abc]' has pm25 [12] and [23] at .*say which counts"):
        _merge(_records(3, False, 60, False), [(FIRST, HOURS)], MergeRules())
