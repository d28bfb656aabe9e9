"""Attacks by what stands in a file: JSON, YAML, what a terminal, a table or a page would make of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from attack_case import Assets, Command
from attack_kit import (
    BOX,
    ESCAPES,
    FORMULA,
    MARKUP,
    STRANGE_NAME,
    WRITERS,
    attack,
    copied,
    deep_json,
    places,
    produce,
    signed,
    table,
    with_attributes,
)

# ---- JSON ------------------------------------------------------------------------------------------------------------
for _name, _text in {
    "deep lists": deep_json(),
    "deep objects": deep_json('{"a":', "}"),
    "no JSON": "{]",
    "not the object that it should be": '"text"',
}.items():

    @attack("JSON", f"a page of an API: {_name}")
    def _page(assets: Assets, folder: Path, text: str = _text) -> Command:
        (folder / "page.json").write_text(text)
        return ["observations", "check", "page.json"]

    @attack("JSON", f"a station list: {_name}")
    def _list(assets: Assets, folder: Path, text: str = _text) -> Command:
        (folder / "list.json").write_text(text)
        return produce(assets.model, assets.csv, "o.nc", "--stations", "list.json")

    for _part in ("provenance.json", "scaling.json", "calibration.json", "metrics.json"):

        @attack("JSON", f"{_part} of a bundle: {_name}")
        def _bundle(assets: Assets, folder: Path, text: str = _text, part: str = _part) -> Command:
            model = copied(assets.model, folder / "model")
            (model / part).write_text(text)
            return ["info", str(model if part == "provenance.json" else signed(model))]

    for _command in ("info", "validate", "plot", "export netcdf"):

        @attack("JSON", f"zarr.json of a store, {_command}: {_name}")
        def _zarr(assets: Assets, folder: Path, text: str = _text, command: str = _command) -> Command:
            cube = copied(assets.zarr3, folder / "x.zarr")
            (cube / "zarr.json").write_text(text)
            out = {"plot": ["--mean", "--out", "p.png"], "export netcdf": ["--out", "f"]}.get(command, [])
            return [*command.split(), str(cube), *out]

    @attack("JSON", f".zmetadata of a store: {_name}")
    def _zmetadata(assets: Assets, folder: Path, text: str = _text) -> Command:
        cube = copied(assets.zarr, folder / "x.zarr")
        (cube / ".zmetadata").write_text(text)
        return ["validate", str(cube)]

    @attack("JSON", f"what a cube says it was made from: {_name}")
    def _run(assets: Assets, folder: Path, text: str = _text) -> Command:
        cube = copied(assets.netcdf, folder / "x.nc")
        with_attributes(cube, aqreanalysis_run=text)
        command = produce(assets.model, assets.parquet, str(cube), "--append")
        return [*command[: command.index("--start")], "--end", "2019-01-08", *command[command.index("--out") :]]

    @attack("JSON", f"polygons: {_name}")
    def _polygons(assets: Assets, folder: Path, text: str = _text) -> Command:
        (folder / "areas.geojson").write_text(text)
        return ["export", "polygons", str(assets.netcdf), "--vector", "areas.geojson", "--out", "t.csv"]

    @attack("JSON", f"a resumed run's record of its folder: {_name}")
    def _fingerprint(assets: Assets, folder: Path, text: str = _text) -> Command:
        work = folder / "m.part"
        work.mkdir()
        (work / "fingerprint.json").write_text(text)
        return ["train", "--config", "demo", "--observations", str(assets.csv), "--out", "m"]


@attack("JSON", "a quality report in observations of NetCDF: deep", harmless=True)
def _report(assets: Assets, folder: Path) -> Command:
    from aqreanalysis.observations import read_observations

    made = read_observations(assets.csv).to_netcdf(folder / "obs.nc")
    with netCDF4.Dataset(made, "a") as file:
        for name in file.ncattrs():
            if str(file.getncattr(name)).startswith("{"):
                file.setncattr(name, deep_json())
    return ["observations", "check", str(made)]


@attack("JSON", "pandas' note in a Parquet file: deep", harmless=True)
def _note(assets: Assets, folder: Path) -> Command:
    read = pq.read_table(assets.parquet)
    pq.write_table(read.replace_schema_metadata({"pandas": deep_json()}), folder / "x.parquet")
    return ["observations", "check", "x.parquet"]


@attack("JSON", "pandas' note in a Parquet file of places: deep", harmless=True)
def _note_of_places(assets: Assets, folder: Path) -> Command:
    read = pa.table({"place": ["a"], "lat": [39.5], "lon": [117.0]})
    pq.write_table(read.replace_schema_metadata({"pandas": deep_json()}), folder / "x.parquet")
    return ["export", "points", str(assets.netcdf), "--places", "x.parquet", "--out", "t.csv"]


@attack("JSON", "stations.parquet of a bundle: deep")
def _stations(assets: Assets, folder: Path) -> Command:
    model = copied(assets.model, folder / "model")
    read = pq.read_table(model / "stations.parquet")
    pq.write_table(read.replace_schema_metadata({"pandas": deep_json()}), model / "stations.parquet")
    return ["info", str(signed(model))]


# ---- YAML ------------------------------------------------------------------------------------------------------------
_BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)
for _name, _text in {
    "aliases": _BOMB,
    "depth": "[" * 5000 + "]" * 5000,
    "an object of Python": "!!python/object/apply:os.system ['touch owned']",
    "merge keys": "a: &a {x: 1}\nb: {<<: *a}\n",
    "an enormous integer": f"west: {'9' * 100_000}\n",
    "control characters": "'\\x1b]0;x\\a': 1\n",
    "escapes in a key": '"\\e]0;owned\\a": 1\n',
    "escapes in a value": 'west: "\\e]0;owned\\a"\neast: 1\nsouth: 1\nnorth: 2\nstep: 1\n',
    "bytes that are no text": "\xff\xfe",
}.items():

    @attack("YAML", f"a config: {_name}")
    def _config(assets: Assets, folder: Path, text: str = _text) -> Command:
        (folder / "c.yaml").write_bytes(text.encode("latin-1"))
        return ["train", "--config", "c.yaml", "--observations", str(assets.csv), "--out", "m"]

    @attack("YAML", f"a grid: {_name}")
    def _grid(assets: Assets, folder: Path, text: str = _text) -> Command:
        (folder / "g.yaml").write_bytes(text.encode("latin-1"))
        command = produce(assets.model, assets.csv)
        command[command.index(BOX)] = "g.yaml"
        return command

    @attack("YAML", f"the config of a bundle: {_name}")
    def _own_config(assets: Assets, folder: Path, text: str = _text) -> Command:
        model = copied(assets.model, folder / "model")
        (model / "config.yaml").write_bytes(text.encode("latin-1"))
        return produce(signed(model), assets.csv)


# ---- the terminal ----------------------------------------------------------------------------------------------------
for _command in ("observations check", "info"):

    @attack("terminal", f"names of stations and towns, {_command}", harmless=True)
    def _names(assets: Assets, folder: Path, command: str = _command) -> Command:
        table(folder / "t.csv", station_id=np.repeat([f"a{ESCAPES}", f"b{ESCAPES}"], 48), city=f"town{ESCAPES}")
        return [*command.split(), "t.csv"]

    @attack("terminal", f"names of columns, {_command}", harmless=True)
    def _columns(assets: Assets, folder: Path, command: str = _command) -> Command:
        table(folder / "t.csv", **{f"pm{ESCAPES}": 1.0, f"PM10 ({ESCAPES})": 2.0})
        return [*command.split(), "t.csv"]

    @attack("terminal", f"values and times, {_command}", harmless=True)
    def _values(assets: Assets, folder: Path, command: str = _command) -> Command:
        table(folder / "t.csv", pm25=[f"5{ESCAPES}"] * 96, time=[f"2019{ESCAPES}"] * 96)
        return [*command.split(), "t.csv"]

    @attack("terminal", f"name of the file, {_command}", harmless=True)
    def _file(assets: Assets, folder: Path, command: str = _command) -> Command:
        table(folder / f"t{ESCAPES}.csv")
        return [*command.split(), f"t{ESCAPES}.csv"]


@attack("terminal", "import of names with escapes into a file of such a name", harmless=True)
def _import(assets: Assets, folder: Path) -> Command:
    table(folder / "t.csv", station_id=np.repeat([f"a{ESCAPES}", f"b{ESCAPES}"], 48), city=f"town{ESCAPES}")
    return ["observations", "import", "t.csv", "--out", f"o{ESCAPES}.nc"]


@attack("terminal", "a proposed mapping of a table with such columns", harmless=True)
def _propose(assets: Assets, folder: Path) -> Command:
    pd.DataFrame({f"x{ESCAPES}": ["q"], f"when{ESCAPES}": ["2019-01-01"], f"v{ESCAPES}": [1.0]}).to_csv(
        folder / "t.csv", index=False
    )
    return ["observations", "check", "t.csv"]


for _command, _more in WRITERS.items():

    @attack("terminal", f"attributes and layers of a cube, {_command}", harmless=True)
    def _cube(assets: Assets, folder: Path, command: str = _command, more: Command = _more) -> Command:
        cube = copied(assets.netcdf, folder / f"x{ESCAPES}.nc")
        with_attributes(
            cube,
            **dict.fromkeys(("title", "history", "source", "comment", "Conventions", "license"), f"t{ESCAPES}"),
            **{f"pm2p5__{n}": f"u{ESCAPES}" for n in ("long_name", "standard_name", "cell_methods", "comment")},
        )
        with netCDF4.Dataset(cube, "a") as file:
            file.createVariable(STRANGE_NAME, "f4", ("time", "lat", "lon")).long_name = ESCAPES
        places(folder / "p.csv", ["a"])
        return [*command.split(), str(cube), *more]


@attack("terminal", "units of a cube", harmless=True)
def _units(assets: Assets, folder: Path) -> Command:
    cube = with_attributes(copied(assets.netcdf, folder / "x.nc"), pm2p5__units=f"ug{ESCAPES}")
    return ["info", str(cube)]


@attack("terminal", "layers of a Zarr store", harmless=True)
def _store(assets: Assets, folder: Path) -> Command:
    cube = copied(assets.zarr, folder / "x.zarr")
    text = (cube / ".zmetadata").read_text()
    content = json.loads(text)
    content["metadata"][f"v{ESCAPES}/.zarray"] = content["metadata"]["pm2p5/.zarray"]
    content["metadata"][f"v{ESCAPES}/.zattrs"] = {**content["metadata"]["pm2p5/.zattrs"], "long_name": ESCAPES}
    content["metadata"][".zattrs"]["title"] = ESCAPES
    (cube / ".zmetadata").write_text(json.dumps(content))
    return ["validate", str(cube)]


@attack("terminal", "species and provenance of a bundle", harmless=True)
def _species(assets: Assets, folder: Path) -> Command:
    model = copied(assets.model, folder / "model")
    record = json.loads((model / "provenance.json").read_text())
    (model / "provenance.json").write_text(json.dumps({**record, f"k{ESCAPES}": ESCAPES}))
    return ["info", str(model)]


@attack("terminal", "config of a bundle with a strange species")
def _strange_species(assets: Assets, folder: Path) -> Command:
    model = copied(assets.model, folder / "model")
    text = (model / "config.yaml").read_text()
    (model / "config.yaml").write_text(text.replace("- pm25", '- "\\e]0;owned\\a"'))
    return produce(signed(model), assets.csv)


@attack("terminal", "variables and attributes of covariates", harmless=True)
def _covariates(assets: Assets, folder: Path) -> Command:
    with netCDF4.Dataset(folder / "c.nc", "w") as file:
        for name, size in {"time": 3, "lat": 3, "lon": 3}.items():
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,))[:] = np.arange(size) + {"lat": 39, "lon": 116}.get(name, 0)
        file["time"].units, file["lat"].units, file["lon"].units = (
            "hours since 2019-01-03",
            "degrees_north",
            "degrees_east",
        )
        for name in (STRANGE_NAME, "t2m"):
            one = file.createVariable(name, "f4", ("time", "lat", "lon"))
            one[:], one.units, one.long_name = 280.0, f"K{ESCAPES}", ESCAPES
    return ["covariates", "check", "c.nc"]


@attack("terminal", "places and id columns of an export", harmless=True)
def _places(assets: Assets, folder: Path) -> Command:
    frame = pd.DataFrame({f"id{ESCAPES}": [f"p{ESCAPES}", "q"], "lat": [39.5, np.nan], "lon": [117.0, 117.0]})
    frame.to_csv(folder / "p.csv", index=False)
    return ["export", "points", str(assets.netcdf), "--places", "p.csv", "--out", "t.csv"]


def _geojson(path: Path, **properties: Any) -> Path:
    ring = [[116.5, 39.2], [117.5, 39.2], [117.5, 40.0], [116.5, 39.2]]
    features = [{"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@attack("terminal", "properties of polygons", harmless=True)
def _properties(assets: Assets, folder: Path) -> Command:
    _geojson(folder / "a.geojson", **{"name": f"n{ESCAPES}", f"k{ESCAPES}": "v"})
    return ["export", "polygons", str(assets.netcdf), "--vector", "a.geojson", "--out", "t.csv"]


@attack("terminal", "a folder of such names", harmless=True)
def _folder(assets: Assets, folder: Path) -> Command:
    (folder / f"d{ESCAPES}").mkdir()
    table(folder / f"d{ESCAPES}" / f"t{ESCAPES}.csv")
    (folder / f"d{ESCAPES}" / f"u{ESCAPES}.csv").write_text("no table\n")
    return ["observations", "check", f"d{ESCAPES}", "--skip-broken"]


# ---- tables and pages ------------------------------------------------------------------------------------------------
def _no_formula(folder: Path) -> str:
    """Say whether a cell of a table that was written begins as a formula does."""
    for path in folder.rglob("out*.csv"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        cells = [*map(str, frame.columns), *frame.select_dtypes(exclude="number").to_numpy().ravel()]
        for cell in cells:
            number = cell.replace("-", "", 1).replace(".", "", 1).replace("e", "", 1).replace("-", "", 1)
            if cell[:1] in "=+@\t\r-" and cell and not number.isdigit():
                return f"{path.name} holds {cell[:40]!r}"
    return ""


for _mark in ("=1+1", "+cmd", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\t=1+1", " =1+1", "\r=1"):

    @attack("formulas", f"a place called {_mark!r}", harmless=True, look=_no_formula)
    def _formula(assets: Assets, folder: Path, mark: str = _mark) -> Command:
        places(folder / "p.csv", [mark, "q"])
        return ["export", "points", str(assets.netcdf), "--places", "p.csv", "--out", "out.csv"]


@attack("formulas", "an id column called =1+1", harmless=True, look=_no_formula)
def _formula_column(assets: Assets, folder: Path) -> Command:
    pd.DataFrame({"=1+1": ["a", "b"], "lat": [39.5, 39.6], "lon": 117.0}).to_csv(folder / "p.csv", index=False)
    return [
        *("export", "points", str(assets.netcdf), "--places", "p.csv", "--id-column", "=1+1", "--out", "out.csv"),
    ]


@attack("formulas", "names of polygons", harmless=True, look=_no_formula)
def _formula_polygons(assets: Assets, folder: Path) -> Command:
    _geojson(folder / "a.geojson", name=FORMULA)
    return [
        *("export", "polygons", str(assets.netcdf), "--vector", "a.geojson", "--id-column", "name"),
        *("--out", "out.csv"),
    ]


def _good_xml(folder: Path) -> str:
    """Say whether an XML or JSON that was written cannot be read."""
    for path in folder.rglob("*"):
        if path.suffix in (".xml", ".qml", ".qgs") and "x.nc" not in path.name:
            try:
                ET.parse(path)
            except ET.ParseError as error:
                return f"{path.name}: {error}"
        elif path.suffix == ".json":
            json.loads(path.read_text())
    return ""


def _safe_page(folder: Path) -> str:
    """Say whether markup of an attribute stands in a page as markup."""
    for path in folder.rglob("*.html"):
        if "<script>alert(1)" in path.read_text(encoding="utf-8"):
            return f"{path.name} runs the title"
    return ""


def _harmless_files(folder: Path) -> str:
    """Say what is wrong with what was written."""
    return _good_xml(folder) or _safe_page(folder)


_TEXTS = {"markup": MARKUP, "control characters": "a\x01\x0b\x1f\ufffe\u0085b", "10 MB": "x" * 10_000_000}
for _name, _more in WRITERS.items():
    for _what, _text in _TEXTS.items():

        @attack("XML, STAC, pages", f"{_what} in the attributes of a cube, {_name}", True, _harmless_files)
        def _written(
            assets: Assets, folder: Path, command: str = _name, text: str = _text, more: Command = _more
        ) -> Command:
            cube = with_attributes(
                copied(assets.netcdf, folder / "x.nc"),
                **dict.fromkeys(("title", "summary", "license", "history", "creator_name", "id", "source"), text),
                pm2p5__long_name=text,
            )
            places(folder / "p.csv", ["a"])
            return [*command.split(), str(cube), *more]


@attack("XML, STAC, pages", "GeoJSON ids that are paths", True)
def _path_ids(assets: Assets, folder: Path) -> Command:
    cube = with_attributes(copied(assets.netcdf, folder / "x.nc"), id="../../../owned", title="../../owned")
    return ["export", "stac", str(cube), "--out", "out"]
