"""The attacks of `attack_case`, by kind: what a stranger may send, or leave where this program looks."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from attack_case import SECRET, Assets, Attack, Command

#: More than any interpreter follows, and less than 300 kB.
DEEP = 120_000
#: Sets a terminal's title, turns a text round, rings, and clears the screen.
ESCAPES = "\x1b]0;owned\x07\u202e\x9b2J"
#: What a spreadsheet runs, and what a page runs.
FORMULA = '=HYPERLINK("http://attacker","click")'
MARKUP = "</script><script>alert(1)</script><!--&]]>"
BOX = "116,39,118,40.5@0.25"
SPAN = ["--start", "2019-01-03", "--end", "2019-01-04"]
SPARSE_BYTES = 20 << 30

#: A name that NetCDF allows: it turns text round and clears the screen.
STRANGE_NAME = "v\u202e\u2066\x9b2J"
#: Commands that read a cube, and what they need besides it.
WRITERS: dict[str, Command] = {
    "info": [],
    "validate": [],
    "plot": ["--mean", "--out", "out.png"],
    "view": ["--out", "out.html"],
    "style": ["--out", "out"],
    "export cog": ["--out", "out"],
    "export aggregate": ["--statistic", "aqi", "--out", "out.nc"],
    "export netcdf": ["--out", "out"],
    "export stac": ["--out", "out"],
    "export grib": ["--species", "pm25", "--out", "out.grib2"],
    "export points": ["--places", "p.csv", "--out", "out.csv"],
}
ATTACKS: list[Attack] = []
Prepare = Callable[[Assets, Path], Command]


def attack(
    kind: str, name: str, harmless: bool = False, look: Callable[[Path], str] | None = None
) -> Callable[[Prepare], Prepare]:
    """Register the function below as the preparation of an attack."""

    def add(prepare: Prepare) -> Prepare:
        ATTACKS.append(Attack(kind, name, prepare, harmless, look))
        return prepare

    return add


def deep_json(opening: str = "[", closing: str = "]", core: str = "1") -> str:
    """Return JSON that is nested deeper than a parser that calls itself can follow."""
    return opening * DEEP + core + closing * DEEP


def table(path: Path, **columns: Any) -> Path:
    """Write a CSV of two days of two stations, with other values or other columns."""
    hours = pd.date_range("2019-01-02", periods=48, freq="h")
    frame = pd.DataFrame(
        {
            "station_id": np.repeat(["a", "b"], 48),
            "time": np.tile(hours.strftime("%Y-%m-%dT%H:%M:%SZ"), 2),
            "lat": np.repeat([39.5, 40.0], 48),
            "lon": np.repeat([117.0, 117.5], 48),
            "pm25": np.tile(np.arange(48) % 17 + 5.0, 2),
        }
    )
    for name, value in columns.items():
        frame[name] = value
    frame.to_csv(path, index=False)
    return path


def places(path: Path, names: list[str]) -> Path:
    """Write a CSV of places."""
    pd.DataFrame({"place": names, "lat": 39.5 + 0.1 * np.arange(len(names)), "lon": 117.0}).to_csv(path, index=False)
    return path


def sparse(path: Path, head: bytes = b"") -> Path:
    """Write a file of 20 GB of which nothing is on the disk but its beginning."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(SPARSE_BYTES)
    return path


def copied(source: Path, to: Path) -> Path:
    """Return a copy of a file or folder."""
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy(source, to)
    return to


def signed(bundle: Path) -> Path:
    """Give a bundle that was altered the digests that fit, as whoever alters one would."""
    record = bundle / "provenance.json"
    provenance = json.loads(record.read_text())
    digests = {n: hashlib.sha256((bundle / n).read_bytes()).hexdigest() for n in provenance["files_sha256"]}
    from aqreanalysis.model import bundle as reader

    provenance |= {"files_sha256": digests, "model_digest": reader._model_digest(digests)}
    record.write_text(json.dumps(provenance))
    return bundle


def produce(model: Path, observations: Path, out: str = "out.nc", *more: str) -> Command:
    """Return the command that makes a cube."""
    return [
        *("produce", "--model", str(model), "--observations", str(observations), "--grid", BOX),
        *(*SPAN, "--out", out, *more),
    ]


