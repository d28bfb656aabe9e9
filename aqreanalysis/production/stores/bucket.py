"""A cube in object storage: ``s3://bucket/path.zarr``, spoken to through obstore.

Object stores have no rename and no locks. So a cube becomes one by its metadata, which comes last: until then its
prefix holds chunks that no reader takes for a cube. Beside it stands one object, ``path.zarr.part/owner.json``, made in
one step that only one process can win: it says whose work that is, and is taken away at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import xarray as xr
import zarr

from aqreanalysis.common.publish import sync_file_system
from aqreanalysis.common.remote import (
    S3,
    RemotePath,
    has_object,
    keys_of,
    open_dataset,
    open_objects,
    refuse_secrets,
    sizes_of,
    translate_errors,
)
from aqreanalysis.errors import OutputError
from aqreanalysis.production.layers import CUBE_DIMS
from aqreanalysis.production.stores.chunk_digests import GROUP, ChunkDigests, put_into_store
from aqreanalysis.production.stores.existing import ExistingCube, Location
from aqreanalysis.production.stores.store import BlockSource, Checksums, Output, Store, StoreSpec, damaged
from aqreanalysis.production.stores.zarr import (
    ZarrStore,
    check_groups,
    chunk_keys,
    close_cached_arrays,
    discard_partial_files,
    read_header,
)

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress
    from aqreanalysis.production.plan import Block
    from aqreanalysis.production.template import Template

_OWNER = "owner.json"
# The file in a store on disk that says where its chunks go.
POINTER = ".bucket"
# What makes a prefix a store; it is uploaded last, and taken off first where a cube is replaced.
_ROOT = ("zarr.json", ".zattrs", ".zgroup", ".zmetadata")
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


@dataclass(frozen=True)
class BucketUrl(RemotePath):
    """The name of a cube in a bucket, to be written: ``s3://bucket/path.zarr``."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the place, refusing what is none.

        Raises
        ------
        OutputError
            If it is of another scheme, carries a key, names no bucket or no ``.zarr``.
        """
        refuse_secrets(text, OutputError)
        if not text.startswith(S3):
            raise OutputError(f"output {text!r}: of object stores only {S3}BUCKET/PATH.zarr is known")
        place = cls(text.rstrip("/"))
        bucket, _, key = place.url.removeprefix(S3).partition("/")
        if PurePosixPath(key).suffix != ".zarr" or not PurePosixPath(key).stem or not bucket:
            raise OutputError(
                f"output {text!r} must be {S3}BUCKET/PATH.zarr; a .nc is written to a disk and copied from there"
            )
        return place

    def exists(self) -> bool:
        """Tell whether anything is there, be it chunks without metadata."""
        with translate_errors(self.url):
            return next(iter(keys_of(open_objects(self.url, patient=False))), None) is not None

    def holds_cube(self) -> bool:
        """Tell whether there is metadata, by which chunks become a cube."""
        with translate_errors(self.url):
            store = open_objects(self.url, patient=False)
            return any(has_object(store, key) for key in (".zgroup", "zarr.json"))


@dataclass(frozen=True)
class BucketStore(ZarrStore):
    """A Zarr store in a bucket: its metadata waits on a disk, its chunks go up as they are made.

    Attributes
    ----------
    url : BucketUrl
        Its final name, whether it is written or not.
    grows : bool
        Chunks of the finished cube stay, but for those that come anew.
    """

    url: BucketUrl = BucketUrl("")
    grows: bool = False

    @classmethod
    def locate(cls, out: str) -> Location:
        """Return the place that a name says; see `Store.locate`."""
        return BucketUrl.of(out)

    @classmethod
    def work_folder(cls, whole: Location) -> Path:
        """Return the folder of what is unfinished: it is in the working directory."""
        return Path.cwd() / f"{whole.name}.part"

    @classmethod
    def open(cls, spec: StoreSpec) -> Store:
        """Return the store of a cube; nothing is written yet."""
        local = ZarrStore.open(spec)
        assert isinstance(local, ZarrStore)
        return cls(spec.outputs, local.path, local.form, BucketUrl(str(spec.whole)), spec.grows)

    @classmethod
    def open_dataset(cls, where: str) -> xr.Dataset:
        """Return a finished cube, be it in a bucket or on a web server, as xarray reads it, lazily."""
        return open_dataset(RemotePath.of(where))

    @classmethod
    def stored_bytes(cls, where: str) -> int | None:
        """Return the bytes of all objects of a finished cube; None on a web server, which lists none."""
        sizes = sizes_of(where)
        return None if sizes is None else sum(sizes.values())

    @property
    def disk(self) -> Path | None:
        """The cube comes to no disk of this machine."""
        return None

    def zarr_store(self) -> Any:
        """Return what zarr opens for writing: metadata here, chunks there."""
        return split_store(str(self.path), read_pointer(self.path) or str(self.url))

    def acquire_ownership(self, resumes: bool, overwrite: bool) -> None:
        """Take the right to write across machines; see `Store.acquire_ownership`."""
        self._lock.acquire(resumes, overwrite)

    def release_ownership(self) -> None:
        """Give that right back."""
        self._lock.release()

    @property
    def _lock(self) -> RemoteLock:
        return RemoteLock(self.url, self.path.parent)

    def create(self, template: Template) -> None:
        """Make the empty store; its chunks go beside a cube that is there until it is replaced."""
        replaces = bool(self.outputs) and self.url.exists()
        super().create(template)
        url = chunk_place(self.url, replaces)
        if replaces:
            clear(url)  # what a run that was dropped left there
        write_pointer(self.path, url)

    def read_checksums(self, name: str, block: Block) -> Checksums | None:
        """Object storage guards what it holds itself; to fetch all of it would take as long as to compute it anew."""
        return None

    def existing(self) -> ExistingCube:
        """Return the finished cube that stands under the name; see `Store.existing`."""
        return ExistingCube.read(self.url, self.url.holds_cube(), lambda: read_header(open_zarr(str(self.url))))

    def open_source(self, older: ExistingCube, template: Template) -> BlockSource:
        """Return the blocks of a finished cube, of which this store adopts some."""
        return RemoteBlocks(self.url, self.path, template)

    def complete(
        self, templates: Mapping[str, Template], blocks: Mapping[int, Mapping[str, Checksums]], progress: Progress
    ) -> None:
        """Put the metadata on the disk, with the digests of the chunks, which are in the bucket."""
        discard_partial_files(self.path)
        for template in templates.values():
            put_into_store(self.path, ChunkDigests.of_blocks(template, blocks, self.form.shards))
        sync_file_system(self.path)

    def is_taken(self, output: Output) -> bool:
        """Tell whether a cube is there: chunks of an unfinished one may lie under its own name."""
        own = self.is_created() and read_pointer(self.path) == str(self.url)
        return not own and self.url.exists()

    def finalise(self, output: Output) -> None:
        """Let the metadata follow; see `Store.finalise`."""
        self._lock.check()
        close_cached_arrays()
        publish(self.path, self.url, grows=self.grows)
        # In one step: half of it, without what says whose chunks are there, would not be known as this run's own.
        done = self.path.with_suffix(".published")
        shutil.rmtree(done, ignore_errors=True)
        self.path.rename(done)
        shutil.rmtree(done)


class RemoteBlocks:
    """The blocks of a store in a bucket: they stay where they are, since the longer cube has them under the same names.

    A `BlockSource`.
    """

    def __init__(self, url: BucketUrl, path: Path, template: Template) -> None:
        self._url, self._template = url, template
        self._theirs, self._ours = open_zarr(str(url)), zarr.open_group(str(path), mode="r")
        group = self._theirs.get(GROUP)
        self._digests = None if group is None else ChunkDigests.from_attributes(dict(group.attrs))
        with translate_errors(str(url)):
            self._there = set(keys_of(open_objects(str(url))))

    def close(self) -> None:
        """Nothing is open."""

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another layout; see `BlockSource.check`."""
        # What is added lies in the same chunks as what was there, be it kept or not.
        check_groups(self._url, (self._theirs, self._ours), self._template, chunked_alike=True)

    def adopt(self, block: Block) -> Mapping[str, Checksums]:
        """Make sure that the chunks of a block are there; see `BlockSource.adopt`."""
        checksums: dict[str, Checksums] = {}
        for layer in self._template.layers:
            has_one = layer.dims == CUBE_DIMS or block.time[0] == 0
            array = self._ours[layer.name]
            assert isinstance(array, zarr.Array)
            keys = chunk_keys(array, block.region) if has_one else []
            if any(f"{layer.name}/{key}" not in self._there for key in keys):
                raise damaged(self._url, layer, block)
            if has_one and self._digests is not None:
                checksums[layer.name] = self._digests.of_region(layer.name, block.region)
        return checksums


