"""Static fields from train to cube: named in the bundle and its card, asked for again, and refused if they differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import static_case
import xarray as xr
from click.testing import CliRunner

from aqreanalysis.cli import main
from aqreanalysis.covariates import StaticFields
from aqreanalysis.model import load_predictor

GRID = "112,36,114,38@0.25"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with observations, lights, plants, and a model that was offered both."""
    folder = tmp_path_factory.mktemp("static")
    static_case.observations().to_netcdf(folder / "obs.nc")
    static_case.write_lights(folder / "lights.tif")
    static_case.write_plants(folder / "plants.csv")
    given = ("--static", str(folder / "lights.tif"), "--static", f"plants={folder / 'plants.csv'}:mw")
    done = run("train", folder, *settings(), "--out", str(folder / "lit"), *given)
    assert done.exit_code == 0, done.output
    assert "Static field lights (lights.tif) enters the drift, averaged over 1, 5, 20, 80 km" in done.stderr
    assert "not used: plants (plants.csv:mw)" in done.stderr
    return folder


def settings() -> list[str]:
    return [part for text in static_case.SMALL for part in ("--set", text)]


def run(command: str, folder: Path, *arguments: str):
    device = ("--device", "cpu", "--observations", str(folder / "obs.nc"))
    return CliRunner().invoke(main, [command, *device, *arguments])


def produce(folder: Path, out: str, *arguments: str, model: str = "lit"):
    span = ("--start", "2021-03-03", "--end", "2021-03-04", "--grid", GRID, "--out", str(folder / out))
    return run("produce", folder, "--model", str(folder / model), *span, *arguments)


def test_the_bundle_its_card_and_info_say_what_is_used_and_what_it_explained(case: Path) -> None:
    drift = json.loads((case / "lit" / "drift.json").read_text())
    assert [one["name"] for one in drift["static"]] == ["lights"] and len(drift["static"][0]["digest"]) == 64
    card = (case / "lit" / "MODEL_CARD.md").read_text()
    assert "- Static field lights (lights.tif) enters the drift" in card and "not used: plants (plants.csv:mw)." in card
    told = CliRunner().invoke(main, ["info", str(case / "lit")])
    shares = drift["explained"]["no2"]
    assert (
        f"the drift explains {shares['all']:.3f}, height and population alone {shares['built-in']:.3f}" in told.stdout
    )
    facts = json.loads(CliRunner().invoke(main, ["info", str(case / "lit"), "--json"]).stdout)
    assert facts["drift"]["static"][0]["windows_km"] == [1.0, 5.0, 20.0, 80.0]


def test_a_cube_has_the_drift_of_its_cells_and_names_the_files(case: Path) -> None:
    done = produce(case, "day.nc", "--static", str(case / "lights.tif"))
    assert done.exit_code == 0, done.output
    static = StaticFields.open(case / "lights.tif")
    predictor = load_predictor(case / "lit", "cpu", static=static)
    with xr.open_dataset(case / "day.nc") as cube:
        assert f"lights (lights.tif, sha256 {static.fields[0].digest[:12]})" in cube.attrs["comment"]
        lat, lon = (a.ravel() for a in np.meshgrid(cube.lat, cube.lon, indexing="ij"))
        mean = np.log(cube["no2"].mean("time")).values.ravel()
    drift = predictor.drift.at(lat, lon, ["no2"])[:, 0]
    assert np.ptp(drift) > 0.5 and np.corrcoef(drift, mean)[0, 1] > 0.5


def test_tiles_and_worker_processes_give_the_same_bits(case: Path) -> None:
    given = ("--static", str(case / "lights.tif"))
    assert produce(case, "whole.zarr", *given).exit_code == 0
    cut = ("--set", "production.tile_rows=3", "--set", "production.tile_columns=4", "--workers", "1")
    done = produce(case, "cut.zarr", *given, *cut)
    assert done.exit_code == 0, done.output
    with xr.open_zarr(case / "whole.zarr") as one, xr.open_zarr(case / "cut.zarr") as other:
        np.testing.assert_array_equal(one["no2"], other["no2"])


def test_a_model_does_not_run_without_its_fields_or_with_others(case: Path) -> None:
    changed = static_case.write_lights(case / "changed.tif", seed=9)
    for given, reason in (
        ((), "the model's drift reads lights (lights.tif), and lights is not given: add --static lights=PATH"),
        ((f"lights={changed}",), "lights: changed.tif is not the lights.tif that the model was trained with (sha256 "),
        ((str(case / "lights.tif"), str(changed)), "static field changed: the model was trained only with lights"),
        ((str(case / "gone.tif"),), "no static field at"),
    ):
        done = produce(case, "refused.nc", *(part for spec in given for part in ("--static", spec)))
        assert done.exit_code == 2 and reason in done.stderr and "Traceback" not in done.stderr
        assert not (case / "refused.nc").exists()


def test_another_file_of_the_same_content_will_do_and_what_is_not_used_may_be_given(case: Path) -> None:
    shutil.copy(case / "lights.tif", case / "moved.tif")
    given = ("--static", f"lights={case / 'moved.tif'}", "--static", f"plants={case / 'plants.csv'}:mw")
    assert produce(case, "moved.nc", *given).exit_code == 0


def test_the_files_are_part_of_what_a_cube_is_made_from(case: Path) -> None:
    """Other lights make another drift, so another model: its blocks have other keys and it goes on with no cube."""
    other = static_case.write_lights(case / "other.tif", seed=0)
    with other.open("ab") as file:
        file.write(b"\0")
    done = run("train", case, *settings(), "--out", str(case / "lit2"), "--static", f"lights={other}")
    assert done.exit_code == 0, done.output
    ours, theirs = (load_json(case / name / "provenance.json")["model_digest"] for name in ("lit", "lit2"))
    assert ours != theirs
    assert produce(case, "grown.zarr", "--static", str(case / "lights.tif")).exit_code == 0
    grow = ("--append", "--static", f"lights={other}")
    span = ("--end", "2021-03-05", "--grid", GRID, "--out", str(case / "grown.zarr"))
    done = run("produce", case, "--model", str(case / "lit2"), *span, *grow)
    assert done.exit_code == 2 and "model" in done.stderr


def load_json(path: Path) -> dict:
    return json.loads(path.read_text())


def test_models_that_were_offered_none_and_forecasts_refuse_them(case: Path) -> None:
    done = run("train", case, *settings(), "--out", str(case / "plain"))
    assert done.exit_code == 0, done.output
    done = produce(case, "no.nc", "--static", str(case / "lights.tif"), model="plain")
    assert done.exit_code == 2 and "static field lights: the model was trained without any" in done.stderr
    given = ("--static", str(case / "lights.tif"))
    done = run("train", case, "--config", "forecast", "--species", "no2", "--out", str(case / "ahead"), *given)
    assert done.exit_code == 2 and "the long forecast has no drift" in done.stderr
    done = run("train", case, *settings(), "--set", "model.geography=false", "--out", str(case / "flat"), *given)
    assert done.exit_code == 2 and "trains without a drift" in done.stderr


def test_evaluate_takes_them_for_a_model_and_for_folds(case: Path) -> None:
    given = ("--static", str(case / "lights.tif"), "--every", "7")
    done = run("evaluate", case, "--model", str(case / "lit"), "--out", str(case / "scores"), *given)
    assert done.exit_code == 0, done.output
    done = run("evaluate", case, "--model", str(case / "lit"), "--out", str(case / "scores2"))
    assert done.exit_code == 2 and "lights is not given" in done.stderr
