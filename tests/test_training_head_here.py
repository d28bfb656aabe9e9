"""The spread of a head learned elsewhere follows the errors of the network at hand, as far as other stations agree."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.training.head_here import HeadAnswers, best_share, fit_spread

STATIONS, HOURS, WIDTH = 12, 150, 3
SLOPES = np.array([0.6, 0.0, -0.3])


def answers(slopes: np.ndarray, lasting: float = 0.0, stations: int = STATIONS, seed: int = 0) -> HeadAnswers:
    """Return answers whose errors' logarithmic size follows what the head sees, and what lasts at each station."""
    rng = np.random.default_rng(seed)
    station = np.repeat(np.arange(stations), HOURS)
    # What lasts at a station is seen there as well: a fit that looks at it takes it for what the feature says.
    own = lasting * rng.normal(size=stations)
    hidden = rng.normal(size=(len(station), WIDTH)) * np.array([1.0, 2.0, 0.5])
    hidden[:, 1] += 3 * rng.normal(size=stations)[station]
    whole = rng.normal(size=len(station))
    error = rng.laplace(size=len(station)) * np.exp(hidden @ slopes + own[station])
    return HeadAnswers(
        station, whole + error, whole, np.zeros_like(whole), np.ones_like(whole), hidden[None], hidden[None, ::7]
    )


def test_the_spread_follows_what_errors_follow_and_keeps_its_middle() -> None:
    made = answers(SLOPES)
    fitted = fit_spread(made, 0, 1.0)
    assert fitted is not None
    slopes, more = fitted
    np.testing.assert_allclose(slopes, SLOPES, atol=0.1)
    # On the mean nothing is added but for what the errors elsewhere are larger.
    assert 0.0 <= np.mean(made.hidden[0] @ slopes) + more < 0.1


def test_a_spread_that_nothing_speaks_against_stays() -> None:
    assert fit_spread(answers(0 * SLOPES, lasting=0.5), 0, 1.0) is None


def test_few_answers_or_stations_leave_the_spread() -> None:
    assert fit_spread(answers(SLOPES, stations=4), 0, 1.0) is None
    assert fit_spread(answers(SLOPES, stations=2), 0, 1.0) is None


def test_what_would_change_the_map_far_from_stations_is_dear() -> None:
    near = answers(SLOPES)
    far = HeadAnswers(
        *(getattr(near, name) for name in ("station", "truth", "whole", "start", "scale", "hidden")), 300 * near.around
    )
    here, there = fit_spread(near, 0, 1.0), fit_spread(far, 0, 1.0)
    assert here is not None
    assert there is None or np.abs(there[0]).max() < 0.5 * np.abs(here[0]).max()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_is_the_one_that_is_right_here(share: float) -> None:
    made = answers(SLOPES)
    truth = share * made.whole + 0.01 * (made.truth - made.whole)
    assert (
        best_share(HeadAnswers(made.station, truth, made.whole, made.start, made.scale, made.hidden, made.around))
        == share
    )
