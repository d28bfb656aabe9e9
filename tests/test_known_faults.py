"""The faults that networks of this kind have been shipped with, each asked of the whole path a user takes.

Station files go in, estimates come out; nothing in between is called by hand. The same is asked of the single modules
where they are tested: of the temporal encoder and the predictor, of training (hidden stations and hours held back never
reach it) and of a cube (its forecast hours are flagged).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_case import HISTORY, LOOKAHEAD, make_bundle, make_readings, some_places

from aqreanalysis.evaluation import EvaluationOptions, evaluate, run
from aqreanalysis.evaluation.predict_at_stations import Targets, estimate
from aqreanalysis.model.bundle import write_bundle
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.observations import Observations, from_frame
from aqreanalysis.splits import HIDDEN_TENTH

FORECAST_HOURS = 9
COLUMNS = {"time": "time", "lat": "lat", "lon": "lon"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Six days of twenty stations as a user's table: one row a station and hour, holes where nothing was read."""
    readings = make_readings(days=6)
    hours, stations, _ = readings.values.shape
    return pd.DataFrame(
        {
            "station_id": np.tile([f"s{i:02d}" for i in range(stations)], hours),
            "time": np.repeat(readings.hours.astype("datetime64[h]").astype("datetime64[ns]"), stations),
            "lat": np.tile(readings.lat, hours),
            "lon": np.tile(readings.lon, hours),
            "pm25": readings.values[..., 0].ravel(),
            "o3": readings.values[..., 1].ravel(),
        }
    )


@pytest.fixture(scope="module")
def model() -> AnalysisPredictor:
    return AnalysisPredictor(make_bundle(), "cpu")


@dataclass(frozen=True)
class Field:
    """Estimates at places by pollutant (hour, place), and the stamps they are at."""

    hours: np.ndarray
    best: dict[str, np.ndarray]

    def at(self, hours: np.ndarray, key: str = "pm25") -> np.ndarray:
        """Return the estimates at some stamps."""
        return self.best[key][np.searchsorted(self.hours, hours)]


def ask(model: AnalysisPredictor, table: pd.DataFrame, east: float = 0.0) -> Field:
    """Return the estimates at every hour of `table`, and some beyond it, at places moved by `east` degrees."""
    observations = from_frame(table)
    lat, lon = some_places()
    hours = np.arange(observations.hours[0], observations.hours[-1] + 1 + FORECAST_HOURS)
    estimates = estimate(model, observations, Targets(lat, lon + east, hours, {}))
    return Field(hours, {key: e.best for key, e in estimates.items()})


