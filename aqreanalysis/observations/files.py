"""Files as they lie on disk: folders and zip archives walked, gzip and zip opened, text brought to UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from aqreanalysis.errors import ObservationsError, in_one_line, nearest_hint, wrong_type
from aqreanalysis.observations.encodings import likely_encoding, text_encoding

TEXT = (".csv", ".txt", ".tsv", ".dat", ".json", ".nas")
PARQUET = (".parquet", ".pq")
NETCDF = (".nc", ".nc4")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
SUFFIXES = (*TEXT, *(f"{suffix}.gz" for suffix in TEXT), ".zip", *PARQUET, *NETCDF, *SPREADSHEETS)
# No table of readings has so long a line; an archive of some kilobytes may.
_LONGEST_LINE = 1 << 22
HEAD_BYTES = 65_536
# What reading a damaged archive or a stream of it raises.
DAMAGE = (OSError, EOFError, UnicodeDecodeError, zlib.error, zipfile.BadZipFile, lzma.LZMAError, NotImplementedError)

PathLike = str | Path
# Of a table: columns that are no readings (station, time, place), characters that a reading takes at least with its
# comma, and how many times its size gzip hides.
_COLUMNS_BESIDE, _BYTES_A_READING, _PACKED_TIMES = 4, 5, 8


@dataclass(frozen=True)
class Source:
    """One file of readings: a file, a member of a zip archive, or a sheet of a workbook that has several."""

    path: Path
    member: str | None = None
    sheet: str | None = None

    @property
    def name(self) -> str:
        """Name for messages: the path, of a member of an archive ``archive.zip!member``, and so of a sheet."""
        return "!".join(part for part in (str(self.path), self.member, self.sheet) if part is not None)

    @property
    def filename(self) -> str:
        """Last part of the name, without ``.gz``."""
        name = Path(self.member or self.path.name).name
        return name[:-3] if name.lower().endswith(".gz") else name

    @property
    def stem(self) -> str:
        """`filename` without its ending."""
        return self.filename.rsplit(".", 1)[0]

    def has_suffix(self, suffixes: Sequence[str]) -> bool:
        """Return whether the name, without ``.gz``, ends in one of `suffixes`."""
        return self.filename.lower().endswith(tuple(suffixes))

    def open(self, as_it_lies: bool = False) -> IO[bytes]:
        """Return a stream of the bytes, decompressed; of a sheet as CSV, unless the workbook is wanted `as_it_lies`."""
        if not as_it_lies and self.has_suffix(SPREADSHEETS):
            return io.BytesIO(_converted(self, self.path.stat().st_mtime_ns))
        if self.member is None:
            raw: IO[bytes] = self.path.open("rb")
        else:
            # The archive stays open as long as the member's stream, which closes it.
            raw = zipfile.ZipFile(self.path).open(self.member)  # noqa: SIM115
        packed = (self.member or self.path.name).lower().endswith(".gz")
        return cast("IO[bytes]", gzip.open(raw)) if packed else raw

    def head(self) -> bytes:
        """Return the first bytes.

        Raises
        ------
        ObservationsError
            If the file cannot be opened or holds nothing.
        """
        try:
            with self.open() as stream:
                start = stream.read(HEAD_BYTES)
        except DAMAGE as error:
            raise unreadable(self.name, _kind(self), error) from None
        if not start:
            raise ObservationsError(f"{self.name} is empty (0 bytes): give a file with readings")
        return start


@lru_cache(maxsize=1)
def _converted(source: Source, changed: int) -> bytes:
    """Return a sheet as CSV; kept until the next is asked for, because a file is looked into before it is read."""
    from aqreanalysis.observations.spreadsheets import sheet_as_csv  # beside the road of tables and NetCDF

    with source.open(as_it_lies=True) as stream:
        return sheet_as_csv(stream.read(), source.name, source.sheet)


def expected_readings(source: Source) -> int:
    """Return about how many readings a file holds, rather too many: by Parquet's footer, by the bytes of a text."""
    if source.has_suffix(PARQUET):
        import pyarrow as pa  # here, so that a file that is missing is told without it
        import pyarrow.parquet as pq

        try:
            with source.open() as stream:
                footer = pq.ParquetFile(stream).metadata
        except (pa.ArrowException, *DAMAGE):
            return 0  # it is refused by name when it is read
        return int(footer.num_rows) * max(footer.num_columns - _COLUMNS_BESIDE, 1)
    try:
        if source.member is not None:
            with zipfile.ZipFile(source.path) as archive:
                size = archive.getinfo(source.member).file_size
        else:
            size = source.path.stat().st_size
    except DAMAGE:
        return 0
    packed = (source.member or source.path.name).lower().endswith((".gz", ".xlsx", ".xlsm", ".ods"))
    return size * (_PACKED_TIMES if packed else 1) // _BYTES_A_READING


