"""Cubes at a URL and the objects behind it: ``s3://`` and ``https://``, spoken to through obstore.

A Zarr store is read chunk by chunk. A NetCDF file is brought here whole: HDF5 reads it in pieces of some hundred bytes,
each a question over the network, and many web servers give no piece of a file at all.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from aqreanalysis.errors import AqreanalysisError, ConfigError, CubeError, in_one_line

if TYPE_CHECKING:
    import obstore.store
    import xarray as xr

S3 = "s3://"
_SCHEMES = (S3, "https://", "http://")
_ENDINGS = (".zarr", ".nc")
#: Where the other side of S3 is, if it is not Amazon's: the variable of the one service goes before that of all.
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
# A first question that is not answered is asked again only so long; later ones, in the middle of a run, through an
# outage of minutes. obstore's own ten questions are over in two to six seconds, since it draws each pause between
# nothing and twice the last; four times as much makes them grow. Past five minutes what it has signed may be refused.
_FIRST = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_BACKOFF = {"init_backoff": timedelta(seconds=0.25), "max_backoff": timedelta(seconds=10), "base": 4}
_LATER = {"max_retries": 1000, "retry_timeout": timedelta(minutes=4), "backoff": _BACKOFF}
_CONNECT, _FIRST_ANSWER, _SILENCE, _WHOLE_FILE = "5s", "10s", "60s", "1day"


@dataclass(frozen=True)
class RemotePath:
    """The place of a cube at a URL, with the parts of a name that a path on a disk has.

    Attributes
    ----------
    url : str
        Without an oblique stroke at its end.
    """

    url: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the place that a URL names.

        Raises
        ------
        CubeError
            If it is of another scheme, names neither ``.zarr`` nor ``.nc``, or carries what nobody else may see.
        """
        refuse_secrets(text, CubeError)
        place = cls(text.rstrip("/"))
        if not text.startswith(_SCHEMES):
            raise CubeError(f"{text}: of URLs {S3}BUCKET/PATH and https://HOST/PATH are read")
        host, _, key = place.url.partition("://")[2].partition("/")
        if not host or not PurePosixPath(key).stem or place.suffix not in _ENDINGS:
            raise CubeError(f"{text}: the URL of a cube ends in {' or '.join(_ENDINGS)}")
        return place

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """Its last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Its last part without the ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending."""
        return PurePosixPath(self.name).suffix

    def with_name(self, name: str, /) -> Self:
        """Return the place beside it."""
        return type(self)(f"{self.url.rpartition('/')[0]}/{name}")


def place_of(where: str | Path | RemotePath) -> Path | RemotePath:
    """Return the place of a finished cube: a path on a disk, or what stands for a URL.

    Raises
    ------
    CubeError
        If it is a URL that is not read, or a Path made of one.
    """
    if isinstance(where, RemotePath):
        return where
    text = str(where)
    if "://" in text:
        return RemotePath.of(text)
    if re.match(r"(s3|https?):/", text):
        raise CubeError(f"{text}: a Path takes a stroke from a URL; give the URL as text")
    return Path(where)


def refuse_secrets(text: str, error: type[AqreanalysisError]) -> None:
    """Refuse a URL with a user name, a password or a question mark, behind which keys stand; none of it is repeated.

    Raises
    ------
    AqreanalysisError
        Of the class `error`.
    """
    scheme, _, rest = text.partition("://")
    bare, asked, _ = rest.partition("?")
    own_port = re.match(r"[^/@:]*(:\d+)?(/|$)", bare)
    shown = f"{scheme}://.../{bare.rstrip('/').rpartition('/')[2].rpartition('@')[2]}"
    if own_port is None or (asked and "@" in bare):
        way = (
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
            if text.startswith(S3)
            else "by https only what is open to all is read"
        )
        raise error(f"{shown}: a URL with a name or password is not taken, since it stays in logs and files; {way}")
    if asked or "#" in bare:
        raise error(f"{shown.partition('#')[0]}: the URL of a cube ends with its name; nothing follows by ? or #")


def endpoint() -> str:
    """Return where S3 is asked, as the environment says; empty for Amazon's own."""
    return next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")


