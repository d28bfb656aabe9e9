"""A title in letters that the usual font lacks is drawn by a font that has them, or one line says that none has."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from aqreanalysis.common import glyphs
from aqreanalysis.pictures.paper import Paper, save


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    glyphs._families_with.cache_clear()
    logging.getLogger("aqreanalysis").addHandler(caplog.handler)
    yield caplog
    logging.getLogger("aqreanalysis").removeHandler(caplog.handler)
    glyphs._families_with.cache_clear()


def saved(title: str, path: Path) -> Figure:
    figure = Figure()
    figure.suptitle(title)
    figure.subplots().plot([1, 2], label="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, path, Paper())
    return figure


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_letters_that_no_font_has_are_named_in_one_line_and_matplotlib_says_nothing(ending, tmp_path, lines):
    # Letters of a private use area, which no font of a system draws.
    saved("\U00100001\U00100002\U00100001 Graz", tmp_path / f"a.{ending}")
    (line,) = [record.getMessage() for record in lines.records]
    assert "no installed font has the letters \U00100001\U00100002, which" in line and "fonts-noto-cjk" in line


def test_letters_of_another_installed_font_are_drawn_by_it(tmp_path, lines, monkeypatch):
    own = {font.fname for font in fontManager.ttflist if font.name == "DejaVu Sans"}
    monkeypatch.setattr(glyphs, "_letters_of", lambda path: frozenset("北京A" if path in own else "A"))
    monkeypatch.setattr(glyphs, "_usual_font", lambda: "another")
    figure = saved("北京", tmp_path / "a.png")
    assert figure.get_suptitle() == "北京" and not lines.records
    assert figure._suptitle.get_fontfamily()[-1] == "DejaVu Sans"


def test_usual_letters_keep_the_usual_font(tmp_path, lines):
    figure = saved("PM₂.₅ (µg m⁻³), Österreich", tmp_path / "a.png")
    assert figure._suptitle.get_fontfamily() == ["sans-serif"] and not lines.records