def _kind(source: Source) -> str:
    return "gzip or zip" if source.path.suffix.lower() in (".gz", ".zip") else "file"


def unreadable(name: str, kind: str, error: Exception) -> ObservationsError:
    """Return the error that says that a file is damaged or of another kind."""
    reason = in_one_line(error, 160)
    return ObservationsError(f"{name} is no readable {kind} file ({reason}): is it truncated or of another kind?")


def list_sources(path: PathLike | Sequence[PathLike]) -> list[Source]:
    """Return the files that `path` stands for: files as given, folders and zip archives with what is in them, sorted.

    Raises
    ------
    ObservationsError
        A path does not exist (the nearest name beside it is given), a folder or archive holds no station file, or a
        given file is of an unknown kind.
    """
    listed = [path] if isinstance(path, str | Path) or not isinstance(path, Iterable) else list(path)
    wrong = [p for p in listed if not isinstance(p, str | Path)]
    if wrong:
        give = "a file or folder, or what read_observations returned"
        raise wrong_type("observations", wrong[0], give, ObservationsError)
    given = [Path(p) for p in listed]
    if not given:
        raise ObservationsError("no observations file given: name a CSV, Parquet or NetCDF file")
    sources: list[Source] = []
    for item in given:
        if item.is_dir():
            inside = sorted(
                f for f in item.rglob("*") if f.name.lower().endswith(SUFFIXES) and f.name[0] != "." and f.is_file()
            )
            if not inside:
                raise ObservationsError(f"the folder {item} holds no station file ({', '.join(SUFFIXES)})")
            for file in inside:
                if not file.resolve().is_relative_to(item.resolve()):
                    raise ObservationsError(
                        f"{file} is a link out of the folder {item}, which is not followed: name the file it leads to "
                        "itself, or take the link away"
                    )
                sources += _members(file)
        elif item.exists():
            if not item.is_file():
                raise ObservationsError(
                    f"{item} is no plain file but a pipe or a device: save what it gives, and name that"
                )
            if not item.name.lower().endswith(SUFFIXES):
                raise ObservationsError(f"{item}: unknown kind of file: known are {', '.join(SUFFIXES)}")
            sources += _members(item)
        else:
            beside = (
                [f.name for f in item.parent.iterdir() if f.name.lower().endswith(SUFFIXES)]
                if item.parent.is_dir()
                else []
            )
            raise ObservationsError(f"no observations file {str(item)!r}{nearest_hint(item.name, beside)}")
    return sources


def _members(file: Path) -> list[Source]:
    """Return the file, or the files of readings in it if it is a zip archive (a damaged one stays one source)."""
    if file.suffix.lower() != ".zip":
        source = Source(file)
        return _sheets(source) if source.has_suffix(SPREADSHEETS) else [source]
    try:
        with zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except DAMAGE:
        return [Source(file)]  # it is refused by name when it is read
    known = [n for n in sorted(names) if n.lower().endswith(SUFFIXES) and Path(n).name[0] not in "._"]
    inside = [Source(file, name) for name in known]
    sheets = ([one] if not one.has_suffix(SPREADSHEETS) else _sheets(one) for one in inside)
    return [source for some in sheets for source in some] or [Source(file)]


def _sheets(source: Source) -> list[Source]:
    """Return a workbook by its sheets, where it has several (a damaged one stays one source).

    Raises
    ------
    ObservationsError
        The reader of spreadsheets is not installed.
    """
    from aqreanalysis.observations.spreadsheets import sheets_with_rows

    try:
        with source.open(as_it_lies=True) as stream:
            names = sheets_with_rows(stream.read(), source.name)
    except DAMAGE:
        return [source]  # it is refused by name when it is read
    return [replace(source, sheet=name) for name in names] if len(names) > 1 else [source]


