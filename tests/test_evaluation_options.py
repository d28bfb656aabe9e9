from __future__ import annotations

import pytest

from aqreanalysis.errors import ConfigError
from aqreanalysis.evaluation.options import EvaluationOptions, FoldOptions


def _hidden(*names: str, **options: object) -> list[tuple[str, str]]:
    return [(p.name, p.hours) for p in EvaluationOptions(names, **options).hidden()]  # type: ignore[arg-type]


UNSEEN = [("unseen-time-hidden-tenth", "unseen"), ("unseen-time-leave-city-out", "unseen")]


def test_by_default_the_unseen_hours_are_scored_at_hidden_stations_and_cities() -> None:
    assert [(p.name, p.hours) for p in EvaluationOptions().hidden()] == UNSEEN
    assert _hidden("unseen-time") == UNSEEN


def test_hidden_tenth_and_leave_city_out_score_the_hours_of_training() -> None:
    assert _hidden("leave-city-out", "hidden-tenth") == [("hidden-tenth", "seen"), ("leave-city-out", "seen")]


def test_other_hours_may_be_told_and_go_by_their_name() -> None:
    assert _hidden("hidden-tenth", hours="unseen") == UNSEEN[:1]
    assert _hidden("hidden-tenth", hours="all") == [("hidden-tenth", "all")]
    assert _hidden("hidden-tenth", "unseen-time", hours="unseen") == UNSEEN


def test_all_asks_every_question_once() -> None:
    options = EvaluationOptions(("all",))
    assert [p.name for p in options.hidden()] == ["hidden-tenth", "leave-city-out", *(n for n, _ in UNSEEN)]
    assert "station-folds" in options.names and "forecast" not in options.names


def test_only_station_folds_needs_no_model() -> None:
    assert not EvaluationOptions(("station-folds",)).needs_model
    assert EvaluationOptions(("station-folds", "hidden-tenth")).needs_model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocols": ("hidden-tent",)}, "did you mean 'hidden-tenth'"),
        ({"protocols": ()}, "no protocol is named"),
        ({"protocols": ("forecast",)}, "use evaluate_forecast"),
        ({"every": 0}, "every = 0"),
        ({"hours": "some"}, "choose 'seen', 'unseen' or 'all'"),
        ({"hours": "all"}, "hours = 'all' is for hidden-tenth and leave-city-out"),
    ],
)
def test_what_cannot_be_run_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluationOptions(**options)


def test_folds_that_cannot_be_trained_are_refused() -> None:
    for options, message in (
        ({"folds": 1}, "at least 2"),
        ({"minutes": 0.0}, "more than 0"),
        ({"epochs": 0}, "at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            FoldOptions(**options)
