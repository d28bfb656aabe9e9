"""Cubes at URLs: read as those on a disk, from a bucket and from a web server, and refused in one line."""

from __future__ import annotations

import pickle
import shutil
import socket
from pathlib import Path

import pytest
import xarray as xr
from s3_case import fresh_bucket, running_server
from web_case import answering, serving, upload

from aqreanalysis.common import remote
from aqreanalysis.common.remote import RemotePath, place_of
from aqreanalysis.errors import ConfigError, CubeError
from aqreanalysis.production import describe_cube, open_cube
from aqreanalysis.validation import ValidateOptions, validate

pytest.importorskip("obstore", reason="pip install 'aqreanalysis[s3]'")

NAMES = ("one.zarr", "two.nc")


@pytest.fixture(scope="module")
def server():
    with running_server() as address:
        yield address


@pytest.fixture(scope="module")
def folder(cubes, tmp_path_factory):
    """Return a folder with a cube of each kind."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(cubes.one, folder / "one.zarr")
    shutil.copy(cubes.two, folder / "two.nc")
    return folder


@pytest.fixture(params=["bucket", "web"])
def above(request, folder, server, monkeypatch):
    """Return the URL that the cubes are under."""
    if request.param == "bucket":
        fresh_bucket(server, monkeypatch)
        upload(folder, "cubes", server)
        yield "s3://cubes"
        return
    with serving(folder) as address:
        yield address


def refused(where, error=CubeError) -> str:
    with pytest.raises(error) as caught:
        open_cube(where)
    line = str(caught.value)
    assert "\n" not in line and caught.value.exit_code == 2
    return line


@pytest.mark.parametrize("name", NAMES)
def test_a_cube_at_a_url_is_the_cube_on_the_disk(name, above, folder):
    with open_cube(f"{above}/{name}") as there, open_cube(folder / name) as here:
        xr.testing.assert_identical(there.load(), here.load())
    told, other = describe_cube(f"{above}/{name}"), describe_cube(folder / name)
    listed = name.endswith(".nc") or above.startswith("s3://")
    expected = {**other, "path": f"{above}/{name}", "bytes": other["bytes"] if listed else None}
    assert told == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_cube_at_a_url_is_examined_like_one_on_the_disk(name, above, folder):
    here, there = (validate(f"{place}/{name}", ValidateOptions(checker=False)) for place in (folder, above))
    assert there.findings == here.findings and there.values == here.values and there.format == here.format
    unlisted = name == "one.zarr" and above.startswith("http")
    assert [text for text in there.not_run if "zarr-chunks" in text] == [
        "rule zarr-chunks: a web server lists no files"
    ] * unlisted


def test_a_chunk_that_lacks_in_a_bucket_is_found(folder, server, monkeypatch):
    import boto3

    fresh_bucket(server, monkeypatch)
    upload(folder, "cubes", server)
    boto3.client("s3", endpoint_url=server).delete_object(Bucket="cubes", Key="one.zarr/pm2p5/0.0.0")
    found = validate("s3://cubes/one.zarr", ValidateOptions(checker=False, values=False)).findings
    assert [f.rule for f in found if f.severity == "error"] == ["zarr-chunks"]


def test_an_opened_store_goes_to_another_process(above):
    with open_cube(f"{above}/one.zarr") as cube:
        again = pickle.loads(pickle.dumps(cube))
        xr.testing.assert_equal(again["pm2p5"].isel(time=0), cube["pm2p5"].isel(time=0))


def test_a_file_is_fetched_once_and_anew_when_it_changed(folder, tmp_path):
    shutil.copy(folder / "two.nc", tmp_path / "x.nc")
    with serving(tmp_path) as address:
        place = RemotePath.of(f"{address}/x.nc")
        first = remote.fetch(place)
        assert remote.fetch(place) == first and first.read_bytes() == (folder / "two.nc").read_bytes()
        (tmp_path / "x.nc").write_bytes(b"another")
        assert remote.fetch(place).read_bytes() == b"another"
        assert "cannot be read as a cube" in refused(f"{address}/x.nc")


def test_the_variable_of_s3_alone_leads_to_a_server_too(folder, server, monkeypatch):
    fresh_bucket(server, monkeypatch)
    upload(folder, "cubes", server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    with open_cube("s3://cubes/one.zarr") as cube:
        assert cube.sizes["time"] == 72
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with open_cube("s3://cubes/two.nc") as cube:
        assert cube.sizes["time"] == 72


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_is_said_in_one_line(name, server, monkeypatch, tmp_path):
    fresh_bucket(server, monkeypatch)
    assert f"no cube s3://cubes/{name}: the bucket has nothing there" in refused(f"s3://cubes/{name}")
    assert "there is no such bucket" in refused(f"s3://nowhere/{name}")
    with serving(tmp_path) as address:
        assert f"no cube {address}/{name}: the server has nothing there (404)" in refused(f"{address}/{name}")
    for status, says in ((401, "access is denied"), (403, "access is denied"), (400, "cannot be read")):
        with answering(status) as address:
            assert says in refused(f"{address}/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_does_not_answer_is_named(name, server, monkeypatch):
    fresh_bucket(server, monkeypatch)
    assert "the server does not answer" in refused(f"http://127.0.0.1:9/{name}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer; check AWS_ENDPOINT_URL_S3" in refused(f"s3://cubes/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_takes_a_question_and_is_silent_is_not_waited_for(name, monkeypatch):
    monkeypatch.setattr(remote, "_FIRST_ANSWER", "300ms")
    monkeypatch.setattr(remote, "_SILENCE", "300ms")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer" in refused(f"http://127.0.0.1:{silent.getsockname()[1]}/{name}")


def test_a_chunk_that_cannot_be_had_is_one_line_too(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "open_objects", lambda url, patient=True, **more: plain(url, False, **more))
    with serving(folder) as address:
        cube = open_cube(f"{address}/one.zarr")
    with pytest.raises(CubeError, match=r"one\.zarr cannot be read: the server does not answer"):
        cube["pm2p5"].load()


plain = remote.open_objects

SECRETS = (
    "s3://user:hidden@cubes/x.zarr",
    "s3://hidden@cubes/x.zarr",
    "https://user:hidden@host/x.nc",
    "https://user:hid/hidden@host/x.nc",
    "https://host/x.nc?token=hidden",
    "https://host/x.nc#hidden",
    "https://host/x.nc?who=a@hidden",
)


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url):
    line = refused(url)
    assert (
        "hidden" not in line
        and "user" not in line.replace("a user name", "")
        and ("/x.nc" in line or "/x.zarr" in line)
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/x.nc", "of URLs s3://BUCKET/PATH and https://HOST/PATH are read"),
        ("https://host/x.tif", "ends in .zarr or .nc"),
        ("s3://x.zarr", "ends in .zarr or .nc"),
        (Path("s3://cubes/x.zarr"), "give the URL as text"),
    ],
)
def test_what_is_no_url_of_a_cube_is_refused(url, says):
    with pytest.raises(CubeError, match=says):
        place_of(url)


def test_ports_and_signs_in_paths_are_no_secrets():
    assert RemotePath.of("http://127.0.0.1:80/a@1/x.zarr/").name == "x.zarr"
    assert RemotePath.of("s3://cubes/a@1:2/x.zarr").stem == "x"


def test_the_extra_is_named_where_it_lacks(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    assert "pip install 'aqreanalysis[s3]'" in refused("https://host/x.zarr", ConfigError)