def with_attributes(cube: Path, **attributes: Any) -> Path:
    """Change attributes of a NetCDF cube: its own, or ``NAME__ATTRIBUTE`` of a variable."""
    with netCDF4.Dataset(cube, "a") as file:
        for name, value in attributes.items():
            variable, _, attribute = name.rpartition("__")
            (file[variable] if variable else file).setncattr(attribute, value)
    return cube


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


# ---- sizes -----------------------------------------------------------------------------------------------------------
for _ending, _head in {
    "csv": b"station_id,time,lat,lon,pm25\n",
    "csv.gz": b"\x1f\x8b\x08\x00",
    "parquet": b"PAR1",
    "nc": b"CDF\x01",
    "zip": b"PK\x03\x04",
    "json": b'{"results": [',
    "xlsx": b"PK\x03\x04",
    "dat": b"40 1001\n",
}.items():

    @attack("sizes", f"a sparse .{_ending} of 20 GB as observations")
    def _sparse(assets: Assets, folder: Path, ending: str = _ending, head: bytes = _head) -> Command:
        sparse(folder / f"x.{ending}", head)
        return ["observations", "check", f"x.{ending}"]


for _ending in ("yaml", "nc", "txt"):

    @attack("sizes", f"a sparse .{_ending} of 20 GB as grid")
    def _sparse_grid(assets: Assets, folder: Path, ending: str = _ending) -> Command:
        sparse(folder / f"g.{ending}")
        command = produce(assets.model, assets.csv)
        command[command.index(BOX)] = f"g.{ending}"
        return command


@attack("sizes", "a sparse config of 20 GB")
def _sparse_config(assets: Assets, folder: Path) -> Command:
    sparse(folder / "c.yaml")
    return ["train", "--config", "c.yaml", "--observations", str(assets.csv), "--out", "m"]


@attack("sizes", "a sparse list of stations of 20 GB")
def _sparse_list(assets: Assets, folder: Path) -> Command:
    sparse(folder / "s.csv", b"id,lat,lon\n")
    return produce(assets.model, assets.csv, "o.nc", "--stations", "s.csv")


for _ending in ("csv", "geojson", "parquet", "gpkg"):

    @attack("sizes", f"sparse places of 20 GB, .{_ending}")
    def _sparse_places(assets: Assets, folder: Path, ending: str = _ending) -> Command:
        sparse(folder / f"p.{ending}", b"place,lat,lon\n" if ending == "csv" else b'{"type": "FeatureCollection"')
        return ["export", "points", str(assets.netcdf), "--places", f"p.{ending}", "--out", "t.csv"]


for _name in (".zmetadata", ".zattrs", "lat/0"):

    @attack("sizes", f"a sparse {_name} of 20 GB in a store")
    def _sparse_store(assets: Assets, folder: Path, name: str = _name) -> Command:
        cube = copied(assets.zarr, folder / "x.zarr")
        sparse(cube / name)
        return ["validate", str(cube)]


for _name in ("provenance.json", "config.yaml", "weights.safetensors", "stations.parquet", "MODEL_CARD.md"):

    @attack("sizes", f"a sparse {_name} of 20 GB in a bundle")
    def _sparse_bundle(assets: Assets, folder: Path, name: str = _name) -> Command:
        model = copied(assets.model, folder / "model")
        sparse(model / name)
        return produce(model, assets.csv)


for _ending in ("nc", "grib", "tif", "csv"):

    @attack("sizes", f"a sparse .{_ending} of 20 GB as covariates")
    def _sparse_covariates(assets: Assets, folder: Path, ending: str = _ending) -> Command:
        sparse(folder / f"c.{ending}", {"nc": b"CDF\x01", "grib": b"GRIB", "tif": b"II*\x00"}.get(ending, b""))
        return ["covariates", "check", f"c.{ending}"]