def open_objects(url: str, patient: bool = True, **client: Any) -> obstore.store.ObjectStore:
    """Return obstore's store of what is under a URL; credentials, region and endpoint are those of the environment.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` or ``https://host/path``.
    patient : bool
        Whether to ask for minutes where the other side does not answer.
    **client
        Settings of obstore's client beside those that every question has.

    Raises
    ------
    ConfigError
        If obstore is not installed.
    """
    try:
        from obstore.store import HTTPStore, S3Store
    except ImportError:
        raise ConfigError(
            f"{url}: what is not on a disk is read by the package obstore; install it with "
            "pip install 'aqreanalysis[s3]'"
        ) from None
    options: dict[str, Any] = {"retry_config": _LATER if patient else _FIRST}
    options["client_options"] = {"connect_timeout": _CONNECT, **({} if patient else {"timeout": _FIRST_ANSWER})}
    options["client_options"] |= client
    if not url.startswith(S3):
        options["client_options"]["allow_http"] = url.startswith("http://")
        return HTTPStore.from_url(url, **options)
    if asked := endpoint():
        options["endpoint"] = asked
        options["client_options"]["allow_http"] = asked.startswith("http://")
    return S3Store.from_url(url, **options)


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn what obstore says into an error of the operating system, which says what of it the user can mend.

    Raises
    ------
    OSError
        With the URL as its file.
    """
    from obstore import exceptions

    try:
        yield
    except exceptions.BaseError as error:
        # Of what is denied Python makes a PermissionError.
        number = errno.EACCES if _is_denied(error) else errno.EIO
        raise OSError(number, _reason(url, error), url) from None


class _MissingError(CubeError):
    """There is no such object."""


class _DeniedError(CubeError):
    """It may be there or not: nobody may look."""


@contextmanager
def _reading(url: str) -> Iterator[None]:
    try:
        with translate_errors(url):
            yield
    except FileNotFoundError as error:  # obstore's own is one
        kind = CubeError if "NoSuchBucket" in str(error) else _MissingError
        raise kind(f"no cube {url}: {_missing(url, str(error))}") from None
    except PermissionError as error:
        raise _DeniedError(f"{url} cannot be read: {error.strerror}") from None
    except OSError as error:
        raise CubeError(f"{url} cannot be read: {error.strerror or error}") from None


def _missing(url: str, text: str) -> str:
    if "NoSuchBucket" in text:
        return "there is no such bucket"
    if url.startswith(S3):
        return "the bucket has nothing there; check the path, or whether a run on it is unfinished"
    return "the server has nothing there (404); check the address"


def _is_denied(error: Exception) -> bool:
    from obstore import exceptions

    denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
    return denied or "InvalidAcc" in str(error)


def _reason(url: str, error: Exception) -> str:
    text, lower = in_one_line(error), str(error).lower()
    on_s3 = url.startswith(S3)
    if "NoSuchBucket" in text:
        return "there is no such bucket; make it first"
    if _is_denied(error):
        if not on_s3:
            return "access is denied; by https only what is open to all is read"
        return "access is denied; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
    if "169.254.169.254" in text or "credential" in lower:
        return (
            "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for "
            "what is open to all"
        )
    if "performing PUT" in text and (" 501" in text or "NotImplemented" in text):
        return (
            "this storage cannot make an object only where there is none, which a run needs as its lock: write to a "
            "disk and copy the cube there"
        )
    where = endpoint() or "the endpoint of its region" if on_s3 else "the server"
    if trouble := re.search(r"status code: (5\d\d[ A-Z]*)", text, re.IGNORECASE):
        return f"{where} answers {trouble[1].strip()}, however often it is asked; that is its own trouble, and may pass"
    if "error sending request" in text or "connect" in lower or "timed out" in lower:
        if not on_s3:
            return "the server does not answer; check the address and the network"
        return f"{where} does not answer; check {' or '.join(ENDPOINT_VARIABLES[:2])}, AWS_REGION and the network"
    return text[:200]


def keys_of(store: obstore.store.ObjectStore) -> Iterator[str]:
    """Yield the names of the objects of a store."""
    yield from (name for name, _ in _listed(store))


def sizes_of(url: str) -> dict[str, int] | None:
    """Return name -> bytes of all objects under a URL; None where nobody lists them, which a web server does not.

    Raises
    ------
    CubeError
        If they cannot be reached.
    """
    if not url.startswith(S3):
        return None
    with _reading(url):
        return dict(_listed(open_objects(url)))


def _listed(store: obstore.store.ObjectStore) -> Iterator[tuple[str, int]]:
    import obstore

    for some in obstore.list(store):
        for entry in some:
            yield entry["path"], entry["size"]


def has_object(store: obstore.store.ObjectStore, key: str) -> bool:
    """Tell whether a store has an object."""
    import obstore
    from obstore.exceptions import NotFoundError

    try:
        obstore.head(store, key)
    except (NotFoundError, FileNotFoundError):
        return False
    return True


def chunks_at(place: RemotePath) -> Any:
    """Return what zarr reads a store at a URL by: a chunk that cannot be had says so in one line."""
    from zarr.storage import ObjectStore

    class ChunksAtUrl(ObjectStore[Any]):
        """The objects under a URL; another process opens them anew."""

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            with _reading(place.url):
                return await super().get(key, prototype, byte_range)

        def __reduce__(self) -> tuple[Any, ...]:
            return chunks_at, (place,)

    return ChunksAtUrl(open_objects(place.url), read_only=True)


def zarr_format(place: RemotePath) -> int:
    """Return the format of the Zarr store at a URL, 2 or 3.

    Raises
    ------
    CubeError
        If there is none, or one whose metadata are not consolidated: they are what stands for a list of its arrays.
    """
    import obstore

    # A bucket open to all, but not to be listed, says of what is not there that it is denied.
    absent: dict[type[CubeError], CubeError] = {}
    for name, number in ((".zmetadata", 2), ("zarr.json", 3)):
        try:
            with _reading(place.url):
                metadata = json.loads(bytes(obstore.get(open_objects(place.url, patient=False), name).bytes()))
        except (_MissingError, _DeniedError) as error:
            absent.setdefault(type(error), error)
        except (ValueError, RecursionError):
            raise CubeError(f"{place} is no Zarr store: {name} is not JSON") from None
        else:
            if not isinstance(metadata, dict):
                raise CubeError(f"{place} is no Zarr store: {name} holds no object")
            if number == 3 and not metadata.get("consolidated_metadata"):
                raise CubeError(f"{place}: its metadata are not consolidated; run zarr.consolidate_metadata on it")
            return number
    raise absent.get(_DeniedError) or absent[_MissingError]


def fetch(place: RemotePath) -> Path:
    """Return the file on this machine to which one at a URL was brought; it is kept until Python ends, and used again.

    Raises
    ------
    CubeError
        If it is not there or cannot be reached.
    """
    import obstore

    folder, name = place.url.rpartition("/")[::2]
    with _reading(place.url):
        answer = obstore.get(open_objects(folder, False, timeout=_WHOLE_FILE, read_timeout=_SILENCE), name)
        version = (answer.meta["size"], answer.meta.get("e_tag"), answer.meta["last_modified"])
        goal = _fetched_folder() / re.sub(r"\W", "_", f"{folder} {version}") / name
        if not goal.exists():
            goal.parent.mkdir(exist_ok=True)
            partial = goal.with_name(f"{name}.partial")
            with partial.open("wb") as file:
                for piece in answer.stream(min_chunk_size=4 << 20):
                    file.write(piece)
            partial.replace(goal)
    return goal


@cache
def _fetched_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="aqreanalysis-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def open_dataset(place: RemotePath, **decoding: Any) -> xr.Dataset:
    """Return what is at a URL as xarray reads it, a Zarr store lazily.

    Raises
    ------
    CubeError
        If it is not there, cannot be reached or is no such thing.
    """
    import xarray as xr

    if place.suffix != ".zarr":
        return xr.open_dataset(fetch(place), engine="netcdf4", **decoding)
    form = zarr_format(place)
    return xr.open_dataset(chunks_at(place), engine="zarr", zarr_format=form, consolidated=True, **decoding)
