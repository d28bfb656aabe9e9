"""Every rule finds the cube that is broken in exactly its way, and a produced cube breaks none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import zarr
from export_case import copy_cube

from aqreanalysis.validation import RULES, ValidateOptions, validate

Edit = Callable[[netCDF4.Dataset], object]


def set_to(name: str, index, value) -> Edit:
    def edit(file):
        file[name].set_auto_maskandscale(False)
        file[name][index] = value

    return edit


def attribute(name: str | None, key: str, value) -> Edit:
    def edit(file):
        owner = file if name is None else file[name]
        owner.delncattr(key) if value is None else owner.setncattr(key, value)

    return edit


def extra_layer(file) -> None:
    file.createDimension("quantile", 2)
    file.createVariable("pm2p5_quantile", "f4", ("quantile", "time", "lat", "lon")).long_name = "quantiles"


def as_doubles(file) -> None:
    file.renameVariable("pm2p5_standard_error", "dropped")
    layer = file.createVariable("pm2p5_standard_error", "f8", ("time", "lat", "lon"), fill_value=-9999.0)
    layer.setncatts({k: file["dropped"].getncattr(k) for k in file["dropped"].ncattrs() if k != "_FillValue"})
    layer.long_name = "again"
    layer[:] = file["dropped"][:]


def with_zstd(file) -> None:
    layer = file.createVariable("more", "f4", ("lat", "lon"), compression="bzip2", fill_value=-9999.0)
    layer.setncatts({"long_name": "more", "units": "1", "grid_mapping": "crs"})


def reversed_bounds(file) -> None:
    file["lat_bnds"][:] = file["lat_bnds"][:][:, ::-1]


def a_hole_in_time(file) -> None:
    file["time"][40:] = file["time"][40:] + 5
    file["time_bnds"][40:] = file["time_bnds"][40:] + 5


def a_seam(file) -> None:
    # A block whose estimates were shifted by a constant, its bounds with it.
    for name in ("pm2p5", "pm2p5_lower", "pm2p5_upper"):
        values = file[name][:]
        values[:, :, 4:8] += 200
        file[name][:] = values


def one_number(file) -> None:
    file["pm2p5"][7] = np.ma.masked_where(np.ma.getmaskarray(file["pm2p5"][7]), np.full((7, 9), 20.0))
    file["pm2p5_lower"][7] = file["pm2p5"][7] / 2
    file["pm2p5_upper"][7] = file["pm2p5"][7] * 2


# Rule -> how the NetCDF cube is broken.
BROKEN: dict[str, Edit] = {
    "conventions": attribute(None, "Conventions", "CF-1.11 ACDD-1.3"),
    "netcdf4": with_zstd,
    "ascii": attribute("pm2p5", "units", "µg m-3"),
    "long-names": attribute("pm2p5_upper", "long_name", "lower bound of the 90 % coverage interval of PM2.5"),
    "layer-dimensions": extra_layer,
    "standard-names": attribute("o3", "standard_name", "ozone_in_air"),
    "invented-names": attribute("o3_nearest_station_distance", "standard_name", "distance_to_station"),
    "units": attribute("pm2p5_observations_used", "units", None),
    "actual-range": attribute("pm2p5", "actual_range", np.array([0, 500], np.float32)),
    "uncertainty": lambda file: file.renameVariable("o3_upper", "upper"),
    "ancillary": attribute("o3", "ancillary_variables", "o3_lower o3_upper"),
    "cell-methods": attribute("o3", "cell_methods", "area: mean time: mean"),
    "interval": attribute("o3_lower", "coverage_probability", 0.5),
    "grid-mapping": attribute("crs", "crs_wkt", None),
    "fill": as_doubles,
    "packing": attribute("o3", "scale_factor", 2.0),
    "flags": attribute("pm2p5_quality_flag", "flag_masks", np.array([1, 2, 4, 8, 16], "i4")),
    "vocabulary": attribute(None, "standard_name_vocabulary", "latest"),
    "vertical": attribute(None, "geospatial_vertical_min", 0.0),
    "axes": attribute("lat", "units", "degrees"),
    "regular": set_to("lat", 3, 39.8),
    "range": lambda file: (set_to("lon", ..., file["lon"][:] + 500)(file), None),
    "cell-bounds": reversed_bounds,
    "time-encoding": attribute("time", "units", "days since 1970-01-01 00:00:00"),
    "time-bounds": lambda file: set_to("time", ..., file["time"][:] - 1)(file),
    "gaps": a_hole_in_time,
    "extent": attribute(None, "geospatial_lat_max", 40.625),
    "time-coverage": attribute(None, "time_coverage_end", "2019-01-06T00:00:00Z"),
    "fingerprint": attribute(None, "model_digest", "abc"),
    "history": attribute(None, "history", "somebody changed it"),
    "infinite": set_to("pm2p5_upper", (5, 5, 5), np.inf),
    "plausible": set_to("pm2p5", (5, 5, 5), 2500.0),
    "not-negative": set_to("o3_lower", (5, 5, 5), -3.0),
    "no-spread": set_to("o3_standard_error", (5, 5, 5), 0.0),
    "probability": set_to("o3_exceedance_60", (5, 5, 5), 1.5),
    "enclosing": set_to("o3_lower", (5, 5, 5), 900.0),
    "missing": set_to("o3", (5, 5, 5), -9999.0),
    "masked": set_to("o3", (5, 0, 0), 40.0),
    "together": set_to("o3_standard_error", (5, 5, 5), -9999.0),
    "flag-bits": set_to("o3_quality_flag", (5, 5, 5), 64),
    "one-value": one_number,
    "seams": a_seam,
}


def rules_of(path: Path, **more) -> set[str]:
    report = validate(path, ValidateOptions(checker=False, **more))
    return {f.rule for f in report.findings if f.severity != "advice"}


@pytest.mark.parametrize("name", ["two", "one"])
def test_a_produced_cube_breaks_no_rule(name, cubes):
    assert rules_of(getattr(cubes, name)) == set()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_cube_broken_in_one_way_is_found_by_the_rule_of_that_way(rule, cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        BROKEN[rule](file)
    report = validate(path, ValidateOptions(checker=False))
    findings = [f for f in report.findings if f.rule == rule]
    assert findings and all(f.message and f.reason for f in findings), report.lines()
    assert not report.clean


def test_a_range_that_is_that_of_the_data_is_no_finding(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        values = file["pm2p5"][:]
        file["pm2p5"].actual_range = np.array([values.min(), values.max()], np.float32)
    assert "actual-range" not in rules_of(path)


def no_metadata(path: Path) -> None:
    (path / ".zmetadata").unlink()


def a_lost_chunk(path: Path) -> None:
    (path / "pm2p5_upper" / "1.1.1").unlink()


@pytest.mark.parametrize(("rule", "edit"), [("zarr", no_metadata), ("zarr-chunks", a_lost_chunk)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_store_is_found_by_the_rule_of_that_way(rule, edit, cubes, tmp_path):
    path = copy_cube(cubes.one, tmp_path)
    edit(path)
    assert rule in rules_of(path)


def test_a_zarr_fill_that_clients_show_as_data_is_found(cubes, tmp_path):
    path = copy_cube(cubes.one, tmp_path)
    for name in (".zmetadata", "pm2p5/.zarray"):
        raw = json.loads((path / name).read_text())
        (raw["metadata"]["pm2p5/.zarray"] if "metadata" in raw else raw)["fill_value"] = -9999.0
        (path / name).write_text(json.dumps(raw))
    assert "fill" in rules_of(path)


def test_an_unfinished_run_beside_the_cube_is_found_and_its_ledger_is_left_as_it_is(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    part = tmp_path / "two.nc.part"
    part.mkdir()
    text = json.dumps({"fingerprint": {"model": "f" * 64}}) + '\n{"block": 0}\n{"block": 1}\n{"blo'
    (part / "ledger.jsonl").write_text(text)
    report = validate(path, ValidateOptions(checker=False))
    (findings,) = [f for f in report.findings if f.rule == "ledger"]
    assert "2 blocks done" in findings.message and "f" * 16 in findings.message
    assert (part / "ledger.jsonl").read_text() == text


def test_a_cube_of_another_model_is_found(cubes):
    assert rules_of(cubes.one, model=cubes.model) == set()
    assert rules_of(cubes.two, model=cubes.model) == {"model"}


def test_advice_does_not_make_a_cube_unclean(cubes, tmp_path):
    report = validate(cubes.two, ValidateOptions(checker=False))
    assert report.clean
    (said,) = report.findings
    assert said.rule == "acdd" and "license, institution" in said.message and "--set metadata.id=..." in said.message


def test_a_zarr_3_store_and_a_long_file_get_advice(cubes, tmp_path):
    path = tmp_path / "three.zarr"
    shutil.copytree(cubes.one, path)
    held = zarr.open_group(str(cubes.one), mode="r")
    shutil.rmtree(path)
    new = zarr.open_group(str(path), mode="w", zarr_format=3)
    new.attrs.update(dict(held.attrs))
    dims = {"time": ["time"], "lat": ["lat"], "lon": ["lon"], "crs": [], "quantization_info": []}
    for name, array in held.arrays():
        axis = dims.get(name, [name[:-5], "bnds"] if name.endswith("_bnds") else ["time", "lat", "lon"])
        copy = new.create_array(
            name, shape=array.shape, dtype=array.dtype, dimension_names=axis, fill_value=array.fill_value
        )
        copy[...] = array[...]
        copy.attrs.update({k: v for k, v in array.attrs.items() if k not in ("_ARRAY_DIMENSIONS", "_CRS")})
    findings = {f.rule for f in validate(path, ValidateOptions(checker=False, values=False)).findings}
    assert "zarr-format" in findings and "zarr" not in findings


def test_an_older_cube_is_named_as_old_and_is_no_worse_for_it(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file.delncattr("aqreanalysis_conventions")
        file["time"][:] = file["time_bnds"][:, 1]
        for layer in ("pm2p5", "o3"):
            for bound in ("lower", "upper"):
                file[f"{layer}_{bound}"].standard_name = file[layer].standard_name
    report = validate(path, ValidateOptions(checker=False))
    assert report.clean, report.lines()
    said = {f.rule: f.message for f in report.findings}
    assert "conventions 1 of this program" in said["conventions-version"] and "stamped at their end" in said["stamps"]


def test_every_rule_has_a_cube_that_breaks_it():
    elsewhere = {
        "chunk-digests",
        "zarr",
        "zarr-chunks",
        "zarr-format",
        "ledger",
        "model",
        "acdd",
        "size",
        "stamps",
        "conventions-version",
    }
    assert set(BROKEN) | elsewhere == {*RULES, "seams"}


def test_a_file_of_more_than_a_month_is_advised_to_be_cut(tmp_path):
    path = tmp_path / "long.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, length in (("time", 800), ("lat", 2), ("lon", 2)):
            file.createDimension(name, length)
            file.createVariable(name, "f8", (name,))[:] = np.arange(length)
        file.createVariable("pm2p5", "f4", ("time", "lat", "lon"))[:] = 1
    findings = {f.rule for f in validate(path, ValidateOptions(checker=False, values=False)).findings}
    assert "size" in findings
