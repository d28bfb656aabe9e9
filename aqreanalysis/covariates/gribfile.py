"""The frame of a GRIB file: where its messages lie, walked by their own length fields before anything is decoded.

ecCodes skips in silence what it does not recognise and prints to stderr what it dislikes. So that a truncated, cut or
shuffled file is refused with its name and the number of the message, the frame is walked here first: every message
begins with ``GRIB``, ends with ``7777``, and next to nothing lies between two of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aqreanalysis.errors import CovariatesError

#: Between messages: headings of WMO bulletins (some 40 bytes), and padding to blocks of up to this many bytes.
_GAP = 120
_HEAD = 32
_END = b"7777"
#: Of edition 2 the first section that speaks of values; sections 1 to 4 are the header.
_VALUES = 5
#: By edition, where century, year, month and day of the reference time stand in the header.
_DATE = {1: (24, 12, 13, 14), 2: (12, 13, 14, 15)}
_EPOCH = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Frame:
    """Where a message lies, and what its header says.

    Attributes
    ----------
    offset, length : int
        In the file, bytes.
    number : int
        From 1.
    header : bytes
        Discipline, edition and all sections before the values, but for year, month and day of the reference time; empty
        where a message has no room for them.
    date : bytes
        Those: century, year, month, day.
    """

    offset: int
    length: int
    number: int
    header: bytes = b""
    date: bytes = b""

    @property
    def day(self) -> int | None:
        """The reference time's day since 1970-01-01; None if that is no date."""
        if not self.date:
            return None
        century, year, month, day = self.date
        # Edition 1 counts the years of a century from 1 to 100, edition 2 has two bytes for the year.
        whole = 100 * (century - 1) + year if self.header[1] == 1 else 256 * century + year
        try:
            return datetime.date(whole, month, day).toordinal() - _EPOCH
        except ValueError:
            return None


def walk(path: Path) -> Iterator[Frame]:
    """Yield the frames of a file.

    Raises
    ------
    CovariatesError
        If it is empty, holds no message, is cut short, or holds something else between two messages.
    """
    size = path.stat().st_size
    if size == 0:
        raise CovariatesError(f"{path} is empty (0 bytes): give a GRIB file with messages")
    position, number = 0, 0
    with path.open("rb") as file:
        while position < size:
            start = _next(file, path, position, number, size)
            if start is None:
                break
            number += 1
            length = _length(file, path, start, number, size)
            if start + length > size:
                raise CovariatesError(
                    f"{path}, message {number}: {length:,} bytes are announced and {size - start:,} are there; "
                    "the file is cut short, get it again"
                )
            file.seek(start + length - 4)
            if file.read(4) != _END:
                raise CovariatesError(
                    f"{path}, message {number}: does not end with 7777 at byte {start + length:,}; "
                    "the file is damaged, get it again"
                )
            if not _sections_fit(file, start, length):
                raise CovariatesError(
                    f"{path}, message {number}: its sections do not end where the message does; "
                    "the file is damaged, get it again"
                )
            yield Frame(start, length, number, *_header(file, start))
            position = start + length
    if number == 0:
        raise CovariatesError(
            f"{path} holds no GRIB message (it begins with {_begin(path)!r}): give GRIB, NetCDF or a raster"
        )


def _next(file: BinaryIO, path: Path, position: int, number: int, size: int) -> int | None:
    """Return where the next message begins, or None at the end of the file."""
    file.seek(position)
    head = file.read(_GAP + 4)
    at = head.find(b"GRIB")
    if at >= 0:
        return position + at
    if number == 0:
        raise CovariatesError(
            f"{path} holds no GRIB message (it begins with {head[:8]!r}): give GRIB, NetCDF or a raster"
        )
    if size - position <= _GAP or not _anything(file, position):
        return None
    raise CovariatesError(
        f"{path}: after message {number} (byte {position:,}) comes something that is no GRIB message; "
        "the file is damaged, get it again"
    )


def _anything(file: BinaryIO, position: int) -> bool:
    """Return whether a byte that is not zero follows."""
    file.seek(position)
    while block := file.read(1 << 20):
        if block.strip(b"\0"):
            return True
    return False


