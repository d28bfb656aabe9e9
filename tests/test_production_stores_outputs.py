"""The names of what a run leaves, and that a new kind of store is one class, told to the registry."""

from __future__ import annotations

import json
import pickle
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from production_case import END, GRID, START, TILES, make_bundle, make_observations

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.production import ProduceOptions, describe_cube, produce
from aqreanalysis.production.plan import Block
from aqreanalysis.production.stores import outputs as registry
from aqreanalysis.production.stores.outputs import StoreKind, frequency_names, kind_of, register_store
from aqreanalysis.production.stores.store import Checksums, Layers, Output, Store, StoredLayer, StoreSpec, Written
from aqreanalysis.production.template import Template


@dataclass(frozen=True)
class NumpyStore(Store):
    """A folder of .npy files, one a layer, into which blocks are written in place; what it says of itself is JSON."""

    outputs: tuple[Output, ...]
    path: Path

    @classmethod
    def open(cls, spec: StoreSpec) -> Store:
        return cls(spec.outputs, spec.part / f"{spec.frequency}.npys")

    @classmethod
    def open_dataset(cls, where: str) -> xr.Dataset:
        said = json.loads((Path(where) / "cube.json").read_text())
        arrays = {
            name: (dims, np.load(Path(where) / f"{name}.npy"), attrs) for name, (dims, attrs) in said["v"].items()
        }
        return xr.decode_cf(xr.Dataset(arrays, attrs=said["attrs"]))

    @property
    def layout(self) -> str:
        return "NumPy files"

    def sample(self, folder: Path) -> Store:
        return NumpyStore((), folder / self.path.name)

    def limited_to(self, outputs: Sequence[Output]) -> Store:
        return replace(self, outputs=tuple(outputs))

    def create(self, template: Template) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        for layer in template.layers:
            np.save(self.path / f"{layer.name}.npy", np.zeros(template.shape(layer), layer.dtype))
        for name, one in template.coordinates.items():
            np.save(self.path / f"{name}.npy", one.values)
        variables = {x.name: (x.dims, x.attrs) for x in template.layers} | {
            name: (x.dims, x.attrs) for name, x in template.coordinates.items()
        }
        said = {"attrs": template.attrs, "v": variables}
        (self.path / "cube.json").write_text(json.dumps(said, default=lambda array: array.tolist()))

    def is_created(self) -> bool:
        return (self.path / "cube.json").exists()

    def write(self, block: Block, layers: Layers) -> Written:
        chunks = {}
        for name, values in layers.items():
            array = np.load(self.path / f"{name}.npy", mmap_mode="r+")
            array[block.region[3 - values.ndim :]] = values
            chunks[name] = StoredLayer.of(values.tobytes())
        return Written(sum(v.nbytes for v in layers.values()), chunks)

    def complete(
        self, templates: Mapping[str, Template], blocks: Mapping[int, Mapping[str, Checksums]], progress: Progress
    ) -> None:
        assert set(templates) == {output.name for output in self.outputs}

    def is_staged(self, output: Output) -> bool:
        return self.path.exists()

    def finalise(self, output: Output) -> None:
        self.path.rename(str(output.path))


@pytest.fixture
def numpy_kind(monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", list(registry._KINDS))
    ends = lambda name: name.endswith(".npys")  # noqa: E731
    register_store(StoreKind("NumPy files", ".npys", ends, ends, lambda: NumpyStore))


def test_a_new_kind_of_store_is_one_class_and_holds_the_numbers_of_the_others(numpy_kind, tmp_path):
    model, observations = make_bundle(tmp_path / "bundle"), make_observations()
    options = ProduceOptions(production=TILES)
    with (
        produce(model, observations, GRID, START, END, tmp_path / "x.npys", options) as cube,
        produce(model, observations, GRID, START, END, tmp_path / "x.zarr", options) as other,
    ):
        assert set(cube.variables) == set(other.variables)
        for name in other.variables:
            np.testing.assert_array_equal(cube[name].values, other[name].values, err_msg=str(name))
        assert cube.pm2p5.attrs["units"] == "ug m-3" and cube.title == other.title
    assert not (tmp_path / "x.npys.part").exists()
    assert describe_cube(tmp_path / "x.npys")["format"] == "NumPy files"
    with pytest.raises(OutputError, match=r"x\.npys exists; choose another --out"):
        produce(model, observations, GRID, START, END, tmp_path / "x.npys", options)
    with pytest.raises(OutputError, match="NumPy files cannot grow"):
        produce(model, observations, GRID, None, "2019-01-08", tmp_path / "x.npys", replace(options, append=True))


def test_an_ending_that_no_kind_takes_is_refused_with_those_that_are_known(numpy_kind):
    with pytest.raises(OutputError, match=r"output 'x\.tif' must end in \.nc or \.zarr or \.npys"):
        kind_of("x.tif")
    for hidden in (".nc", "a/.zarr", "x"):
        with pytest.raises(OutputError, match="the ending chooses the format"):
            kind_of(hidden)


@pytest.mark.parametrize("out", ["x.nc", "x.zarr", "s3://bucket/x.zarr"])
def test_every_store_can_be_sent_to_another_process(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stores = registry.Outputs.of(out, ("hourly", "daily")).open(ProduceOptions(), 1)
    assert set(stores) == {"hourly", "daily"} and pickle.loads(pickle.dumps(stores)) == stores
    assert [output.path.name.partition(".")[0] for store in stores.values() for output in store.outputs] == [
        "x_hourly",
        "x_daily",
    ]
    assert zlib.crc32(b"a") == StoredLayer.of(b"a").checksums[0]


def test_one_frequency_goes_to_the_named_file_and_several_to_siblings():
    assert frequency_names(Path("a/x.nc"), ("daily",)) == {"daily": Path("a/x.nc")}
    assert frequency_names(Path("a/x.zarr"), ("hourly", "annual")) == {
        "hourly": Path("a/x_hourly.zarr"),
        "annual": Path("a/x_annual.zarr"),
    }


@pytest.mark.parametrize("out", ["s3:/bucket/x.zarr", "https:/host/x.zarr", "S3:/KEY:SECRET@bucket/x.zarr"])
def test_a_url_that_has_lost_a_stroke_becomes_no_folder_and_is_not_repeated(out: str) -> None:
    with pytest.raises(OutputError, match="two strokes") as caught:
        kind_of(out)
    assert "bucket" not in str(caught.value)
