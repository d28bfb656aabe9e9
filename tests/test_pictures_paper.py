"""A picture for print has its width, letters of 7 points and more, an arrow and a bar that hold, and a PDF."""

import json
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from picture_case import write_cube
from PIL import Image

from aqreanalysis.common.geodesy import distance_km
from aqreanalysis.errors import ConfigError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import MapOptions, Paper, SeriesOptions, StationMarkers, draw_map, draw_series
from aqreanalysis.pictures.cube_fields import read_fields, time_step_at
from aqreanalysis.pictures.maps import MapFigure
from aqreanalysis.pictures.paper import draw_scale_bar, fit_height, wrapped

NOON = datetime(2019, 1, 1, 12, 30)
PANELS = ("best", "standard_error", "width", "flag")
MARKS = StationMarkers(["a", "b"], np.array([46.5, 47.5]), np.array([10.5, 11.5]), np.array([False, True]))


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.random.default_rng(0).uniform(10.0, 60.0, (24, 16, 20))
    return write_cube(tmp_path_factory.mktemp("paper") / "cube.nc", values)


def drawn(cube: Path, **options) -> Figure:
    with CubeSource(cube) as source:
        wanted = MapOptions(**options)
        one = source.species["pm25"]
        step = time_step_at(source, NOON)
        fields = read_fields(source, one, step, wanted.layers)
        canvas = MapFigure(source, one, wanted, MARKS)
        canvas.draw(fields, step, canvas.colours(fields, step))
    return canvas.figure


@pytest.mark.parametrize("layers", [("best",), PANELS])
@pytest.mark.parametrize("palette", ["even", "who", "us"])
@pytest.mark.parametrize("width", [8.5, 17.0])
def test_no_text_of_a_printed_map_is_below_seven_points_nor_beyond_the_paper(cube, layers, palette, width) -> None:
    paper = Paper(width, north=True, scale_bar=True)
    figure = drawn(cube, layers=layers, time=NOON, palette=palette, paper=paper)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert len(texts) > 8 and min(text.get_fontsize() for text in texts) >= 7
    assert figure.get_figwidth() * 2.54 == pytest.approx(width)
    edge = figure.get_figwidth() * figure.dpi
    # Labels beyond an axis' ends are there, but are not drawn.
    beyond = [
        t.get_text() for t in texts if t.get_window_extent().x1 > edge + 1 and not t.get_text().endswith(("E", "N"))
    ]
    assert beyond == []


def test_the_names_of_classes_stand_beside_their_colours(cube) -> None:
    figure = drawn(cube, time=NOON, palette="us", paper=Paper(17.0))
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "< 9.1: good" and texts[2] == "35.5 to 55.5: unhealthy for sensitive groups"
    assert texts[6:] == ["extrapolated", "visible station", "hidden station"]
    assert legend.get_patches()[0].get_facecolor()[:3] == pytest.approx((0.0, 228 / 255, 0.0), abs=1e-2)
    assert "shown: an hour" in legend.get_title().get_text()


@pytest.mark.parametrize("layers", [("best",), ("flag",), PANELS])
def test_no_legend_hides_a_cell(cube, layers) -> None:
    for width in (None, 8.5, 17.0):
        figure = drawn(cube, layers=layers, time=NOON, paper=Paper(width))
        figure.draw_without_rendering()
        assert not any(axes.get_legend() or axes.texts for axes in figure.axes)
        (legend,) = figure.legends
        below = legend.get_window_extent().y1
        assert all(axes.get_window_extent().y0 >= below for axes in figure.axes)


def test_a_png_has_the_dots_of_its_width_and_a_pdf_the_centimetres(cube, tmp_path: Path) -> None:
    with CubeSource(cube) as source:
        wanted = MapOptions(time=NOON, paper=Paper(9.0, dpi=200, title="Peak of the episode"))
        picture = Image.open(draw_map(source, tmp_path / "a.png", wanted))
        pages = [draw_map(source, tmp_path / f"{name}.pdf", wanted).read_bytes() for name in "bc"]
    assert picture.width == pytest.approx(9.0 / 2.54 * 200, abs=1)
    assert pages[0] == pages[1] and pages[0].startswith(b"%PDF")
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", pages[0])
    assert box is not None and float(box.group(1)) == pytest.approx(9.0 / 2.54 * 72, abs=0.5)


