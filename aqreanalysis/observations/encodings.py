"""Encodings of texts: each file has its own, a mark or UTF-8 before what is told; and which one a text is likely in."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from aqreanalysis.errors import ObservationsError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Western letters beyond ASCII in cp1252, with the signs of units and ordinals.
_WESTERN = bytes(
    [*range(0xC0, 0x100), 0xAA, 0xB0, 0xB2, 0xB3, 0xB5, 0xBA, 0x8A, 0x8C, 0x8E, 0x92, 0x96, 0x9A, 0x9C, 0x9E]
)
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# Letters beyond ASCII mostly stand alone among others.
_ALONE_SHARE = 0.8
# Korean syllables are all of them Chinese characters too: of fewer different ones it is not said which they are.
_FEWEST_SYLLABLES = 8


def text_encoding(start: bytes, given: str | None) -> str:
    """Return the encoding of a text: what its byte order mark says, else what is given, else UTF-8.

    Raises
    ------
    ObservationsError
        If `given` is no encoding.
    """
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if given is None:
        return "utf-8"
    try:
        return codecs.lookup(given).name
    except LookupError:
        raise ObservationsError(
            f"columns.encoding {given!r} is no encoding: write utf-8, gb18030, cp1252 ..."
        ) from None


def likely_encoding(raw: bytes) -> str | None:
    """Return the encoding that bytes which are no UTF-8 are likely in, None where several could be or none is.

    Examples
    --------
    >>> likely_encoding("Bédar; Castaño".encode("cp1252")), likely_encoding("北京市海淀区万柳".encode("gb18030"))
    ('cp1252', 'gb18030')
    """
    runs = _HIGH_RUN.findall(raw)
    if not runs:
        return None
    alone = sum(len(run) == 1 for run in runs) / len(runs)
    if alone >= _ALONE_SHARE and not b"".join(runs).translate(None, _WESTERN):
        return "cp1252"
    fitting = [name for name, fits in _EAST_ASIAN.items() if fits(raw)]
    return fitting[0] if len(fitting) == 1 else None


def _pairs_lead(raw: bytes, encoding: str, first: int, last: int) -> bool:
    """Return whether a text is in an encoding and its pairs begin within a range: that of the usual characters."""
    text = _decoded(raw, encoding)
    pairs = {c.encode(encoding, errors="replace") for c in text if ord(c) > 0x7F}
    return bool(pairs) and all(len(pair) == 2 and first <= pair[0] <= last for pair in pairs)


def _chinese(raw: bytes) -> bool:
    syllables = {c for c in _decoded(raw, "euc_kr") if ord(c) > 0x7F}
    return _pairs_lead(raw, "gb2312", 0xA1, 0xD7) and not (_korean(raw) and len(syllables) >= _FEWEST_SYLLABLES)


def _taiwanese(raw: bytes) -> bool:
    return _pairs_lead(raw, "big5", 0xA1, 0xC6) and not _pairs_lead(raw, "gb2312", 0xB0, 0xD7)


def _japanese(raw: bytes) -> bool:
    text = _decoded(raw, "cp932")
    return any(ord(c) > 0x7F for c in text) and not any("\uff61" <= c <= "\uff9f" for c in text)


def _korean(raw: bytes) -> bool:
    beyond = [c for c in _decoded(raw, "euc_kr") if ord(c) > 0x7F]
    return bool(beyond) and all("\uac00" <= c <= "\ud7a3" for c in beyond)


_EAST_ASIAN: dict[str, Callable[[bytes], bool]] = {
    "gb18030": _chinese,
    "big5": _taiwanese,
    "shift_jis": _japanese,
    "cp949": _korean,
}


def _decoded(raw: bytes, encoding: str) -> str:
    """Return the text of bytes, empty where they are not in the encoding."""
    for cut in range(4):  # the last character may be cut by the end of the piece
        try:
            return raw[: len(raw) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""
