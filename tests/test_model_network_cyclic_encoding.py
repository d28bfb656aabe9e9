"""Time on circles."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from aqreanalysis.model.network.cyclic_encoding import CyclicEncoding

encode = CyclicEncoding()
DAY, WEEK, YEAR = [0, 3], [1, 4], [2, 5]


def hours(*stamps: str) -> torch.Tensor:
    return torch.tensor([int(pd.Timestamp(s).timestamp()) // 3600 for s in stamps])


@pytest.mark.parametrize("circle", [DAY, WEEK, YEAR])
def test_every_circle_has_radius_one(circle):
    points = encode(torch.arange(420_000, 440_000, 37))[:, circle]
    torch.testing.assert_close(points.norm(dim=1), torch.ones(len(points)))


def test_the_step_from_23_to_0_is_as_long_as_any_other_hour():
    points = encode(hours("2019-05-01 00:00") + torch.arange(49))[:, DAY]
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert steps.max() - steps.min() < 1e-6 and steps.min() > 0.2


def test_the_step_from_sunday_to_monday_is_as_long_as_any_other_hour():
    points = encode(hours("2019-05-01 00:00") + torch.arange(24 * 8))[:, WEEK]
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert steps.max() - steps.min() < 1e-6 and steps.min() > 0.03


def test_new_year_is_no_jump():
    before, after = encode(hours("2018-12-31 23:00", "2019-01-01 01:00"))[:, YEAR]
    assert (before - after).norm() < 0.002


def test_the_week_begins_on_monday():
    monday, next_monday = encode(hours("2019-05-06 00:00", "2024-02-05 00:00"))
    for point in (monday, next_monday):
        torch.testing.assert_close(point[WEEK], torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)


def test_equal_hours_of_different_days_share_the_day_circle_but_not_the_week():
    one, two = encode(hours("2019-05-06 07:00", "2019-05-07 07:00"))
    torch.testing.assert_close(one[DAY], two[DAY])
    assert (one[WEEK] - two[WEEK]).norm() > 0.5


def test_the_last_hours_of_this_century_are_still_told_apart():
    one, two = encode(hours("2099-12-31 22:00", "2099-12-31 23:00"))
    assert abs(float((one - two)[DAY].norm()) - 0.2610524) < 1e-5
    assert encode(torch.zeros(2, 3, dtype=torch.int64)).shape == (2, 3, 6)
    assert encode(torch.zeros(1, dtype=torch.int64)).dtype == torch.float32
