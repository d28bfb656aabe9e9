"""Maps, films and time series are drawn from real small cubes, and wrong wishes are refused in one line."""

from datetime import datetime, timedelta
from pathlib import Path

import cmocean
import numpy as np
import pytest
from export_case import Cubes
from PIL import Image
from production_case import make_observations

from aqreanalysis.errors import ConfigError, CubeError, OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import Film, MapOptions, animate, draw_map, draw_series, station_markers
from aqreanalysis.pictures.animation import _in_palette, _palette
from aqreanalysis.pictures.cube_fields import (
    flag_classes,
    flag_numbers,
    read_extrapolated,
    read_fields,
    time_step_at,
    whole_span,
)
from aqreanalysis.pictures.maps import _degrees, _outer

NOON = datetime(2019, 1, 3, 12)
PANELS = ("best", "standard_error", "width", "flag")


def test_four_panels_with_stations_are_a_picture_of_many_colours(cubes: Cubes, tmp_path: Path) -> None:
    marks = station_markers(cubes.model, make_observations())
    with CubeSource(cubes.two) as source:
        path = draw_map(source, tmp_path / "map.png", MapOptions(PANELS, NOON), marks)
    picture = Image.open(path)
    assert picture.width > 1000 and len(set(picture.convert("RGB").resize((300, 200)).getdata())) > 200


def test_an_svg_is_the_same_when_drawn_again_and_its_text_is_text(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        first = draw_map(source, tmp_path / "a.svg", MapOptions(palette="who")).read_text()
        again = draw_map(source, tmp_path / "b.svg", MapOptions(palette="who")).read_text()
    assert first == again and "PM2.5" in first and "WHO 2021" in first


def test_the_fields_drawn_are_the_cubes(cubes: Cubes) -> None:
    with CubeSource(cubes.two) as source:
        one = source.species["pm25"]
        fields = read_fields(source, one, time_step_at(source, NOON), PANELS)
        cube = source.dataset.sel(time=NOON + timedelta(minutes=30)).load()
        mean = read_fields(source, one, whole_span(source), ("best",))["best"]
        whole = source.dataset["pm2p5"].mean("time").values
    assert np.array_equal(fields["best"], cube["pm2p5"].values, equal_nan=True)
    width = (cube["pm2p5_upper"] - cube["pm2p5_lower"]).values
    assert np.array_equal(fields["width"], width, equal_nan=True)
    assert np.allclose(mean, whole, rtol=1e-5, equal_nan=True)


def test_the_flag_shows_what_weighs_most(cubes: Cubes) -> None:
    with CubeSource(cubes.two) as source:
        classes = flag_classes(source, source.species["pm25"])
    names = list(classes)
    flags = np.array([0, 4, 8, 4 | 8, 16 | 4 | 1], np.int8)
    shown = [names[n] for n in flag_numbers(flags, classes)]
    far = "extrapolated_beyond_network"
    assert shown == ["not flagged", far, "few_neighbours", far, "masked"]


def test_what_is_extrapolated_is_hatched_and_the_legend_says_from_where_on(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.far) as source:
        one = source.species["pm25"]
        far = read_extrapolated(source, one, time_step_at(source, NOON))
        mean = read_extrapolated(source, one, whole_span(source))
        distance = source.dataset["nearest_station_distance"].load()
        shown = draw_map(source, tmp_path / "a.svg", MapOptions(("best", "flag"), NOON)).read_text()
        draw_map(source, tmp_path / "b.svg", MapOptions())
    assert np.array_equal(far, distance.sel(time=NOON + timedelta(minutes=30)).values > 15.0)
    assert np.array_equal(mean, distance.mean("time").values > 15.0)
    assert "no station that reports within 15 km" in shown and "extrapolated beyond network (15 km)" in shown
    assert "left blank" in shown and shown.count("<pattern") >= 2


def test_nothing_is_hatched_where_no_cell_is_extrapolated(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.far) as source:
        source.dataset["quality_flag"] = source.dataset["quality_flag"] & 11
        shown = draw_map(source, tmp_path / "a.svg", MapOptions(time=NOON)).read_text()
    assert shown.count("<pattern") == 1  # of the legend


def test_a_gif_has_a_frame_a_step_and_they_differ(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.far) as source:
        path = animate(source, tmp_path / "film.gif", MapOptions(borders=False), Film(every=24))
    film = Image.open(path)
    assert film.n_frames == 3
    frames = []
    for number in range(3):
        film.seek(number)
        frames.append(np.asarray(film.convert("RGB")))
    assert not np.array_equal(frames[0], frames[1])


def test_a_series_is_drawn_with_the_readings_of_a_station_nearby(cubes: Cubes, tmp_path: Path) -> None:
    observations = make_observations()
    place = (float(observations.lat[0]), float(observations.lon[0]))
    with CubeSource(cubes.one) as source:
        lat, lon = source.dataset["lat"].values, source.dataset["lon"].values
        inside = (float(np.clip(place[0], lat[0], lat[-1])), float(np.clip(place[1], lon[0], lon[-1])))
        text = draw_series(source, tmp_path / "s.svg", inside, station_markers(None, observations)).read_text()
    assert "90 % interval" in text and "estimate" in text


def test_wrong_wishes_are_refused_in_one_line(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        with pytest.raises(CubeError, match="nearest"):
            draw_map(source, tmp_path / "a.png", MapOptions(time=datetime(2030, 1, 1)))
        with pytest.raises(CubeError, match="outside"):
            draw_series(source, tmp_path / "a.png", (0.0, 0.0))
        with pytest.raises(OutputError, match=r"\.png"):
            draw_map(source, tmp_path / "a.jpg", MapOptions())
        draw_map(source, tmp_path / "a.png", MapOptions(borders=False))
        with pytest.raises(OutputError, match="--overwrite"):
            draw_map(source, tmp_path / "a.png", MapOptions())
    with pytest.raises(ConfigError, match="did you mean 'best'"):
        MapOptions(("bast",))
    with pytest.raises(ConfigError, match="50"):
        Film(frames_per_second=99)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_a_gif_keeps_both_ends_of_the_scale_where_its_first_frame_has_little_of_them() -> None:
    shades = (cmocean.cm.matter(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    frame = np.full((300, 400, 3), 255, np.uint8)
    # The field has the middle of the scale alone, the colour bar all of it.
    frame[20:280, 10:300] = shades[np.random.default_rng(0).integers(100, 140, (260, 290))]
    frame[20:276, 320:332] = shades[::-1, None]
    shown = np.asarray(_in_palette(frame, _palette(frame)).convert("RGB")).astype(int)
    assert np.abs(shown[20:276, 325] - frame[20:276, 325]).max() <= 8


def test_a_film_without_ffmpeg_says_what_to_install(cubes: Cubes, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with CubeSource(cubes.one) as source, pytest.raises(OutputError, match=r"aqreanalysis\[film\]"):
        animate(source, tmp_path / "film.mp4", MapOptions(), Film())


def test_a_cell_cut_at_the_pole_is_drawn_whole_so_that_the_others_lie_where_they_are() -> None:
    centres = np.array([89.5, 89.75, 90.0])
    edges = np.array([[89.375, 89.625], [89.625, 89.875], [89.875, 90.0]])
    assert _outer(centres, edges) == (89.375, 90.125)
    assert _outer(np.array([5.0]), np.array([[4.0, 6.0]])) == (4.0, 6.0)


def test_the_date_line_and_the_equator_have_no_side() -> None:
    assert [_degrees(x, "E", "W") for x in (-180.0, 0.0, 12.5, -12.5)] == ["180°", "0°", "12.5°E", "12.5°W"]
