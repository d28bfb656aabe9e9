from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from aqreanalysis.errors import ConfigError
from aqreanalysis.evaluation import EvaluationOptions
from aqreanalysis.evaluation.baselines import StationField, StationHistory, build_optional_baselines, deepsensor

HOURS, STATIONS = 120, 40


def _network(seed: int = 0) -> tuple[StationField, np.ndarray, np.ndarray]:
    """Return stations that read a smooth field which changes from hour to hour, and the truth at three places."""
    rng = np.random.default_rng(seed)
    lat, lon = 36 + rng.uniform(0, 2, STATIONS + 3), 112 + rng.uniform(0, 2, STATIONS + 3)
    slope, level = rng.normal(0, 0.5, (2, HOURS, 1)), rng.normal(3.5, 0.3, (HOURS, 1))
    truth = np.exp(level + slope[0] * (lat - 37) + slope[1] * (lon - 113))
    values = (truth * np.exp(rng.normal(0, 0.05, truth.shape))).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    stamps = np.arange(HOURS) + 430_000
    places = lat[:STATIONS], lon[:STATIONS]
    values = values[:, :STATIONS]
    record = StationHistory(430_000, values)
    network = StationField(*places, values.astype(float), np.arange(STATIONS) // 2, stamps, record)
    return network, np.stack((lat[STATIONS:], lon[STATIONS:])), truth[:, STATIONS:]


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no further baseline 'deepsensors': there is deepsensor; did you mean"):
        EvaluationOptions(optional_baselines=("deepsensors",))


def test_without_the_package_it_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed; install it with pip install 'aqreanalysis\[deepsensor\]'"):
        EvaluationOptions(optional_baselines=("deepsensor",))


def test_no_run_trains_it_unless_asked() -> None:
    assert build_optional_baselines(EvaluationOptions().optional_baselines) == []


def test_stations_of_a_city_are_kept_back_together_and_about_a_tenth_of_all() -> None:
    groups = np.repeat(np.arange(30), np.arange(30) % 4 + 1)
    for seed in range(10):
        apart = deepsensor._held_back(groups, np.random.default_rng(seed))
        assert not set(groups[apart]) & set(groups[~apart])
        assert 0.05 < apart.mean() < 0.16


def test_a_network_of_one_city_keeps_nobody_back() -> None:
    with pytest.raises(ConfigError, match="too many of the stations"):
        deepsensor._held_back(np.zeros(12, dtype=np.int64), np.random.default_rng(0))


def test_tasks_ask_for_whole_groups_and_show_none_of_them() -> None:
    pytest.importorskip("deepsensor")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 24)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    where, groups = rng.normal(size=(2, 24)).astype(np.float32), np.arange(24) // 3
    tasks = deepsensor._tasks(values, where, groups, rng)
    for _ in range(20):
        task = next(tasks)
        shown, asked = ({tuple(x) for x in task[k][0].T} for k in ("X_c", "X_t"))
        at = [{groups[i] for i in range(24) if tuple(where[:, i]) in places} for places in (shown, asked)]
        assert not at[0] & at[1] and len(asked) == 3
        assert np.isfinite(task["Y_c"][0]).all() and np.isfinite(task["Y_t"][0]).all()


@pytest.mark.slow
def test_training_finds_the_field_and_every_hour_that_was_read_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("deepsensor")
    small = {"_CHANNELS": (16, 16), "_LOOK_EVERY": 20, "_PATIENCE": 2, "_LOOK_HOURS": 8, "_LEARNING_RATE": 3e-3}
    for name, value in small.items():
        monkeypatch.setattr(deepsensor, name, value)
    network, places, truth = _network()
    (baseline,) = build_optional_baselines(("deepsensor",), minutes=4.0)
    tuned = baseline.tune(network)
    assert tuned["steps"] > 20 and tuned["kept_back"] >= 2
    told = baseline.predict(network, *places)
    # What a normal distribution of all standardised readings scores is log(2 pi e) / 2 = 1.42.
    assert tuned["best_loss"] < 0.9
    assert np.abs(told.best - truth).mean() < 0.5 * np.abs(np.median(truth) - truth).mean()
    assert told.best.shape == truth.shape and (told.standard_error > 0).all()
    assert 0.01 < baseline.left_out_pit.std() < 0.5
    silent = StationField(
        network.lat, network.lon, np.full((2, STATIONS), np.nan), network.groups, network.hours, network.history
    )
    assert np.isnan(baseline.predict(silent, *places).best).all()