def test_the_bar_of_kilometres_is_as_long_as_it_says(cube) -> None:
    for box in ((10.0, 46.0, 12.0, 48.0), (-0.5, 51.2, 0.3, 51.7), (170.0, -48.0, 190.0, -30.0)):
        axes = Figure().subplots()
        km = draw_scale_bar(axes, box, Paper().letters)
        (bar,) = axes.lines
        (west, east), (lat, _) = bar.get_data()
        assert distance_km(np.float64(lat), np.float64(west), np.array([lat]), np.array([east]))[0] == pytest.approx(
            km, rel=2e-3
        )
        assert 0.08 < (east - west) / (box[2] - box[0]) < 0.3


def test_little_paper_is_left_empty_around_a_flat_map_and_a_tall_one() -> None:
    for aspect in (0.4, 1.0, 2.5):
        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        axes.set_aspect(aspect)
        fit_height(figure, [[axes]])
        figure.draw_without_rendering()
        taken, given = axes.get_position(), axes.get_position(original=True)
        assert taken.height / given.height > 0.97 or aspect > 1.3


def test_a_series_takes_the_width_the_title_and_the_axis_that_are_asked_for(cube, tmp_path: Path) -> None:
    with CubeSource(cube) as source:
        wanted = SeriesOptions(low=20.0, high=40.0, paper=Paper(9.0, title="In town"))
        text = draw_series(source, tmp_path / "a.svg", (47.0, 11.0), None, False, wanted).read_text()
    assert "In town" in text and "PM2.5 (µg m⁻³)" in text
    width = re.search(r'width="([\d.]+)pt"', text)
    assert width is not None and float(width.group(1)) == pytest.approx(9.0 / 2.54 * 72, abs=0.5)


def test_papers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="column of a journal"):
        Paper(2.0)
    with pytest.raises(ConfigError, match="dots an inch"):
        Paper(dpi=10.0)
    with pytest.raises(ConfigError, match="below its end"):
        MapOptions(low=3.0, high=2.0)
    with pytest.raises(ConfigError, match="'even'"):
        MapOptions(palette="who", high=2.0)
    with pytest.raises(ConfigError, match="below its end"):
        SeriesOptions(high=-1.0)
    for end in (float("nan"), float("inf")):
        for options in (MapOptions, SeriesOptions):
            with pytest.raises(ConfigError, match="give a finite number"):
                options(high=end)


def test_an_axis_that_begins_above_all_it_would_show_is_refused(cube, tmp_path: Path) -> None:
    with CubeSource(cube) as source, pytest.raises(ConfigError, match=r"axis from 500 to .* must lie below its end"):
        draw_series(source, tmp_path / "a.png", (47.0, 11.0), options=SeriesOptions(low=500.0))


def test_a_users_dollars_and_underscores_are_letters(cube, tmp_path: Path) -> None:
    roads = tmp_path / "_cost_$5_$10.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [11, 47]}}
    roads.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    title = "from $5 to $\\frac{ µg"
    paper = Paper(17.0, title=title)
    with CubeSource(cube) as source:
        drawn = draw_map(source, tmp_path / "a.svg", MapOptions(time=NOON, paper=paper, overlays=(roads,)))
        course = draw_series(source, tmp_path / "b.svg", (47.0, 11.0), options=SeriesOptions(paper=paper))
    assert title in drawn.read_text() and title in course.read_text()
    assert "_cost_$5_$10" in drawn.read_text()


def test_a_long_title_goes_over_several_lines() -> None:
    assert wrapped("PM2.5 " * 20, 9.0, 3.3).count("\n") >= 2 and wrapped("", 9.0, 3.3) == ""


def test_the_command_draws_for_print_and_refuses_a_scale_that_runs_backwards(cube, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from aqreanalysis.cli import main

    asked = ["plot", str(cube), "--time", "2019-01-01T12:30", "--width", "9", "--north", "--scale-bar", "--min", "5"]
    done = CliRunner().invoke(main, [*asked, "--max", "50", "--title", "", "--out", str(tmp_path / "a.pdf")])
    assert done.exit_code == 0 and (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF"), done.output
    wrong = CliRunner().invoke(main, [*asked, "--max", "3", "--out", str(tmp_path / "b.pdf")])
    assert wrong.exit_code == 2 and "below its end" in wrong.output
