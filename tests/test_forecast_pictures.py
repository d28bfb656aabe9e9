"""What of its history a forecast lives on: found again where it is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aqreanalysis.forecast.pictures import (
    HistoryInfluence,
    influence_of_history,
    picture_attention,
    picture_history,
)
from aqreanalysis.forecast.report import forecast_section

DAYS, LEADS = 5, 3


def powers() -> np.ndarray:
    """Per cent of the forecast for a per cent of each day: the last day fades, the first comes back."""
    wanted = np.zeros((LEADS, DAYS))
    wanted[:, -1] = (0.8, 0.4, 0.1)
    wanted[2, 0] = 0.3
    return wanted


def forecast(histories: np.ndarray) -> np.ndarray:
    """Answer with the product of the daily means of the second input, each to its power."""
    windows, hours, places, _ = histories.shape
    daily = np.log(np.nanmean(histories[..., 1].reshape(windows, hours // 24, 24, places), axis=2))
    return np.exp(np.einsum("ld,wdp->lwp", powers(), daily))


def some_histories() -> np.ndarray:
    rng = np.random.default_rng(0)
    histories = rng.lognormal(3, 0.5, (4, 24 * DAYS, 6, 2)).astype(np.float32)
    histories[rng.random(histories.shape) < 0.1] = np.nan
    return histories


def test_known_powers_are_found_at_their_lead_and_day() -> None:
    histories = some_histories()
    before = histories.copy()
    influence = influence_of_history(forecast, histories, 1)
    np.testing.assert_allclose(influence.elasticity, powers(), atol=1e-5)
    assert influence.forecasts == 24
    np.testing.assert_array_equal(histories, before)


def test_an_input_that_is_not_read_has_no_influence() -> None:
    np.testing.assert_allclose(influence_of_history(forecast, some_histories(), 0).elasticity, 0, atol=1e-9)


def test_a_forecast_of_nothing_is_no_division_by_zero() -> None:
    influence = influence_of_history(lambda h: np.zeros((LEADS, 4, 6), np.float32), some_histories(), 1)
    np.testing.assert_array_equal(influence.elasticity, 0)


def test_the_picture_says_what_it_shows_and_stands_in_the_section(tmp_path: Path) -> None:
    picture = picture_history("pm25", HistoryInfluence(powers(), 24), tmp_path / "history.png")
    assert "0.80 for the last day, 0.80 for all days together; lead day 3: 0.10 and 0.40" in picture.alt
    assert picture.numbers["history_days"] == [-4, -3, -2, -1, 0]
    with Image.open(picture.path) as image:
        assert image.width > 400
    entry = {"file": "history.png", "caption": picture.caption, "alt": picture.alt, **picture.numbers}
    metrics = {"history_hours": 120, "lead_hours": 72, "unseen_from": "2021-03-09", "every": 24}
    metrics |= {"species": {"pm25": {"notes": [], "history": json.loads(json.dumps(entry))}}}
    section = forecast_section(metrics, tmp_path)
    assert "data:image/png;base64," in section and "This is the whole network" in section
    assert "<img" not in forecast_section(metrics, tmp_path / "elsewhere")


def test_the_attention_is_drawn_by_lead_day_and_stands_behind_it_in_the_section(tmp_path: Path) -> None:
    attention = np.full((LEADS, 2 * DAYS), 0.05, np.float32)
    attention[0, -2:], attention[2, :2] = 0.3, 0.3
    picture = picture_attention("pm25", attention, 12, tmp_path / "attention.png")
    assert "lies 0.60 of lead day 1's attention and 0.10 of lead day 3's; an even share is 0.20" in picture.alt
    assert picture.numbers["step_hours"] == 12 and np.shape(picture.numbers["attention"]) == (LEADS, 2 * DAYS)
    assert "not a learned one" not in picture.caption
    assert "not a learned one" in picture_attention("pm25", attention, 12, tmp_path / "again.png", True).caption
    entry = {"file": "attention.png", "caption": picture.caption, "alt": picture.alt, **picture.numbers}
    metrics = {"history_hours": 120, "lead_hours": 72, "unseen_from": "2021-03-09", "every": 24}
    metrics |= {"species": {"pm25": {"notes": [], "attention": json.loads(json.dumps(entry))}}}
    section = forecast_section(metrics, tmp_path)
    assert section.count("data:image/png;base64,") == 1 and "Attention over the history by lead day" in section


@pytest.mark.parametrize("day", [0, DAYS - 1])
def test_only_the_day_asked_for_is_raised(day: int) -> None:
    asked: list[np.ndarray] = []

    def listen(histories: np.ndarray) -> np.ndarray:
        asked.append(histories)
        return forecast(histories)

    influence_of_history(listen, some_histories(), 1)
    ratio = asked[1 + day] / asked[0]
    known = np.isfinite(ratio)
    raised = np.zeros(ratio.shape, dtype=bool)
    raised[:, 24 * day : 24 * (day + 1), :, 1] = True
    np.testing.assert_allclose(ratio[known], np.where(raised, 1.1, 1.0)[known], rtol=1e-6)