def _zip(path: Path, size: int, line: bytes) -> None:
    """Write a zip of one table that unpacks to `size` bytes, made of one line again and again."""
    piece = line * (1 << 20 >> max(len(line).bit_length() - 1, 0))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("t.csv", "w", force_zip64=True) as file,
    ):
        file.write(b"station_id,time,lat,lon,pm25\n")
        for _ in range(size // len(piece)):
            file.write(piece)


for _what, _line in {
    "one line": b"x",
    "no table": b"x\n",
    "nothing but quotes": b'"',
    "nothing but commas": b",",
}.items():

    @attack("sizes", f"a zip of 600 MB: {_what}")
    def _zipped(assets: Assets, folder: Path, line: bytes = _line) -> Command:
        _zip(folder / "t.zip", 600 << 20, line)
        return ["observations", "check", "t.zip"]

    @attack("sizes", f"gzip of 600 MB: {_what}")
    def _gzipped(assets: Assets, folder: Path, line: bytes = _line) -> Command:
        with gzip.open(folder / "t.csv.gz", "wb", 1) as file:
            for _ in range(600):
                file.write(line * ((1 << 20) // len(line)))
        return ["observations", "check", "t.csv.gz"]


@attack("sizes", "a zip of a zip of a zip")
def _nested(assets: Assets, folder: Path) -> Command:
    inner = folder / "t.csv"
    table(inner)
    for number in range(3):
        outer = folder / f"{number}.zip"
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(inner, inner.name)
        inner = outer
    return ["observations", "check", str(inner)]


@attack("sizes", "a zip of 200,000 files", harmless=True)
def _many(assets: Assets, folder: Path) -> Command:
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        for number in range(200_000):
            archive.writestr(f"{number}.csv", b"")
    return ["observations", "check", "t.zip"]


@attack("sizes", "a zip with names that leave its folder", harmless=True)
def _slip(assets: Assets, folder: Path) -> Command:
    table(folder / "t.csv")
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        archive.write(folder / "t.csv", "../../owned.csv")
        archive.write(folder / "t.csv", "/owned.csv")
    return ["observations", "check", "t.zip"]


@attack("sizes", "covariates in a zip with names that leave its folder", harmless=True)
def _slip_covariates(assets: Assets, folder: Path) -> Command:
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.write(assets.netcdf, "../../../owned.nc")
    return ["covariates", "check", "c.zip"]


@attack("sizes", "covariates in a zip that unpack to 30 GB")
def _zip_covariates(assets: Assets, folder: Path) -> Command:
    with (
        zipfile.ZipFile(folder / "c.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.nc", "w", force_zip64=True) as file,
    ):
        for _ in range(1 << 8):
            file.write(b"\0" * (1 << 22))
    data = bytearray((folder / "c.zip").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)  # declared: 4 GB
    (folder / "c.zip").write_bytes(data)
    return ["covariates", "check", "c.zip"]


def _classic(path: Path, lengths: dict[str, int], variable: str = "pm2p5") -> Path:
    """Write a classic NetCDF whose header declares dimensions of any length, and a coordinate a dimension."""

    def name(text: str) -> bytes:
        data = text.encode()
        return struct.pack(">i", len(data)) + data + b"\0" * (-len(data) % 4)

    dims = b"".join(name(n) + struct.pack(">i", size) for n, size in lengths.items())
    absent = struct.pack(">ii", 0, 0)
    units = {"time": "hours since 2019-01-01", "lat": "degrees_north", "lon": "degrees_east"}

    def variable_of(what: str, ids: list[int]) -> bytes:
        text = units.get(what, "ug m-3").encode()
        attribute = struct.pack(">ii", 12, 1) + name("units") + struct.pack(">ii", 2, len(text))
        attribute += text + b"\0" * (-len(text) % 4)
        size = min(int(np.prod([list(lengths.values())[i] for i in ids], dtype=float)) * 4, 2**31 - 4)
        return (
            name(what)
            + struct.pack(">i", len(ids))
            + struct.pack(f">{len(ids)}i", *ids)
            + attribute
            + struct.pack(">iii", 5, size, 4096)
        )

    variables = [variable_of(n, [i]) for i, n in enumerate(lengths)] + [variable_of(variable, [0, 1, 2])]
    path.write_bytes(
        b"CDF\x01"
        + struct.pack(">i", 0)
        + struct.pack(">ii", 10, len(lengths))
        + dims
        + absent
        + struct.pack(">ii", 11, len(variables))
        + b"".join(variables)
        + b"\0" * 4096
    )
    return path


_HUGE = {"time": 400_000_000, "lat": 500_000_000, "lon": 500_000_000}
for _command, _more in {**WRITERS, "covariates check": [], "observations check": []}.items():

    @attack("declared sizes", f"a NetCDF of dimensions of 5e8, {_command}")
    def _declared(assets: Assets, folder: Path, command: str = _command, more: Command = _more) -> Command:
        _classic(folder / "x.nc", _HUGE)
        places(folder / "p.csv", ["a"])
        return [*command.split(), "x.nc", *more]


for _command, _more in WRITERS.items():
    for _chunks in ("small", "whole"):

        @attack("declared sizes", f"a Zarr store of 1e30 cells in {_chunks} chunks, {_command}")
        def _declared_store(
            assets: Assets, folder: Path, command: str = _command, more: Command = _more, chunks: str = _chunks
        ) -> Command:
            cube = copied(assets.zarr, folder / "x.zarr")
            content = json.loads((cube / ".zmetadata").read_text())
            for name, held in content["metadata"].items():
                if name.endswith("/.zarray") and len(held["shape"]) in (1, 3):
                    held["shape"] = [10**10] * len(held["shape"])
                    held["chunks"] = held["chunks"] if chunks == "small" else held["shape"]
            (cube / ".zmetadata").write_text(json.dumps(content))
            places(folder / "p.csv", ["a"])
            return [*command.split(), str(cube), *more]


def _tiff(path: Path, width: int, height: int) -> Path:
    """Write a GeoTIFF of a few bytes that declares any size."""
    import rasterio

    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "float32", "sparse_ok": True}
    more = {"tiled": True, "blockxsize": 16384, "blockysize": 16384, "compress": "deflate", "BIGTIFF": "YES"}
    transform = rasterio.transform.from_bounds(116, 39, 118, 41, width, height)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile, **more):
        pass
    return path


@attack("declared sizes", "a GeoTIFF of 1e12 cells as a covariate", harmless=True)
def _tiff_covariate(assets: Assets, folder: Path) -> Command:
    _tiff(folder / "e.tif", 1_000_000, 1_000_000)
    return ["covariates", "check", "e.tif"]


@attack("declared sizes", "a GeoTIFF of 1e12 cells as a static field of a training")
def _tiff_static(assets: Assets, folder: Path) -> Command:
    _tiff(folder / "e.tif", 1_000_000, 1_000_000)
    return [
        *("train", "--config", "demo", "--observations", str(assets.csv), "--out", "m", "--static", "e=e.tif"),
        *("--set", "training.epochs=1"),
    ]


@attack("declared sizes", "a Parquet whose footer says 1e9 rows", harmless=True)
def _parquet_rows(assets: Assets, folder: Path) -> Command:
    columns = {"station_id": "a", "time": pd.Timestamp("2019-01-01", tz="UTC"), "lat": 39.5, "lon": 117.0, "pm25": 5.0}
    one = pa.Table.from_pandas(pd.DataFrame({n: [v] * 1000 for n, v in columns.items()}))
    with pq.ParquetWriter(folder / "x.parquet", one.schema, compression="zstd") as writer:
        writer.write_table(one)
    data = (folder / "x.parquet").read_bytes()
    length = struct.unpack("<I", data[-8:-4])[0]
    footer = data[-8 - length : -8].replace(b"\x16\xd0\x0f", b"\x16\x80\xa8\xd6\xb9\x07")  # 1000 rows become 1e9
    (folder / "x.parquet").write_bytes(data[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    return ["observations", "check", "x.parquet"]


@attack("declared sizes", "weights whose header declares 1e15 numbers")
def _weights(assets: Assets, folder: Path) -> Command:
    model = copied(assets.model, folder / "model")
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4 * 10**15]}}).encode()
    (model / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
    return produce(signed(model), assets.csv)


@attack("declared sizes", "weights whose header is 2^60 bytes long")
def _weights_header(assets: Assets, folder: Path) -> Command:
    model = copied(assets.model, folder / "model")
    (model / "weights.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    return produce(signed(model), assets.csv)


for _key in ("neighbours", "state_width", "kernels", "channels", "attention_heads", "head_width"):

    @attack("declared sizes", f"a bundle whose config says {_key} 1e9")
    def _config_size(assets: Assets, folder: Path, key: str = _key) -> Command:
        import yaml

        model = copied(assets.model, folder / "model")
        content = yaml.safe_load((model / "config.yaml").read_text())
        content["model"][key] = 10**9
        (model / "config.yaml").write_text(yaml.safe_dump(content))
        return produce(signed(model), assets.csv)


@attack("declared sizes", "a grid of 1e18 cells")
def _grid_size(assets: Assets, folder: Path) -> Command:
    command = produce(assets.model, assets.csv)
    command[command.index(BOX)] = "-180,-90,180,90@0.0000001"
    return command


@attack("declared sizes", "a grid of NetCDF of 5e8 rows")
def _grid_file(assets: Assets, folder: Path) -> Command:
    _classic(folder / "g.nc", _HUGE)
    command = produce(assets.model, assets.csv)
    command[command.index(BOX)] = "g.nc"
    return command


@attack("declared sizes", "a CDO grid of 1e18 cells")
def _griddes(assets: Assets, folder: Path) -> Command:
    (folder / "g.txt").write_text(
        "gridtype = lonlat\nxsize = 1000000000\nysize = 1000000000\n"
        "xfirst = 0\nxinc = 0.0000001\nyfirst = 0\nyinc = 0.0000001\n"
    )
    command = produce(assets.model, assets.csv)
    command[command.index(BOX)] = "g.txt"
    return command


@attack("declared sizes", "a timeline of nine thousand years")
def _timeline(assets: Assets, folder: Path) -> Command:
    command = produce(assets.model, assets.csv)
    command[command.index("2019-01-04")] = "9999-12-31"
    return command


@attack("declared sizes", "observations that span three thousand years")
def _span(assets: Assets, folder: Path) -> Command:
    table(folder / "t.csv", time=["0001-01-01T00:00:00Z", "3000-01-01T00:00:00Z"] * 48)
    return ["observations", "import", "t.csv", "--out", "o.nc"]


# ---- links -----------------------------------------------------------------------------------------------------------
@attack("links", "a file of observations that leads out of its folder")
def _link(assets: Assets, folder: Path) -> Command:
    (folder / "d").mkdir()
    table(folder / "d" / "a.csv")
    (folder / "d" / "b.csv").symlink_to("/etc/passwd")
    return ["observations", "check", "d"]


@attack("links", "a folder of observations that leads to itself", harmless=True)
def _loop(assets: Assets, folder: Path) -> Command:
    (folder / "d").mkdir()
    table(folder / "d" / "a.csv")
    (folder / "d" / "again").symlink_to(folder / "d", target_is_directory=True)
    return ["observations", "check", "d"]


@attack("links", "a folder of covariates that leads out")
def _link_covariates(assets: Assets, folder: Path) -> Command:
    (folder / "d").mkdir()
    copied(assets.netcdf, folder / "d" / "a.nc")
    (folder / "secret.nc").write_text(SECRET)
    (folder / "d" / "b.nc").symlink_to(folder / "secret.nc")
    return ["covariates", "check", "d"]


@attack("links", "a chunk of a store that leads out", harmless=True)
def _link_chunk(assets: Assets, folder: Path) -> Command:
    cube = copied(assets.zarr, folder / "x.zarr")
    (cube / "pm2p5" / "0.0.0").unlink()
    (cube / "pm2p5" / "0.0.0").symlink_to("/etc/passwd")
    return ["validate", str(cube)]


@attack("links", "a work folder that leads elsewhere")
def _link_work(assets: Assets, folder: Path) -> Command:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "precious").write_text("x")
    (folder / "out.zarr.part").symlink_to(folder / "elsewhere", target_is_directory=True)
    return produce(assets.model, assets.parquet, "out.zarr")


@attack("links", "an output that leads elsewhere")
def _link_out(assets: Assets, folder: Path) -> Command:
    (folder / "precious.nc").write_text("x")
    (folder / "out.nc").symlink_to(folder / "precious.nc")
    return produce(assets.model, assets.parquet, "out.nc")


@attack("links", "a pipe as observations")
def _pipe(assets: Assets, folder: Path) -> Command:
    import os

    os.mkfifo(folder / "t.csv")
    return ["observations", "check", "t.csv"]


@attack("links", "a device as observations")
def _device(assets: Assets, folder: Path) -> Command:
    (folder / "t.csv").symlink_to("/dev/zero")
    return ["observations", "check", "t.csv"]


@attack("links", "a pipe in a folder of observations", harmless=True)
def _pipe_within(assets: Assets, folder: Path) -> Command:
    import os

    (folder / "d").mkdir()
    table(folder / "d" / "a.csv")
    os.mkfifo(folder / "d" / "b.csv")
    return ["observations", "check", "d"]


for _what in ("places", "grid", "config", "covariates", "stations", "cube"):

    @attack("links", f"a pipe as {_what}")
    def _pipe_as(assets: Assets, folder: Path, what: str = _what) -> Command:
        import os

        ending = {"config": "yaml", "grid": "yaml", "places": "csv", "stations": "csv"}.get(what, "nc")
        os.mkfifo(folder / f"p.{ending}")
        if what == "places":
            return ["export", "points", str(assets.netcdf), "--places", "p.csv", "--out", "t.csv"]
        if what in ("grid", "stations"):
            command = produce(assets.model, assets.csv)
            if what == "grid":
                command[command.index(BOX)] = "p.yaml"
                return command
            return [*command, "--stations", "p.csv"]
        if what == "config":
            return ["train", "--config", "p.yaml", "--observations", str(assets.csv), "--out", "m"]
        return ["covariates", "check", "p.nc"] if what == "covariates" else ["info", "p.nc"]


# ---- URLs ------------------------------------------------------------------------------------------------------------
_URLS = {
    "key and secret": f"s3://AKIA:{SECRET}@bucket/y.zarr",
    "a name and password": f"https://user:{SECRET}@127.0.0.1:1/y.zarr",
    "a signature": f"https://127.0.0.1:1/y.zarr?X-Amz-Signature={SECRET}",
    "a fragment": f"https://127.0.0.1:1/y.zarr#{SECRET}",
    "a password with strokes": f"https://user:a/{SECRET}/b@127.0.0.1:1/y.zarr",
    "a file": f"file://user:{SECRET}@/etc/passwd",
    "ftp": f"ftp://user:{SECRET}@host/y.nc",
    "gs": f"gs://user:{SECRET}@host/y.zarr",
    "capitals": f"S3://AKIA:{SECRET}@bucket/y.zarr",
    "one stroke": f"s3:/AKIA:{SECRET}@bucket/y.zarr",
}
_TAKERS = ("produce", "observations", "covariates", "model", "grid", "train", "places", "evaluate")
for _what, _url in _URLS.items():
    for _command in ("info", "validate", "plot", "export points", *_TAKERS):

        @attack("credentials", f"{_what} in a URL, {_command}")
        def _credentials(assets: Assets, folder: Path, url: str = _url, command: str = _command) -> Command:
            listed = str(places(folder / "p.csv", ["a"]))
            usual = produce(assets.model, assets.csv)
            swapped = {"model": str(assets.model), "grid": BOX, "observations": str(assets.csv), "produce": "out.nc"}
            if command in swapped:
                usual[usual.index(swapped[command])] = url
                return usual
            return {
                "plot": ["plot", url, "--mean", "--out", "p.png"],
                "export points": ["export", "points", url, "--places", listed, "--out", "t.csv"],
                "covariates": ["covariates", "check", url],
                "train": ["train", "--config", "demo", "--observations", str(assets.csv), "--out", url],
                "evaluate": ["evaluate", "--model", url, "--observations", str(assets.csv), "--out", "e"],
                "places": ["export", "points", str(assets.netcdf), "--places", url, "--out", "t.csv"],
            }.get(command, [command, url])