@pytest.fixture(scope="module")
def field(model: AnalysisPredictor, table: pd.DataFrame) -> Field:
    estimates = ask(model, table)
    # What all tests below rest on: there is something to get wrong in time and in space, and hours after the last
    # reading, which go to the climatology, have least of it.
    assert estimates.best["pm25"].std(axis=0).min() > 1 and estimates.best["pm25"].std(axis=1).min() > 0.5
    return estimates


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest relative difference."""
    return float((np.abs(one - other) / np.maximum(np.abs(other), 1e-3)).max())


def test_the_pollutants_own_history_reaches_the_model(
    model: AnalysisPredictor, table: pd.DataFrame, field: Field
) -> None:
    day = np.sort(table["time"].unique())[3 * 24 :][0]  # the fourth day's first hour: its own readings stay as they are
    history = (table["time"] < day) & (table["time"] >= day - np.timedelta64(HISTORY, "h"))
    changed = table.copy()
    rng = np.random.default_rng(0)
    for _, rows in changed[history].groupby("station_id"):
        changed.loc[rows.index, "pm25"] = rng.permutation(rows["pm25"].to_numpy())
    first = field.hours[0] + 72
    hours = np.arange(first, first + 24)
    # The same numbers in another order; what two equal runs differ by is nothing at all.
    assert difference(ask(model, changed).at(hours), field.at(hours)) > 1e-4
    assert np.array_equal(ask(model, table).best["pm25"], field.best["pm25"])


def test_a_row_that_is_not_there_is_a_reading_that_is_missing(
    model: AnalysisPredictor, table: pd.DataFrame, field: Field
) -> None:
    empty = table.copy()
    some = np.random.default_rng(1).random(len(table)) < 0.2
    empty.loc[some, ["pm25", "o3"]] = np.nan
    left_out = ask(model, empty[~some])
    assert np.array_equal(ask(model, empty).best["pm25"], left_out.best["pm25"])
    assert difference(left_out.best["pm25"], field.best["pm25"]) > 1e-2


@pytest.mark.parametrize("gap", [1, 7, 31])
def test_a_gap_shifts_no_hour(model: AnalysisPredictor, table: pd.DataFrame, field: Field, gap: int) -> None:
    times = np.sort(table["time"].unique())
    begin = 30
    rest = table[~table["time"].isin(times[begin : begin + gap])]
    estimates = ask(model, rest)
    assert np.array_equal(estimates.hours, field.hours)
    # Hours whose window, which is that of their UTC day, does not touch the gap know nothing of it.
    day = (field.hours - field.hours[0]) // 24 * 24
    free = (day - HISTORY >= begin + gap) | (day + 23 + LOOKAHEAD < begin)
    assert free.sum() >= 48
    np.testing.assert_allclose(estimates.best["pm25"][free], field.best["pm25"][free], rtol=1e-5)
    # And those beside it follow their own hour's readings still: no neighbouring hour explains them better.
    after = np.arange(begin + gap, begin + gap + 12)
    logs = {s: np.log(field.best["pm25"][after + s]) for s in (-2, -1, 0, 1, 2)}
    here = np.log(estimates.best["pm25"][after])
    errors = {s: float(np.abs(here - logs[s]).mean()) for s in logs}
    assert min(errors, key=lambda s: errors[s]) == 0


def test_shuffling_rows_and_renaming_stations_changes_nothing(
    model: AnalysisPredictor, table: pd.DataFrame, field: Field
) -> None:
    names = table["station_id"].unique()
    other = dict(zip(names, np.random.default_rng(2).permutation(names), strict=True))
    shuffled = table.assign(station_id=table["station_id"].map(other)).sample(frac=1, random_state=3)
    # Stations are sorted by id: with other names they come in another order.
    assert difference(ask(model, shuffled).best["pm25"], field.best["pm25"]) < 1e-4


def test_moving_every_station_and_place_along_a_parallel_changes_next_to_nothing(
    model: AnalysisPredictor, table: pd.DataFrame, field: Field
) -> None:
    for east in (-7.5, 7.5):
        moved = ask(model, table.assign(lon=table["lon"] + east), east)
        assert difference(moved.best["pm25"], field.best["pm25"]) < 1e-3
    # It is not the place that is ignored: places moved against the stations are other places.
    assert difference(ask(model, table, 0.3).best["pm25"], field.best["pm25"]) > 1e-2


def test_hours_after_the_last_reading_are_estimated_from_those_before_it(
    model: AnalysisPredictor, table: pd.DataFrame, field: Field
) -> None:
    ahead = field.hours[-FORECAST_HOURS:]
    assert np.isfinite(field.at(ahead)).all()
    last_day = table["time"] >= np.sort(table["time"].unique())[-24]
    dirtier = ask(model, table.assign(pm25=table["pm25"].where(~last_day, 3 * table["pm25"])))
    assert (np.abs(dirtier.at(ahead) / field.at(ahead) - 1) > 1e-5).mean() > 0.9
    first_days = field.hours[:48]
    assert np.array_equal(dirtier.at(first_days), field.at(first_days))


def test_hidden_stations_never_reach_an_evaluation(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(make_bundle(("pm25",)), tmp_path / "model")
    roles = make_bundle().stations.set_index("station")["role"]
    hidden = table["station_id"].map(roles == HIDDEN_TENTH)
    noise = np.random.default_rng(4).uniform(1, 300, (len(table), 2)).astype(np.float32)
    noisy = table.copy()
    noisy.loc[hidden, ["pm25", "o3"]] = noise[hidden]
    right = _answers(bundle, from_frame(table), tmp_path / "right", monkeypatch)
    wrong = _answers(bundle, from_frame(noisy), tmp_path / "wrong", monkeypatch)
    assert set(right) == set(wrong)
    observed = [values.pop(("pm25", "observed"))["best"] for values in (right, wrong)]
    assert not np.array_equal(*observed, equal_nan=True) and len(right) >= 5
    assert right[("pm25", "aq-net")]["best"].std() > 1
    for name, answer in right.items():
        for layer, values in answer.items():
            assert np.array_equal(values, wrong[name][layer], equal_nan=True), (name, layer)


def _answers(
    bundle: Path, observations: Observations, out: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Return what `evaluate` had each method answer, by pollutant and method, as it stood before it was scored."""
    heard: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    scored: Callable[..., object] = run.score_task

    def listen(outcome, *rest, **more):
        heard[(outcome.species, "observed")] = {"best": outcome.observed.copy()}
        for method, estimates in outcome.estimates.items():
            layers = ("best", "standard_error", "lower", "upper")
            heard[(outcome.species, method)] = {layer: getattr(estimates, layer).copy() for layer in layers}
        return scored(outcome, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(run, "score_task", listen)
        patch.setattr(run, "draw_pictures", lambda *_, **__: {})
        options = EvaluationOptions(protocols=("hidden-tenth",), hours="unseen", every=2, device="cpu")
        evaluate(bundle, observations, out, options)
    return heard
