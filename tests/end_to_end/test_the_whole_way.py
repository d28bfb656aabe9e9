"""From station records to a cube that is open and scored, through the real commands in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from aqreanalysis.cli import main

SPAN = ("--start", "2001-03-09", "--end", "2001-03-11")
LAYERS = ("pm2p5", "pm2p5_standard_error", "pm2p5_lower", "pm2p5_upper")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Return a finished process of a command that must succeed."""
    command = [sys.executable, "-m", "aqreanalysis.cli", *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def here(*arguments: object) -> Result:
    """Return the answer of a command in this process, where the second or so that a start takes is not the point."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def cubes(way: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Produce the same two days as NetCDF and as Zarr."""
    folder = tmp_path_factory.mktemp("cubes")
    paths = {suffix: folder / f"days.{suffix}" for suffix in ("nc", "zarr")}
    for path in paths.values():
        run(
            *("produce", "--model", way.model, "--observations", way.records, "--grid", "nature-0.1"),
            *(*SPAN, "--out", path, "--set", "production.tile_rows=16"),
        )
    return paths


def test_training_tells_what_it_flagged_and_where_the_bundle_is(way: Any) -> None:
    assert str(way.model) in way.trained.stdout
    assert "readings flagged and not used" in way.trained.stderr
    assert "training:" not in way.trained.stderr  # a line a minute, and this took less
    assert {p.name for p in way.model.iterdir()} >= {
        "config.yaml",
        "weights.safetensors",
        "scaling.json",
        "calibration.json",
        "stations.parquet",
        "metrics.json",
        "MODEL_CARD.md",
        "provenance.json",
    }


def test_evaluation_sets_the_model_beside_its_baselines(way: Any, tmp_path: Path) -> None:
    done = run("evaluate", "--model", way.model, "--observations", way.records, "--out", tmp_path / "e", "--json")
    scores = json.loads(done.stdout)
    assert scores == json.loads((tmp_path / "e" / "metrics.json").read_text())
    for protocol in ("unseen-time-hidden-tenth", "unseen-time-leave-city-out"):
        methods = scores["species"]["pm25"][protocol]["methods"]
        assert len(methods) >= 3
        assert all(0 < m["overall"]["mae"] < 100 and 0 < m["overall"]["coverage"] <= 1 for m in methods.values())
    assert list((tmp_path / "e").glob("*.png"))
    again = here("evaluate", "--model", way.model, "--observations", way.records, "--out", tmp_path / "e")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_both_formats_hold_the_same_cube_with_an_interval_around_every_estimate(cubes: dict[str, Path]) -> None:
    with xr.open_dataset(cubes["nc"]) as netcdf, xr.open_zarr(cubes["zarr"]) as zarr:
        assert netcdf.sizes["time"] == 48
        assert str(netcdf["time"].values[0]).startswith("2001-03-09T00:30")
        for layer in LAYERS:
            np.testing.assert_array_equal(netcdf[layer].values, zarr[layer].values)
        best, lower, upper = (netcdf[name].values for name in ("pm2p5", "pm2p5_lower", "pm2p5_upper"))
        assert np.isfinite(best).all()
        assert ((lower >= 0) & (lower <= best) & (best <= upper)).all()
        assert "ynthetic" in f"{netcdf.attrs}", "a cube of synthetic records must say so"


def test_the_estimate_goes_with_the_truth_in_its_own_hour_and_cell(way: Any, cubes: dict[str, Path]) -> None:
    with xr.open_dataset(cubes["nc"]) as cube, xr.open_dataset(way.truth) as truth:
        estimate, true = cube["pm2p5"].values, truth["pm2p5"].sel(time=cube["time_bnds"].values[:, 1]).values
    # Seen: 0.54 after seconds of training; 0.15 with the hours shifted by six, 0.22 with north and south exchanged.
    assert _correlation(estimate, true) > 0.4
    assert _correlation(estimate, true) > _correlation(np.roll(estimate, 6, axis=0), true) + 0.2
    assert _correlation(estimate, true) > _correlation(estimate[:, ::-1], true) + 0.2


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_compare_scores_the_cube_at_stations(way: Any, cubes: dict[str, Path]) -> None:
    printed = {"nc": json.loads(run("compare", cubes["nc"], "--observations", way.records, "--json").stdout)}
    printed["zarr"] = json.loads(here("compare", cubes["zarr"], "--observations", way.records, "--json").stdout)
    assert printed["nc"] == printed["zarr"]
    assert printed["nc"]["species"]["pm25"]["stations"] == 40
    assert printed["nc"]["hours"]["common"] == 48
    assert "PM2.5" in here("compare", cubes["nc"], "--observations", way.records).stdout


def test_info_says_what_each_thing_is(way: Any, cubes: dict[str, Path]) -> None:
    kinds = {
        path: json.loads(here("info", path, "--json").stdout)["kind"]
        for path in (way.model, way.records, cubes["nc"], cubes["zarr"])
    }
    assert list(kinds.values()) == ["model", "observations", "cube", "cube"]
    model = here("info", way.model).stdout
    assert "pm25" in model
    assert "training" in model
    assert "48, stamped 2001-03-09T00:30 to 2001-03-10T23:30" in run("info", cubes["zarr"]).stdout


def test_a_dry_run_prints_the_plan_and_writes_nothing(way: Any, tmp_path: Path) -> None:
    done = here(
        *("produce", "--model", way.model, "--observations", way.records, "--grid", "nature-0.1"),
        *(*SPAN, "--out", tmp_path / "plan.nc", "--exceedance", "pm25=50", "--dry-run", "--json"),
    )
    plan = json.loads(done.stdout)
    assert (plan["hours"], plan["rows"], plan["columns"]) == (48, 41, 61)
    assert len(plan["cubes"]["hourly"]["layers"]) > len(LAYERS)
    printed, hourly = plan["estimate"], plan["cubes"]["hourly"]
    assert 0 < printed["cube_bytes"] < hourly["raw_bytes"] and set(printed["stored_bytes"]["hourly"]) == set(
        hourly["layers"]
    )
    assert printed["seconds"] > printed["sweep_seconds"] > 0 and printed["worker_bytes"] > 10_000_000
    assert not list(tmp_path.iterdir())


def test_a_dry_run_for_people_tells_time_and_memory_unless_the_trial_is_left_out(way: Any, tmp_path: Path) -> None:
    asked = ("produce", "--model", way.model, "--observations", way.records, "--grid", "nature-0.1", *SPAN)
    asked += ("--out", tmp_path / "plan.zarr", "--dry-run")
    lines = {line.split()[0]: line for line in here(*asked).stdout.splitlines() if not line.startswith(" ")}
    assert "cell-hours a second" in lines["time"] and "to finish" in lines["time"]
    assert "compressed" in lines["size"] and "on this machine" in lines["memory"]
    plain = here(*asked, "--no-calibration").stdout
    assert "a block in hand" in plain and "trial" not in plain
    assert not list(tmp_path.iterdir())


def test_a_second_run_does_not_replace_a_cube_unless_told(way: Any, cubes: dict[str, Path]) -> None:
    before = cubes["nc"].stat().st_mtime_ns
    again = here(
        *("produce", "--model", way.model, "--observations", way.records, "--grid", "nature-0.1"),
        *(*SPAN, "--out", cubes["nc"]),
    )
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert cubes["nc"].stat().st_mtime_ns == before
