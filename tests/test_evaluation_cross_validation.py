from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, ObservationsError, OutputError
from aqreanalysis.evaluation import EvaluationOptions, FoldOptions, cross_validation, evaluate
from aqreanalysis.evaluation.cross_validation import draw_city_folds, draw_folds, fold_config, run_folds
from aqreanalysis.evaluation.run import Asked, without_others
from aqreanalysis.model import read_bundle, write_bundle
from aqreanalysis.observations import Observations, StationPlaces

pytest_plugins = ("evaluation_case",)


class _Trainer:
    """Makes the untrained bundle a fold's, with the fold's own split, and keeps what it was given."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.given: list[tuple[Observations, Config]] = []
        self.fails_at = 99

    def __call__(self, observations: Observations, config: Config, out: Path, progress: Any) -> Path:
        from aqreanalysis.splits import draw_split

        if len(self.given) == self.fails_at:
            raise KeyboardInterrupt
        self.given.append((observations, config))
        bundle = read_bundle(self.bundle)
        split = draw_split(observations, config.split)
        bundle.stations = split.to_frame()
        bundle.provenance |= {"unseen_from": str(split.unseen_from)}
        return write_bundle(bundle, out)


@pytest.fixture(scope="module")
def particles(town_network: Observations) -> Observations:
    places = StationPlaces(town_network.stations, town_network.lat, town_network.lon, town_network.city)
    return Observations.from_arrays(town_network.times, places, {"pm25": town_network.values("pm25")})


@pytest.fixture(scope="module")
def config(small_config: Config) -> Config:
    return small_config.model_copy(update={"species": ["pm25"]})


def _options(trainer: _Trainer | None, **folds: Any) -> EvaluationOptions:
    return EvaluationOptions(("station-folds",), every=11, device="cpu", folds=FoldOptions(trainer, folds=2, **folds))


def test_each_station_is_in_one_fold_whatever_their_order() -> None:
    stations = [f"s{i:02d}" for i in range(23)]
    fold = draw_folds(stations, 5, seed=3)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    assert (draw_folds(stations[::-1], 5, seed=3) == fold[::-1]).all()
    assert (draw_folds(stations, 5, seed=4) != fold).any()
    with pytest.raises(ObservationsError, match="3 stations for 5 folds"):
        draw_folds(stations[:3], 5, seed=0)


def test_each_city_is_in_one_fold_whatever_the_order_and_the_folds_are_even() -> None:
    city = [f"c{i % 7}" for i in range(21)] + ["big"] * 9
    fold = draw_city_folds(city, 3, seed=1)
    assert all(len(set(fold[np.array(city) == name])) == 1 for name in set(city))
    assert sorted(np.bincount(fold)) == [9, 9, 12]
    assert (draw_city_folds(city[::-1], 3, seed=1) == fold[::-1]).all()
    assert (draw_city_folds(city, 3, seed=2) != fold).any()
    with pytest.raises(ObservationsError, match="8 cities for 9 folds"):
        draw_city_folds(city, 9, seed=1)


def test_folds_by_city_hide_every_city_whole_and_tune_baselines_by_city(
    untrained_bundle: Path, particles: Observations, config: Config, tmp_path: Path
) -> None:
    trainer = _Trainer(untrained_bundle)
    options = EvaluationOptions(("city-folds",), every=29, device="cpu", folds=FoldOptions(trainer, config, 2))
    metrics = evaluate(None, particles, tmp_path, options)
    assert particles.city is not None
    for seen, _ in trainer.given:
        hidden = set(particles.stations) - set(seen.stations)
        away = {particles.city[particles.stations.index(s)] for s in hidden}
        assert hidden and not away & set(seen.city or ())
    fold = metrics["species"]["pm25"]["city-folds"]
    assert fold["stations"] == 36 and "folds by city" in fold["notes"][0]
    assert (tmp_path / "city-folds" / "fold-2" / "answers.json").is_file()


def test_a_fold_holds_nothing_else_back_and_keeps_the_limits_it_is_given(small_config: Config) -> None:
    fold = fold_config(small_config, FoldOptions(minutes=4.0, epochs=3))
    assert (fold.split.hidden_stations, fold.split.hidden_cities, fold.split.unseen_time) == (0, 0, 0)
    assert fold.split.calibration_stations == small_config.split.calibration_stations
    assert (fold.training.max_minutes, fold.training.epochs) == (4.0, 3)
    assert fold_config(small_config, FoldOptions()).training == small_config.training


@pytest.fixture(scope="module")
def run(
    untrained_bundle: Path, particles: Observations, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], _Trainer]:
    """A run that is stopped in its second fold, and goes on."""
    out, trainer = tmp_path_factory.mktemp("folds"), _Trainer(untrained_bundle)
    trainer.fails_at = 1
    with pytest.raises(KeyboardInterrupt):
        evaluate(None, particles, out, _options(trainer, config=config))
    assert not (out / "metrics.json").exists()
    trainer.fails_at = 99
    metrics = evaluate(None, particles, out, _options(trainer, config=config))
    return out, metrics, trainer


def test_a_stopped_run_goes_on_with_the_fold_it_stopped_in(run: tuple[Path, dict[str, Any], _Trainer]) -> None:
    _, _, trainer = run
    assert len(trainer.given) == 2


def test_no_fold_is_trained_with_its_own_stations_and_every_station_is_scored(
    run: tuple[Path, dict[str, Any], _Trainer], particles: Observations
) -> None:
    out, metrics, trainer = run
    for number, (seen, _) in enumerate(trainer.given, start=1):
        answers = json.loads((out / "folds" / f"fold-{number}" / "answers.json").read_text())
        assert not set(answers["stations"]) & set(seen.stations)
        assert set(answers["stations"]) | set(seen.stations) == set(particles.stations)
    fold = metrics["species"]["pm25"]["station-folds"]
    assert fold["stations"] == 36 and set(fold["methods"]) >= {"aq-net", "log-kriging", "space-time-kriging"}
    known = int(np.isfinite(particles.values("pm25")[particles.hours % 11 == 0]).sum())
    assert fold["station_hours_observed"] == known
    assert fold["methods"]["aq-net"]["overall"]["n"] > 0.95 * known
    assert set(fold["methods"]["kriging"]["tuned"]) == {"fold 1", "fold 2"}
    assert "station-folds" in (out / "report.html").read_text()


def test_pooled_answers_stand_at_their_own_stations(
    run: tuple[Path, dict[str, Any], _Trainer], particles: Observations, config: Config
) -> None:
    out, _, trainer = run
    result = next(iter(run_folds(particles, config, out / "folds", _options(trainer))))
    at = [particles.stations.index(s) for s in result.stations]
    rows = result.hours - particles.first_hour
    assert np.array_equal(result.observed, particles.values("pm25")[rows][:, at], equal_nan=True)
    assert result.lat.tolist() == particles.lat[at].tolist()
    first = json.loads((out / "folds" / "fold-1" / "answers.json").read_text())
    visible = [particles.stations.index(s) for s in first["visible"]]
    km = distance_matrix_km(result.lat[:1], result.lon[:1], particles.lat[visible], particles.lon[visible])
    assert result.nearest_km[0] == pytest.approx(km.min())


def test_folds_of_another_draw_are_refused_and_begun_anew_only_if_told(
    run: tuple[Path, dict[str, Any], _Trainer], particles: Observations, config: Config, tmp_path: Path
) -> None:
    work = tmp_path / "folds"
    shutil.copytree(run[0] / "folds", work)
    with pytest.raises(OutputError, match="folds with other seed"):
        next(iter(run_folds(particles, config, work, _options(run[2], seed=7))))
    with pytest.raises(OutputError, match="folds with other config"):
        next(iter(run_folds(particles, config, work, _options(run[2], epochs=2))))
    assert (work / "fold-1" / "answers.json").exists()


def test_what_station_folds_need_is_said(particles: Observations, config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whose config is used, or a config"):
        evaluate(None, particles, tmp_path / "a", _options(None))
    with pytest.raises(ConfigError, match="FoldOptions\\(train="):
        evaluate(None, particles, tmp_path / "b", _options(None, config=config))
    with pytest.raises(ConfigError, match="asks a trained model"):
        evaluate(None, particles, tmp_path / "c", EvaluationOptions(("hidden-tenth", "station-folds")))


@pytest.mark.parametrize("harmed", ["answers.json", "pm25.npz"])
def test_answers_of_a_fold_that_were_damaged_are_refused_with_their_folder(harmed: str, tmp_path: Path) -> None:
    fields = {f"ours/{name}": np.zeros(3, np.float32) for name in cross_validation._FIELDS}
    np.savez(tmp_path / "pm25.npz", observed=np.zeros(3, np.float32), hours=np.arange(3), **fields)
    (tmp_path / "answers.json").write_text('{"stations": [], "visible": [], "tuned": {}, "levels": {}}')
    assert cross_validation._said(tmp_path)["tuned"] == {}
    assert cross_validation._answers_of(tmp_path, "pm25", ["ours"])["hours"].tolist() == [0, 1, 2]
    data = bytearray((tmp_path / harmed).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / harmed).write_bytes(data[: len(data) // 2 + 1])
    with pytest.raises(OutputError, match="delete that folder"):
        cross_validation._said(tmp_path)
        cross_validation._answers_of(tmp_path, "pm25", ["ours"])


def test_a_pollutant_that_few_stations_read_is_scored_in_the_folds_that_can(
    untrained_bundle: Path, particles: Observations, config: Config, tmp_path: Path
) -> None:
    def read_at(stations: Any) -> Observations:
        values = particles.values("pm25").copy()
        values[:, ~stations] = np.nan
        places = StationPlaces(particles.stations, particles.lat, particles.lon, particles.city)
        return Observations.from_arrays(particles.times, places, {"pm25": values})

    # All of the second fold and two of the first: where the second is hidden, two stations are too few to tell it.
    first = draw_folds(particles.stations, 2, seed=0) == 0
    few = read_at(~first | (np.cumsum(first) <= 2))
    scores = evaluate(None, few, tmp_path / "few", _options(_Trainer(untrained_bundle), config=config))
    pooled = scores["species"]["pm25"]["station-folds"]
    assert pooled["stations"] == 18 and pooled["station_hours_observed"] > 0
    assert pooled["notes"][-1].startswith("1 of the 2 folds have no station that read it")
    assert (tmp_path / "few" / "folds" / "fold-2" / "answers.json").exists()

    none = read_at(np.arange(36) < 4)
    with pytest.raises(ObservationsError, match=r"nothing can be scored: PM2\.5, station-folds: no fold has a station"):
        evaluate(None, none, tmp_path / "none", _options(_Trainer(untrained_bundle), config=config))


def test_folds_say_that_kerbs_and_sensors_tell_them_nothing(particles: Observations, config: Config) -> None:
    kinds = ["traffic" if i % 3 == 0 else "background" for i in range(len(particles.stations))]
    places = StationPlaces(particles.stations, particles.lat, particles.lon, particles.city, kind=kinds)
    record = Observations.from_arrays(particles.times, places, {"pm25": particles.values("pm25")})
    asked = Asked(None, background_only(record), config, Path("out"), _options(None), None, record)
    assert without_others(asked).startswith("folds are of background stations alone: what the 12 others")
    assert without_others(replace(asked, record=asked.observations)) == ""
    hidden = EvaluationOptions(("hidden-tenth",), device="cpu")
    assert without_others(replace(asked, options=hidden)) == ""