def own_encoding(source: Source, given: str | None) -> str:
    """Return the encoding of one file: what its mark says, UTF-8 where its beginning can be nothing else, or `given`.

    What is told holds for all files; a text that is UTF-8 and not ASCII is so by no accident.

    Raises
    ------
    ObservationsError
        If `given` is no encoding, or the file is empty or damaged.
    """
    start = source.head()
    used = text_encoding(start, given)
    if used.startswith(("utf", "ascii")) or start.isascii():
        return used
    try:
        # The last character may be cut by the end of what was read.
        codecs.getincrementaldecoder("utf-8")("strict").decode(start)
    except UnicodeDecodeError:
        return used
    return "utf-8"


class WrongEncodingError(ObservationsError):
    """A text of another encoding than it is read in.

    Attributes
    ----------
    what : str
        What of which file, without advice.
    likely : str or None
        The encoding that it seems to be in.
    """

    def __init__(self, what: str, likely: str | None) -> None:
        self.what, self.likely = what, likely
        way = f"set columns.encoding, perhaps {likely}" if likely else "set columns.encoding to its own"
        super().__init__(f"{what}: {way}")


class Utf8Stream(io.RawIOBase):
    """The text of a source as UTF-8 bytes, decoded as it streams, so that a wrong byte is named with its line."""

    def __init__(self, source: Source, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        self._stream = source.open()
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
        self._left = b""
        self._lines = 1
        self._ended = False
        self.cut = False  # whether the text, read to its end, does not end with a line

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with UTF-8 bytes; 0 at the end."""
        while not self._left and not self._ended:
            raw = self._stream.read(max(len(buffer), 1 << 16))
            self._ended = not raw
            try:
                text = self._decoder.decode(raw, final=self._ended)
            except UnicodeDecodeError as error:
                raise self._wrong_byte(raw, error) from None
            self._left = text.encode("utf-8")
            if text:
                self.cut = text[-1] not in "\r\n"
            self._lines += self._left.count(b"\n")
        n = min(len(buffer), len(self._left))
        buffer[:n] = self._left[:n]
        self._left = self._left[n:]
        return n

    def close(self) -> None:
        """Close the file beneath."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _wrong_byte(self, raw: bytes, error: UnicodeDecodeError) -> WrongEncodingError:
        line = self._lines + raw[: error.start].count(b"\n")
        kind = "UTF-8 CSV" if self._encoding.startswith("utf-8") else f"{self._encoding} CSV"
        what = (
            f"{self._source.name} is no readable {kind} file (line {line} holds the byte "
            f"0x{error.object[error.start]:02x}, which no {self._encoding} text does)"
        )
        return WrongEncodingError(what, likely_encoding(raw))


def open_text(source: Source, encoding: str) -> io.TextIOWrapper:
    """Return a text stream of the source with its line ends as they are."""
    return io.TextIOWrapper(io.BufferedReader(Utf8Stream(source, encoding)), encoding="utf-8", newline="")


def read_lines(source: Source, encoding: str) -> Iterator[str]:
    """Yield the lines of a text without their ends.

    Raises
    ------
    ObservationsError
        The file is damaged, or holds bytes that the encoding does not know.
    """
    try:
        with open_text(source, encoding) as stream:
            while line := stream.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise ObservationsError(
                        f"{source.name} has a line of more than {_LONGEST_LINE} characters: it is no table of readings"
                    )
                yield line.rstrip("\r\n")
    except DAMAGE as error:
        raise unreadable(source.name, "text", error) from None


def is_json(source: Source) -> bool:
    """Return whether a file begins as a JSON object or list does."""
    return source.head().lstrip()[:1] in (b"{", b"[")


def read_json(source: Source, most_bytes: int = 512 << 20) -> object:
    """Return the JSON in a file.

    Raises
    ------
    ObservationsError
        It is none, or larger than `most_bytes`.
    """
    try:
        with source.open() as stream:
            raw = stream.read(most_bytes + 1)
        if len(raw) > most_bytes:
            raise ObservationsError(f"{source.name}: more than {most_bytes >> 20} MiB of JSON: give it in pages")
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise ObservationsError(
            f"{source.name}, line {error.lineno}: no JSON ({error.msg}): is it truncated?"
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(source.name, "JSON", error) from None
