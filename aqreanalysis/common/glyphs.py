"""Letters that the usual font lacks, such as Chinese ones: another installed font draws them, or one line says so."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_LOG = logging.getLogger(__name__)
# A font that has a box for every letter.
_BOXES = "Last Resort"
# Letters that the line names.
_NAMED = 12


@contextmanager
def every_letter(figure: Figure) -> Iterator[None]:
    """Lay out or draw a figure in this block with a font for each of its letters, as far as one is installed.

    What no font has is warned of in one line for the same letters, in place of matplotlib's line for each of them.
    """
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()]
    lacking = frozenset("".join("".join(text.get_text().split()) for text in texts)) - _letters_of(_usual_font())
    if lacking:
        families = _families_with(lacking)
        for text in texts:
            if lacking & set(text.get_text()):
                text.set_fontfamily([*rcParams["font.family"], *families])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


@cache
def _families_with(letters: frozenset[str]) -> tuple[str, ...]:
    """Return families of installed fonts that have the letters, those with most of them first."""
    wanted, families = set(letters), []
    fonts = {
        font.name: _letters_of(font.fname) & letters
        for font in fontManager.ttflist
        if font.style == "normal" and not font.name.startswith(_BOXES)
    }
    while wanted and fonts:
        best = max(fonts, key=lambda name: len(fonts[name] & wanted))
        if not fonts[best] & wanted:
            break
        families.append(best)
        wanted -= fonts[best]
    if wanted:
        shown = "".join(sorted(wanted)[:_NAMED]) + ("..." if len(wanted) > _NAMED else "")
        _LOG.warning(
            "no installed font has the letters %s, which are boxes in the picture: install one that has them, such as "
            "Noto Sans CJK (fonts-noto-cjk of Debian and Ubuntu), and draw it again",
            shown,
        )
    return tuple(families)


def _usual_font() -> str:
    return str(findfont(FontProperties()))


@cache
def _letters_of(path: str) -> frozenset[str]:
    return frozenset(map(chr, get_font(path).get_charmap()))
