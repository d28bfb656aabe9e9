"""Attacks by what a file is: enormous, a link, a pipe, an address with a secret."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from attack_case import SECRET, Assets, Command
from attack_kit import (
    BOX,
    WRITERS,
    attack,
    copied,
    places,
    produce,
    signed,
    sparse,
    table,
)

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