def _length(file: BinaryIO, path: Path, start: int, number: int, size: int) -> int:
    file.seek(start)
    head = file.read(_HEAD)
    if len(head) < 16:
        raise CovariatesError(f"{path}, message {number}: cut short after {len(head)} bytes, get the file again")
    edition = head[7]
    if edition == 2:
        length = int.from_bytes(head[8:16], "big")
        fields = _count_fields(file, start, length) if start + length <= size else 1
        if fields != 1:
            raise CovariatesError(
                f"{path}, message {number}: {fields} fields in one message; split them with 'grib_copy'"
            )
        return length
    if edition != 1:
        raise CovariatesError(f"{path}, message {number}: GRIB edition {edition}; editions 1 and 2 are read")
    length = int.from_bytes(head[4:7], "big")
    return _long_length(file, start, head, length) if length & 0x800000 else length


def _long_length(file: BinaryIO, start: int, head: bytes, length: int) -> int:
    """Return the length of an edition 1 message of more than 8 MB, by ECMWF's convention for them.

    The 24 bits count blocks of 120 bytes, and the length field of section 4 says what of the last block is not used.
    """
    position = start + 8 + int.from_bytes(head[8:11], "big")
    for flag in (0x80, 0x40):
        if head[15] & flag:
            file.seek(position)
            position += int.from_bytes(file.read(3), "big")
    file.seek(position)
    fourth = int.from_bytes(file.read(3), "big")
    return (length & 0x7FFFFF) * 120 - fourth + 4 if fourth < 120 else length


def _count_fields(file: BinaryIO, start: int, length: int) -> int:
    """Return how many fields (sections 4) an edition 2 message holds; 1 if its sections cannot be walked."""
    position, fields = start + 16, 0
    while position < start + length - 4:
        file.seek(position)
        head = file.read(5)
        size = int.from_bytes(head[:4], "big")
        if size < 5:
            return 1  # left to the decoder, which says what is wrong
        fields += head[4] == 4
        position += size
    return max(fields, 1)


def _sections_fit(file: BinaryIO, start: int, length: int) -> bool:
    """Tell whether the sections of a message, walked by their own lengths, end with it.

    ecCodes believes those lengths: a damaged one makes it read, and fall, outside of the message.
    """
    file.seek(start)
    head = file.read(_HEAD)
    end = start + length - len(_END)
    if head[7] == 2:
        position = start + 16
        while position < end:
            file.seek(position)
            size = int.from_bytes(file.read(4), "big")
            if size < 5:
                return False
            position += size
        return position == end
    position = start + 8
    # Sections 2 and 3 are there if the first says so; the length of the fourth means something else in long messages.
    for there in (True, bool(head[15] & 0x80), bool(head[15] & 0x40), length < 0x800000):
        if there:
            file.seek(position)
            size = int.from_bytes(file.read(3), "big")
            if size < 3:
                return False
            position += size
    return position <= end


def _header(file: BinaryIO, start: int) -> tuple[bytes, bytes]:
    """Return header and date of a message whose sections fit, as of `Frame`; nothing if it is too short for a date."""
    file.seek(start)
    head = file.read(_HEAD)
    edition = head[7]
    begin = position = start + (8 if edition == 1 else 16)
    if edition == 1:
        position += int.from_bytes(head[8:11], "big")
        if head[15] & 0x80:  # then section 2 follows, the grid
            file.seek(position)
            position += int.from_bytes(file.read(3), "big")
    else:
        file.seek(position)
        while len(section := file.read(5)) == 5 and section[4] < _VALUES:
            position += int.from_bytes(section[:4], "big")
            file.seek(position)
    file.seek(begin)
    header = bytearray(file.read(position - begin))
    places = _DATE[edition]
    if len(header) <= max(places):
        return b"", b""
    date = bytes(header[place] for place in places)
    for place in places:
        header[place] = 0
    return head[6:8] + bytes(header), date


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def file_state(path: Path) -> tuple[int, int]:
    """Return size and time of change, by which a file that was changed while it was in use is noticed."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns
