from __future__ import annotations

from typing import Any

from aqreanalysis.evaluation.verdict import floor_text, verdict


def _scores(ratio: float, low: float | None, high: float | None) -> dict[str, Any]:
    against = {"ratio": ratio, "low": low, "high": high, "best": "log-kriging"}
    methods = {"aq-net": {"title": "AQ-Net"}, "log-kriging": {"title": "kriging of the logarithm"}}
    return {"against_best_baseline": {"mae": against}, "methods": methods}


def test_the_verdict_says_where_each_side_is_best_and_where_neither_was_shown() -> None:
    species = {
        "pm25": {"hidden-tenth": _scores(0.93, 0.90, 0.97), "leave-city-out": _scores(0.99, 0.96, 1.03)},
        "o3": {"hidden-tenth": _scores(1.06, 1.02, 1.09)},
    }
    assert verdict(species) == (
        "Verdict by MAE: AQ-Net is best for PM2.5 hidden-tenth (0.930 [0.900 to 0.970] of that of kriging of the "
        "logarithm); kriging of the logarithm is better than AQ-Net for O3 hidden-tenth (AQ-Net has 1.060 [1.020 to "
        "1.090] of its); no difference shown between AQ-Net and the best baseline for PM2.5 leave-city-out (0.990 "
        "[0.960 to 1.030] of that of kriging of the logarithm)."
    )


def test_without_bounds_no_difference_is_shown() -> None:
    line = verdict({"co": {"hidden-tenth": _scores(0.5, None, None)}})
    assert "no difference shown" in line and "0.500 [no bounds]" in line and "is best" not in line


def test_a_run_without_a_baseline_that_answered_says_so() -> None:
    scores = _scores(0.5, None, None) | {"against_best_baseline": {}}
    assert verdict({"co": {"hidden-tenth": scores}}) == "Verdict by MAE: nothing was scored."


def test_skill_beside_the_floor_is_told_with_what_it_rests_on() -> None:
    floor = {"mae": 6.0, "pairs": 25, "skill": 0.875, "best": "log-kriging"}
    assert floor_text(floor, "ug m-3") == (
        "two instruments side by side differ by 6 ug m-3 each (25 pairs); beside this floor MAE is 0.875 of "
        "log-kriging's"
    )
    assert floor_text(floor | {"skill": None}, "ug m-3").endswith("the best baseline is no worse than that")
