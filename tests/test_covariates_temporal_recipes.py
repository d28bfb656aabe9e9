from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.covariates.temporal_recipes import INSTANT, MEAN, SUM, make_hourly_weights


def time_steps(*rows: tuple[int, int, int, int]) -> pd.DataFrame:
    """Return time steps from (run, start, end, kind)."""
    return pd.DataFrame(
        [
            {"file": 0, "where": i, "number": i + 1, "run": r, "start": s, "end": e, "kind": k}
            | {"early": False, "forecast": e > r}
            for i, (r, s, e, k) in enumerate(rows)
        ]
    )


def values(table: pd.DataFrame, held: list[float], max_step: int = 3) -> dict[int, float]:
    """Return the value of each hour from what the time steps hold."""
    hourly_weights = make_hourly_weights(table, max_step)
    return dict(zip(hourly_weights.hours.tolist(), (hourly_weights.weights @ np.array(held)).tolist(), strict=True))


def test_a_mean_counts_for_every_hour_of_its_period_and_the_shorter_one_goes_first() -> None:
    table = time_steps((0, 0, 6, MEAN), (0, 3, 6, MEAN), (0, 6, 7, MEAN))
    assert values(table, [1.0, 2.0, 3.0]) == {1: 1.0, 2: 1.0, 3: 1.0, 4: 2.0, 5: 2.0, 6: 2.0, 7: 3.0}


def test_holes_are_bridged_up_to_the_largest_step_and_no_further() -> None:
    table = time_steps(*((h, h, h, INSTANT) for h in (0, 2, 6)))
    assert values(table, [0.0, 2.0, 6.0]) == {0: 0.0, 1: 1.0, 2: 2.0, 6: 6.0}
    assert values(table, [0.0, 2.0, 6.0], 4)[5] == pytest.approx(5.0)
    hourly_weights = make_hourly_weights(table, 3)
    assert hourly_weights.missing.tolist() == [3, 4, 5] and hourly_weights.bridged == 1


def test_no_slots_and_a_row_asked_for_beyond_the_hours_are_no_error() -> None:
    hourly_weights = make_hourly_weights(time_steps((0, 0, 20, SUM)), 3)
    assert hourly_weights.hours.size == 0 and hourly_weights.unusable == 1
    assert hourly_weights.rows(np.array([5]))[1].tolist() == [False]


@settings(max_examples=50, deadline=None)
@given(
    rain=st.lists(st.floats(0, 50), min_size=2, max_size=48),
    reset=st.integers(3, 24),
    order=st.randoms(use_true_random=False),
)
def test_breaking_up_running_sums_gives_back_the_hourly_amounts(rain: list[float], reset: int, order: object) -> None:
    rows, held = [], []
    for h, _ in enumerate(rain):
        run = h // reset * reset
        rows.append((run, run, h + 1, SUM))
        held.append(sum(rain[run : h + 1]))
    index = list(range(len(rows)))
    order.shuffle(index)  # type: ignore[attr-defined]
    broken_up = values(time_steps(*(rows[i] for i in index)), [held[i] for i in index], 1)
    assert list(broken_up) == list(range(1, len(rain) + 1))
    assert list(broken_up.values()) == pytest.approx(rain, abs=1e-9)