def open_zarr(url: str) -> Any:
    """Return the group of Zarr under a URL, for reading."""
    from zarr.storage import ObjectStore

    with translate_errors(url):
        return zarr.open_group(ObjectStore(open_objects(url), read_only=True), mode="r")


class RemoteLock:
    """The right to write a cube in a bucket, across machines: an object that only one process can make.

    It outlives the process, so that the work of a run that was killed is not taken for nobody's; the same work folder
    takes it up again.

    Parameters
    ----------
    place : BucketUrl
        Of the cube.
    part : Path
        The work folder.
    """

    def __init__(self, place: BucketUrl, part: Path) -> None:
        self._place, self._part, self._url = place, part, f"{place.url}.part"

    @property
    def _own(self) -> str:
        """What names the work of this folder."""
        mark = self._part / "owner"
        if not mark.exists():
            mark.write_text(uuid.uuid4().hex, encoding="ascii")
        return mark.read_text(encoding="ascii")

    def acquire(self, resumes: bool, overwrite: bool) -> None:
        """Take the right; see `Store.acquire_ownership`.

        Raises
        ------
        OutputError
            If another work folder holds it, or has held it since.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        own, part, place = self._own, self._part, self._place
        holder = {"run": own, "folder": str(part.resolve()), "host": socket.gethostname(), "process": os.getpid()}
        with translate_errors(place.url):
            store = open_objects(self._url, patient=False)
            try:
                obstore.put(store, _OWNER, json.dumps(holder).encode(), mode="create")
                if resumes:
                    obstore.delete(store, _OWNER)
                    raise OutputError(
                        f"another run has finished or dropped {place} since the one in {part} was stopped, and its "
                        f"chunks are gone; delete {part} and begin anew"
                    )
                return
            except AlreadyExistsError:
                held = _holder(bytes(obstore.get(store, _OWNER).bytes()), place.url)
            # Who left it behind on this machine, and whose work folder is gone, comes back no more.
            left = held.get("host") == socket.gethostname() and not Path(str(held.get("folder"))).exists()
            if held.get("run") != own and not overwrite and not left:
                raise OutputError(
                    f"{place} is being written, or was left unfinished, by the run in {held.get('folder')} on "
                    f"{held.get('host')}; wait for it, go on there, or drop it with --overwrite"
                )
            obstore.put(store, _OWNER, json.dumps(holder).encode())

    def check(self) -> None:
        """Make sure that nobody has taken the work over since.

        Raises
        ------
        OutputError
            If so: what is written from here on is another's.
        """
        import obstore

        with translate_errors(self._url):
            held = _holder(bytes(obstore.get(open_objects(self._url), _OWNER).bytes()), self._url)
        if held.get("run") != self._own:
            raise OutputError(
                f"{self._url} was taken over by the run in {held.get('folder')} on {held.get('host')}; this one ends"
            )

    def release(self) -> None:
        """Give the right back."""
        import obstore

        with translate_errors(self._url), suppress(FileNotFoundError):
            obstore.delete(open_objects(self._url), _OWNER)


def _holder(owner: bytes, url: str) -> dict[str, Any]:
    """Return who says that the work at a URL is its own.

    Raises
    ------
    OutputError
        If nobody can read that.
    """
    try:
        held = json.loads(owner)
        if isinstance(held, dict):
            return held
    except (ValueError, RecursionError):
        pass
    raise OutputError(f"{url}/{_OWNER} is damaged, which says who writes there: delete it, or begin anew elsewhere")


def chunk_place(place: BucketUrl, replaces: bool) -> str:
    """Return the URL under which the chunks of an unfinished cube are: its own, or beside it while another is there."""
    return f"{place.url}.part/{place.name}" if replaces else place.url


def write_pointer(store: Path, url: str) -> None:
    """Note in a store on disk that its chunks are under a URL."""
    (store / POINTER).write_text(url, encoding="utf-8")


def read_pointer(store: Path) -> str | None:
    """Return where the chunks of a store on disk are, None if they are in it."""
    pointer = store / POINTER
    return pointer.read_text(encoding="utf-8") if pointer.exists() else None


def split_store(path: str, url: str) -> Any:
    """Return a store of Zarr whose metadata is on disk and whose chunks are under a URL."""
    from zarr.storage import LocalStore, ObjectStore, WrapperStore

    remote = ObjectStore(open_objects(url))

    class MetadataHere(WrapperStore[LocalStore]):
        """Metadata here, chunks there."""

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            with translate_errors(url):
                return await _side(self, key).get(key, prototype, byte_range)

        async def exists(self, key: str) -> bool:
            with translate_errors(url):
                return bool(await _side(self, key).exists(key))

        async def set(self, key: str, value: Any) -> None:
            with translate_errors(url):
                await _side(self, key).set(key, value)

        async def delete(self, key: str) -> None:
            with translate_errors(url):
                await _side(self, key).delete(key)

    def _side(split: Any, key: str) -> Any:
        return split._store if key.rpartition("/")[2] in _METADATA else remote

    return MetadataHere(LocalStore(path))


def publish(store: Path, place: BucketUrl, grows: bool = False) -> None:
    """Make a cube of the chunks that are uploaded: metadata and coordinates follow, that of the root last of all.

    Where a cube is replaced, its metadata goes first, then its chunks; then the new ones are copied within the object
    store. So a reader finds the old cube, none, or the new one. May be repeated after a crash at any moment.

    Parameters
    ----------
    store : Path
        The store on the disk, with metadata and coordinates.
    place : BucketUrl
        Where the cube is to be.
    grows : bool
        Chunks that are there stay, but for those that come anew.
    """
    import obstore

    chunks = read_pointer(store)
    with translate_errors(place.url):
        goal = open_objects(place.url)
        if chunks is not None and chunks != place.url:
            _replace(open_objects(place.url.rpartition("/")[0]), place, goal, grows)
        files = sorted(f for f in store.rglob("*") if f.is_file() and f.name != POINTER)
        names = {str(f.relative_to(store)): f for f in files}
        for name in [*(n for n in names if n not in _ROOT), *(n for n in _ROOT if n in names)]:
            obstore.put(goal, name, names[name].read_bytes())


def _replace(above: Any, place: BucketUrl, goal: Any, grows: bool) -> None:
    """Put the chunks beside a cube in its place, or among its own; `above` is the store that holds both prefixes."""
    import obstore

    new = open_objects(chunk_place(place, replaces=True))
    waiting = set(keys_of(new))
    for name in _ROOT if waiting else ():
        if has_object(goal, name):
            obstore.delete(goal, name)
    # What was copied before a crash is not beside it any more, and must not be taken for the old cube's.
    mark = f"{place.name}.part/moving"
    if waiting and not grows and not has_object(above, mark):
        for name in list(keys_of(goal)):
            obstore.delete(goal, name)
        obstore.put(above, mark, b"")
    for name in waiting:
        obstore.copy(above, f"{place.name}.part/{place.name}/{name}", f"{place.name}/{name}")
        obstore.delete(new, name)
    if not grows:
        obstore.delete(above, mark)


def clear(url: str) -> None:
    """Delete everything under a URL."""
    import obstore

    with translate_errors(url):
        store = open_objects(url, patient=False)
        for name in list(keys_of(store)):
            obstore.delete(store, name)
