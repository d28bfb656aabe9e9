"""The long forecast as a predictor: the hours after the last reading, in cubes as at hidden stations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from forecast_case import (
    DAYS,
    FIRST_HOUR,
    forecast_observations,
    forecast_values,
    small_forecast_config,
    station_places,
)

import aqreanalysis
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ModelError, OutputError
from aqreanalysis.evaluation import evaluate
from aqreanalysis.forecast.evaluate import ForecastEvaluationOptions, evaluate_forecast
from aqreanalysis.forecast.predictor import ForecastPredictor, load_forecaster, measured_skill
from aqreanalysis.forecast.train import train_forecast
from aqreanalysis.grids import Grid
from aqreanalysis.model import load_predictor, read_bundle
from aqreanalysis.observations import Observations
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.training import TrainOptions
from aqreanalysis.validation import ValidateOptions, validate

pytestmark = pytest.mark.usefixtures("quick_looks")

LEAD, HISTORY = 48, 72
LAST = FIRST_HOUR + 24 * DAYS - 1
LAYERS = ("pm2p5", "pm2p5_standard_error", "pm2p5_lower", "pm2p5_upper", "pm2p5_exceedance_35")
# All bits: numbers are compared with those of the predictor.
WHOLE = ProduceOptions(device="cpu", thresholds={"pm25": (35.0,)}, production=ProductionConfig(keepbits=0))
TILED = replace(WHOLE, production=ProductionConfig(block_days=1, tile_rows=3, tile_columns=2, keepbits=0))


def moment(hour: int) -> str:
    return str(np.datetime64(hour, "h"))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return forecast_values(DAYS)


@pytest.fixture(scope="module")
def observations(values: np.ndarray) -> Observations:
    return forecast_observations(values)


@pytest.fixture(scope="module")
def model(observations: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_forecast(observations, small_forecast_config(), tmp_path_factory.mktemp("models") / "week", "cpu")


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Return cells of which one lies where no station is asked for its own readings: between all of them."""
    return Grid("small", np.round(39.6 + 0.1 * np.arange(6), 10), np.round(116.1 + 0.1 * np.arange(5), 10))


