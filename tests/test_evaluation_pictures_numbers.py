"""What the pictures of an evaluation show, checked in numbers on an result whose errors are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation import PROTOCOLS
from aqreanalysis.evaluation.metrics import score_task
from aqreanalysis.evaluation.pictures.classes import coverage_by_class, picture_classes
from aqreanalysis.evaluation.pictures.cycles import mean_by, picture_cycles
from aqreanalysis.evaluation.pictures.draw import draw_pictures
from aqreanalysis.evaluation.pictures.reliability import picture_pit, picture_reliability
from aqreanalysis.evaluation.pictures.series import _draw, _station, picture_series, ranked_stations
from aqreanalysis.evaluation.pictures.skill import picture_density, picture_distance, picture_errors, station_rmse
from aqreanalysis.evaluation.pictures.style import figures_of, legend_above, method_styles, new_figure
from aqreanalysis.evaluation.predict_at_stations import Estimates
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.strata import hour_of_day
from aqreanalysis.model.bundle import MODEL

FIRST = 429_529  # 2019-01-01 01:00 UTC
DAYS, POINTS = 40, 5


def _estimates(hours: np.ndarray, best: np.ndarray, pit: np.ndarray) -> Estimates:
    best = best.astype(np.float32)
    spread = np.full_like(best, 5)
    known = {"best": best, "standard_error": spread, "lower": np.maximum(best - 8, 0), "upper": best + 8}
    known |= {"hours": hours, "crps": spread / 4, "pit": pit.astype(np.float32)}
    return Estimates(**(dict.fromkeys(Estimates.__dataclass_fields__, np.full_like(best, np.nan)) | known))


@pytest.fixture(scope="module")
def result() -> TaskResult:
    """Station i is wrong by i + 1 up and down in turn, and by 6 more in the solar hours 6 to 11 of each day."""
    hours = np.arange(FIRST, FIRST + 24 * DAYS)
    rng = np.random.default_rng(1)
    lon = np.full(POINTS, 105.0)
    observed = (60 + 30 * np.sin(hours / 40)[:, None] + rng.normal(0, 5, (len(hours), POINTS))).astype(np.float32)
    sign = np.where(np.arange(len(hours)) % 48 < 24, 1.0, -1.0)[:, None]
    morning = 6.0 * ((hour_of_day(hours, lon) >= 6) & (hour_of_day(hours, lon) < 12))
    best = observed + sign * np.arange(1, POINTS + 1) + morning
    observed[rng.random(observed.shape) < 0.1] = np.nan
    observed[:, 4] = np.nan
    observed[5:9, 4] = 50.0  # too few readings to be called the worst
    pit = np.where(np.isfinite(observed), rng.random(observed.shape), np.nan)
    return TaskResult(
        protocol=PROTOCOLS["hidden-tenth"],
        species="pm25",
        stations=[f"s{i}" for i in range(POINTS)],
        lat=np.linspace(30, 31, POINTS),
        lon=lon,
        nearest_km=np.array([1.0, 7.0, 7.0, 30.0, 300.0]),
        visible_lat=np.array([30.2, 30.4]),
        visible_lon=np.array([104.0, 106.0]),
        hours=hours,
        observed=observed,
        estimates={
            MODEL: _estimates(hours, best, pit),
            "kriging": _estimates(hours, best + 4, pit**2),
        },
        titles={MODEL: "AQ-Net", "kriging": "kriging"},
        tuned={},
    )


def test_the_map_shows_each_stations_root_mean_squared_error(result, tmp_path):
    error, count = station_rmse(result, MODEL)
    e = result.estimates[MODEL].best[:, 2] - result.observed[:, 2]
    assert error[2] == pytest.approx(np.sqrt(np.nanmean(e**2)))
    shown = picture_errors(result, tmp_path / "a.png").numbers
    assert shown["rmse"] == sorted(shown["rmse"]) and sum(shown["n"]) == count.sum()
    assert shown["rmse"][shown["station"].index("s2")] == pytest.approx(error[2], abs=1e-4)


def test_best_median_and_worst_are_told_apart_and_a_station_of_few_readings_is_none(result, tmp_path):
    picked = {name: i for name, (i, _) in ranked_stations(result).items()}
    assert picked == {"best": 0, "median": 2, "worst": 3}
    drawn = picture_series(result, tmp_path / "a.png")
    assert drawn is not None and drawn.numbers["worst"]["station"] == "s3"
    assert len(drawn.numbers["best"]["best"]) == 240


def test_a_line_is_broken_where_hours_are_missing(result, tmp_path):
    present = np.r_[0:30, 60:90]
    fewer = {m: _cut(e, present) for m, e in result.estimates.items()}
    drawn = picture_series(
        replace(result, hours=result.hours[present], observed=result.observed[present], estimates=fewer),
        tmp_path / "a.png",
    )
    assert drawn is not None
    best, time = np.array(drawn.numbers["best"]["best"]), np.array(drawn.numbers["best"]["time"])
    assert np.flatnonzero(np.isnan(best)).tolist() == [30] and (np.diff(time) > 0).all()


def _cut(estimates: Estimates, rows: np.ndarray) -> Estimates:
    return Estimates(**{k: getattr(estimates, k)[rows] for k in Estimates.__dataclass_fields__})


def test_a_bias_that_comes_back_each_morning_is_seen_at_its_solar_hours(result, tmp_path):
    shown = picture_cycles(result, tmp_path / "a.png").numbers
    bias = np.array(shown["bias_by_solar_hour"][MODEL])
    assert bias[6:12].min() > 4.5 and np.abs(np.delete(bias, range(6, 12))).max() < 1.5
    months = np.array(shown["bias_by_month"]["kriging"])
    assert np.isfinite(months).tolist() == [True, True] + [False] * 10
    whole = np.nanmean(result.estimates["kriging"].best - result.observed)
    assert min(months[:2]) <= whole <= max(months[:2])


def test_the_mean_of_an_empty_class_is_unknown():
    means = mean_by(np.array([1.0, 3.0, np.nan]), np.array([0, 0, 1]), 3)
    np.testing.assert_array_equal(means, [2.0, np.nan, np.nan])


def test_reliability_and_pit_tell_a_true_distribution_from_a_wrong_one(result, tmp_path):
    shown = picture_reliability(result, tmp_path / "a.png").numbers
    nominal = np.array(shown["nominal"])
    assert np.abs(np.array(shown["measured"][MODEL]) - nominal).max() < 0.03
    assert np.abs(np.array(shown["measured"]["kriging"]) - nominal).max() > 0.05
    pit = picture_pit(result, tmp_path / "b.png").numbers
    assert sum(pit["counts"]) == int(np.isfinite(result.observed).sum())


def test_an_interval_that_fails_in_one_class_is_seen_there(result, tmp_path):
    pit = result.estimates[MODEL].pit.copy()
    pit[:, 0] = np.where(np.isfinite(pit[:, 0]), 0.999, np.nan)  # the one station within 5 km
    wrong = replace(result, estimates=result.estimates | {MODEL: replace(result.estimates[MODEL], pit=pit)})
    near, far = (
        coverage_by_class(wrong, MODEL)["distance to the nearest visible station"][n] for n in ("0-5 km", "5-10 km")
    )
    assert near == 0 and far == pytest.approx(0.9, abs=0.04)
    drawn = picture_classes(result, tmp_path / "a.png")
    assert drawn is not None
    assert len(drawn.numbers["measured"][MODEL]["hour of the day (mean solar time)"]) == 24
    assert list(drawn.numbers["measured"][MODEL]["season"]) == ["DJF"]


def test_no_line_runs_across_a_class_of_distance_with_too_few_readings(result, tmp_path):
    shown = picture_distance(result, tmp_path / "a.png").numbers
    assert shown["classes"] == ["0-5 km", "5-10 km", "10-25 km", "25-50 km"] and shown["stations"] == [1, 2, 0, 1]
    errors = shown["mae"][MODEL]
    assert np.isnan(errors[2]) and errors[0] < errors[1] < errors[3]


def test_hours_that_were_scored_one_in_five_are_points_and_not_a_line(result, tmp_path):
    fifth = np.arange(0, len(result.hours), 5)
    fewer = {m: _cut(e, fifth) for m, e in result.estimates.items()}
    part = replace(result, hours=result.hours[fifth], observed=result.observed[fifth], estimates=fewer)
    drawn = picture_series(part, tmp_path / "a.png")
    assert drawn is not None and not np.isnan(drawn.numbers["best"]["best"]).any()
    station = _station(part, slice(0, 40), 0)
    axes = new_figure(3).subplots()
    _draw(axes, station["time"].astype("datetime64[h]"), station, apart=True)
    assert [line.get_linestyle() for line in axes.lines] == ["None", "None"] and len(
        axes.collections[0].get_paths()
    ) == 40


def test_a_legend_of_many_long_names_stays_inside_its_picture():
    figure = new_figure(3)
    axes = figure.subplots()
    for number in range(8):
        axes.plot([0, 1], label=f"space-time kriging of the logarithm, variant {number}")
    legend_above(figure)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert len(figure.legends) == 1 and box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_the_density_counts_every_pair_once_for_the_model_and_the_best_baseline(result, tmp_path):
    drawn = picture_density(result, tmp_path / "a.png")
    assert drawn.numbers["methods"] == [MODEL, "kriging"]
    for counts in drawn.numbers["station_hours"].values():
        assert np.sum(counts) == np.isfinite(result.observed).sum()


def test_an_outcome_without_a_reading_is_drawn_as_far_as_there_is_anything(result, tmp_path):
    nothing = np.full_like(result.observed, np.nan)
    empty = {m: replace(e, pit=nothing, crps=nothing) for m, e in result.estimates.items()}
    drawn = draw_pictures([replace(result, observed=nothing, estimates=empty)], tmp_path)["pm25 hidden-tenth"]
    assert not {"series", "classes"} & {p.name for p in drawn}
    assert all(p.path.is_file() and p.alt for p in drawn)


def test_methods_beyond_the_colours_are_still_told_apart():
    styles = method_styles([MODEL, *(f"m{i}" for i in range(12))])
    assert len({(s["color"], s["marker"], s.get("linestyle")) for s in styles.values()}) == 13


def test_a_figure_for_a_sentence_has_three_digits():
    assert [figures_of(v) for v in (1234.5, 0.012345, 10.0, float("nan"), None)] == [
        "1234",
        "0.0123",
        "10.0",
        "unknown",
        "unknown",
    ]


def test_a_picture_that_cannot_be_written_is_told(result, tmp_path: Path):
    with pytest.raises(OutputError, match="cannot write"):
        picture_pit(result, tmp_path / "no" / "x.png")


def test_a_method_that_answers_nothing_takes_nothing_from_the_others_and_is_named(result):
    mute = _estimates(result.hours, np.full_like(result.observed, np.nan), np.full_like(result.observed, np.nan))
    more = replace(
        result,
        estimates=result.estimates | {"climatology": mute},
        titles=result.titles | {"climatology": "climatology"},
    )
    assert more.silent == ["climatology"] and result.silent == []
    np.testing.assert_array_equal(more.answered, result.answered)
    scored, alone = score_task(more), score_task(result)
    assert scored["methods"]["climatology"]["overall"]["n"] == 0
    for name in (MODEL, "kriging"):
        assert scored["methods"][name]["overall"] == pytest.approx(alone["methods"][name]["overall"], nan_ok=True)
    assert scored["against_best_baseline"] == alone["against_best_baseline"]