@pytest.fixture(scope="module")
def cube(model: Path, observations: Observations, grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    out = tmp_path_factory.mktemp("cubes") / "ahead.nc"
    return produce(model, observations, grid, moment(LAST), moment(LAST + LEAD), out, WHOLE).load()


def test_load_predictor_gives_the_forecast_as_one_of_the_predictors(model: Path) -> None:
    predictor = load_predictor(model, "cpu")
    assert isinstance(predictor, ForecastPredictor) and isinstance(predictor, aqreanalysis.Predictor)
    assert (predictor.history_hours, predictor.lookahead_hours, predictor.lead_hours) == (HISTORY, 0, LEAD)


def test_a_cube_holds_the_hours_after_the_last_reading_with_their_lead_time_and_flag(cube: xr.Dataset) -> None:
    assert cube.sizes["time"] == LEAD
    np.testing.assert_array_equal(cube["forecast_lead_time"], np.arange(1, LEAD + 1))
    assert ((cube["quality_flag"].values & 1) == 1).all()
    lower, best, upper = (cube[name].values for name in ("pm2p5_lower", "pm2p5", "pm2p5_upper"))
    assert (lower <= best).all() and (best <= upper).all() and (lower < upper).all()
    assert ((cube["pm2p5_exceedance_35"] >= 0) & (cube["pm2p5_exceedance_35"] <= 1)).all()
    assert (cube["observations_used"] == 4).all()  # as many neighbours as the config has, and all of them read
    assert "forecast" in cube.title and "observed in the 72 h" in cube["observations_used"].long_name


def test_a_cell_is_told_what_a_hidden_station_there_would_be(
    model: Path, values: np.ndarray, cube: xr.Dataset, grid: Grid
) -> None:
    lat, lon = (axis.ravel() for axis in np.meshgrid(grid.lat, grid.lon, indexing="ij"))
    asked = load_forecaster(model, "cpu").forecast(
        values[None, -HISTORY:], np.array([LAST]), *station_places(), (lat, lon)
    )["pm25"]
    as_asked = {
        "pm2p5": asked.best,
        "pm2p5_standard_error": asked.standard_error,
        "pm2p5_lower": asked.interval(0.9)[0],
        "pm2p5_upper": asked.interval(0.9)[1],
        "pm2p5_exceedance_35": asked.exceedance(35.0),
    }
    for name, expected in as_asked.items():
        predictor = cube[name].values.reshape(LEAD, -1)
        np.testing.assert_allclose(predictor, expected[:LEAD], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("options", [TILED, replace(TILED, workers=2)], ids=["tiles", "workers"])
def test_numbers_do_not_depend_on_tiles_and_workers(
    model: Path, observations: Observations, grid: Grid, cube: xr.Dataset, tmp_path: Path, options: ProduceOptions
) -> None:
    other = produce(
        model, observations, grid, moment(LAST), moment(LAST + LEAD), tmp_path / "other.zarr", options
    ).load()
    for name in LAYERS:
        np.testing.assert_allclose(other[name], cube[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_numbers_do_not_depend_on_the_hours_and_the_region_that_are_asked_for(
    model: Path, observations: Observations, grid: Grid, cube: xr.Dataset, tmp_path: Path
) -> None:
    part = Grid("part", grid.lat[2:5], grid.lon[1:4])
    some = produce(model, observations, part, moment(LAST + 30), moment(LAST + 41), tmp_path / "part.nc", WHOLE).load()
    for name in LAYERS:
        expected = cube[name].values[30:41, 2:5, 1:4]
        np.testing.assert_allclose(some[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(some["forecast_lead_time"], np.arange(31, 42))


def test_what_was_read_before_the_history_changes_nothing(
    model: Path, values: np.ndarray, grid: Grid, cube: xr.Dataset, tmp_path: Path
) -> None:
    older = values.copy()
    older[:-HISTORY] = np.nan
    out = tmp_path / "young.nc"
    young = produce(model, forecast_observations(older), grid, moment(LAST), moment(LAST + LEAD), out, WHOLE).load()
    np.testing.assert_array_equal(young["pm2p5"], cube["pm2p5"])


def test_a_stopped_run_ends_with_the_same_numbers(
    model: Path, observations: Observations, grid: Grid, cube: xr.Dataset, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done >= 3:
            raise Stopped

    out, timeline = tmp_path / "stopped.zarr", (moment(LAST), moment(LAST + LEAD))
    with pytest.raises(Stopped):
        produce(model, observations, grid, *timeline, out, replace(TILED, threads=1, progress=stop))
    begun = []
    again = replace(TILED, progress=lambda done, total, note: begun.append(done))
    resumed = produce(model, observations, grid, *timeline, out, again).load()
    assert min(begun) >= 3
    for name in LAYERS:
        np.testing.assert_allclose(resumed[name], cube[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (LAST - 1, LAST + 5, f"hours after the last reading alone; start at {moment(LAST)}:00 or later"),
        (LAST, LAST + LEAD + 1, f"at most {LEAD} h beyond; end at {moment(LAST + LEAD)}:00 or earlier"),
    ],
)
def test_hours_that_no_forecast_holds_are_refused_with_what_to_give(
    model: Path, observations: Observations, grid: Grid, tmp_path: Path, start: int, end: int, told: str
) -> None:
    with pytest.raises(OutputError, match=told) as caught:
        produce(model, observations, grid, moment(start), moment(end), tmp_path / "x.nc", WHOLE)
    assert "\n" not in str(caught.value)


def test_means_of_a_forecast_are_refused(model: Path, observations: Observations, grid: Grid, tmp_path: Path) -> None:
    daily = replace(WHOLE, frequencies=("daily",))
    with pytest.raises(ModelError, match="ask for frequency hourly only"):
        produce(model, observations, grid, moment(LAST), moment(LAST + LEAD), tmp_path / "x.nc", daily)


def test_the_analysis_protocols_refuse_a_forecast(model: Path, observations: Observations, tmp_path: Path) -> None:
    for given in (model, load_predictor(model, "cpu")):
        with pytest.raises(ModelError, match="--protocol forecast"):
            evaluate(given, observations, tmp_path / "scores")


@pytest.mark.parametrize("name", ["ahead.nc", "ahead.zarr"])
def test_a_forecast_cube_validates_clean(
    name: str, model: Path, observations: Observations, grid: Grid, tmp_path: Path
) -> None:
    produce(model, observations, grid, moment(LAST), moment(LAST + LEAD), tmp_path / name, WHOLE).close()
    report = validate(tmp_path / name, ValidateOptions(checker=False))
    assert report.clean, report.lines()


def test_a_forecast_is_left_blank_far_from_every_station_too(
    model: Path, observations: Observations, grid: Grid, cube: xr.Dataset, tmp_path: Path
) -> None:
    km = cube["nearest_station_distance"].values
    limit = float(np.median(km))
    options = replace(WHOLE, production=ProductionConfig(blank_beyond_km=limit))
    out = tmp_path / "blank.nc"
    blank = produce(model, observations, grid, moment(LAST), moment(LAST + LEAD), out, options).load()
    # One of them is rounded.
    np.testing.assert_allclose(blank["pm2p5"], np.where(km > limit, np.nan, cube["pm2p5"]), rtol=2**-9)
    assert "the model does not say how far" in blank["quality_flag"].attrs["comment"]
    assert validate(out, ValidateOptions(checker=False)).clean


def test_a_cube_says_that_its_skill_was_not_measured(cube: xr.Dataset) -> None:
    assert cube.forecast_skill_measured.startswith("not measured")


def test_a_cube_says_the_skill_that_was_measured_at_hidden_stations(
    model: Path, observations: Observations, grid: Grid, tmp_path: Path
) -> None:
    before = read_bundle(model)
    options = ForecastEvaluationOptions(every=24, baselines=False, device="cpu")
    metrics = evaluate_forecast(model, observations, tmp_path / "scores", options)
    try:
        after = read_bundle(model)
        assert after.digest == before.digest and "| PM2.5 | hidden | AQ-Net | 24 h |" in after.card
        out = tmp_path / "told.nc"
        expected = produce(
            model, observations, grid, moment(LAST), moment(LAST + 3), out, WHOLE
        ).forecast_skill_measured
        mae = metrics["species"]["pm25"]["hidden"]["methods"]["aq-net"]["horizons"]["24 h"]["mae"]
        assert (
            f"24 h: MAE {mae:.3g}" in expected and "stations hidden from the model" in expected and expected.isascii()
        )
    finally:  # the other tests' model was never evaluated
        (model / "metrics.json").write_text(json.dumps(before.metrics), encoding="utf-8")
        (model / "MODEL_CARD.md").write_text(before.card, encoding="utf-8")


def test_a_network_without_hidden_stations_has_no_skill_to_tell_of_places_without_one() -> None:
    scores = {"coverage": 0.9, "unseen_from": "2019-05-01", "species": {"pm25": {"visible": {}}}}
    assert measured_skill({"forecast": scores}).startswith("not measured at places without a station")


class Weather:
    """Wind at every place, of no hour after the last reading; it notes which hours are asked for."""

    fields = hourly = ("u10", "v10")
    units = ("m s-1", "m s-1")

    def __init__(self) -> None:
        self.latest = 0

    def at(self, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
        self.latest = max(self.latest, int(hours.max()))
        wind = np.stack((np.sin(hours / 31), np.cos(hours / 17)), axis=-1).astype(np.float32)
        return np.repeat(wind[:, None], len(lat), axis=1)

    def hours(self, key: str) -> np.ndarray:
        return np.arange(FIRST_HOUR, LAST + 1)

    def select(self, fields: tuple[str, ...]) -> Weather:
        return self

    def digest(self) -> str:
        return "wind"


def test_a_model_with_weather_makes_cubes_from_the_weather_of_the_history_alone(
    observations: Observations, grid: Grid, tmp_path: Path
) -> None:
    options = TrainOptions(covariates=Weather())  # type: ignore[arg-type]
    windy = train_forecast(observations, small_forecast_config(), tmp_path / "windy", "cpu", options=options)
    timeline = moment(LAST), moment(LAST + LEAD)
    with pytest.raises(ModelError, match="u10, v10 are missing"):
        produce(windy, observations, grid, *timeline, tmp_path / "x.nc", WHOLE)
    predictor = load_predictor(windy, "cpu", weather := Weather())
    cube = produce(predictor, observations, grid, *timeline, tmp_path / "x.nc", WHOLE).load()
    assert np.isfinite(cube["pm2p5"]).all() and cube.covariates == "u10, v10, sha256 wind"
    places = (np.repeat(grid.lat, len(grid.lon)), np.tile(grid.lon, len(grid.lat)))
    weather.latest = 0
    window = predictor.window(range(LAST + 1, LAST + 3), LAST)
    read = observations.to_array(predictor.inputs)[-HISTORY:]
    stations = observations.lat, observations.lon
    encoded = predictor.encode(read, np.array(window.read), *stations)
    best = predictor.predict(encoded, predictor.geometry(*stations, *places))["pm25"].best
    assert weather.latest == LAST
    np.testing.assert_allclose(cube["pm2p5"].values.reshape(LEAD, -1), best, rtol=2e-5)
