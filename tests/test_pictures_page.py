"""The page of a cube, opened in a real headless Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_case import Cubes
from picture_case import write_cube

from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import PageOptions, StationMarkers, station_markers, write_page
from aqreanalysis.pictures.colours import class_colours
from aqreanalysis.pictures.page import _fill, _lines
from aqreanalysis.species import SPECIES

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a headless Chromium."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here: 'make clients' installs them")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1100,900",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def ready(browser: Any, state: str) -> None:
    """Wait until the page has drawn ``layer hour cell``."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30, 0.05).until(lambda b: b.execute_script("return document.body.dataset.ready") == state)


def pixels(browser: Any) -> list[int]:
    """Return a sum of the map's colours, which changes with what it shows, and the number of colours."""
    return browser.execute_script(
        "const c = document.getElementById('map'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let s = 0; const k = new Set();"
        "for (let i = 0; i < d.length; i += 4) {"
        "s += d[i] * 3 + d[i + 1] * 5 + d[i + 2] * 7; k.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); }"
        "return [s, k.size];"
    )


def click(browser: Any, lat: float, lon: float) -> None:
    """Click the map at a place."""
    browser.execute_script(
        "const m = document.getElementById('map'), r = m.getBoundingClientRect();"
        f"m.dispatchEvent(new MouseEvent('click', {{clientX: r.left + toX({lon}) / unit,"
        f"clientY: r.top + toY({lat}) / unit}}));"
    )


def shown_number(browser: Any) -> float:
    """Return the estimate that the page tells of the cell that was clicked."""
    text = browser.execute_script("return document.getElementById('reading').textContent")
    number = re.search(r"UTC: ([\d.]+) ", text)
    assert number is not None, text
    return float(number.group(1))


def resize(browser: Any, width: int, height: int) -> None:
    """Give the page a window of another size; a width of less than 500 pixels is a telephone's."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 2 if width < 500 else 1, "mobile": width < 500},
    )


def test_an_enlarged_map_tells_the_cubes_numbers_at_every_width(browser: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(1).uniform(17.0, 20.0, (4, 12, 15))
    marks = StationMarkers(["a", "b"], np.array([46.5, 47.5]), np.array([10.5, 11.5]), np.array([False, True]))
    with CubeSource(write_cube(tmp_path / "cube.nc", values)) as source:
        page = write_page(source, tmp_path / "page.html", marks=marks)
        lats, lons = source.dataset["lat"].values, source.dataset["lon"].values
    for width in (420, 760, 1400):
        resize(browser, width, 800)
        browser.get(page.path.as_uri())
        ready(browser, "best 0 -1")
        for zoom, row, column in ((1, 2, 3), (6, 7, 11), (30, 10, 1)):
            browser.execute_script(f"look({zoom}, {lons[column]}, {lats[row]}); drawMap();")
            click(browser, lats[row] + 0.04, lons[column] - 0.04)
            ready(browser, f"best 0 {row * 15 + column}")
            assert shown_number(browser) == pytest.approx(values[0, row, column], abs=0.0101)
            # The very place under the pointer is told, and in the colour that its legend gives the number.
            seen = (
                "const e = new PointerEvent('pointermove', {clientX: map.getBoundingClientRect().left + toX(%f) / unit,"
            )
            seen += "clientY: map.getBoundingClientRect().top + toY(%f) / unit}); map.dispatchEvent(e);"
            browser.execute_script(seen % (lons[column], lats[row]))
            told = browser.execute_script("return document.getElementById('pointer').textContent")
            assert told.startswith(f"{lats[row]:.3f}°N {lons[column]:.3f}°E: {values[0, row, column]:.1f}"[:-1])
        wide, inner, map_wide = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth, document.getElementById('map').clientWidth]"
        )
        assert wide <= inner and map_wide > 0.92 * width
        top, bottom = browser.execute_script(
            "const r = document.getElementById('chart').getBoundingClientRect(); return [r.top, r.bottom]"
        )
        assert top > 0 and bottom <= 801
        legend = browser.execute_script("return document.getElementById('legend').textContent")
        assert "17 and less" in legend and "20 µg m⁻³" in legend
        assert "station" in legend and "station hidden from the model" in legend
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_classes_can_have_shades_that_colour_blind_readers_tell_apart(browser: Any, tmp_path: Path) -> None:
    with CubeSource(write_cube(tmp_path / "cube.nc", np.full((2, 4, 4), 40.0))) as source:
        page = write_page(source, tmp_path / "page.html")
    browser.get(page.path.as_uri())
    ready(browser, "best 0 -1")
    colours = []
    for plain in ("false", "true"):
        browser.execute_script(f"document.getElementById('plain').checked = {plain}; show({{ palette: 'us' }})")
        at = "const d = pen.getImageData(toX(11.1), toY(47.1), 1, 1).data; return [d[0], d[1], d[2]]"
        colours.append(browser.execute_script(at))
    assert colours[0] == [255, 126, 0] and colours[1] != colours[0]
    hexes = class_colours("us", SPECIES["pm25"], 1.0, plain=True).hexes
    assert colours[1] == [int(hexes[2][i : i + 2], 16) for i in (1, 3, 5)]


def test_the_coasts_of_a_continent_leave_room_for_its_numbers() -> None:
    for box in ((-10.0, 36.0, 30.0, 60.0), (-180.0, -90.0, 180.0, 90.0), (113.7, 22.1, 114.6, 22.7)):
        assert 200 < len(json.dumps(_lines(box), separators=(",", ":"))) < 600_000


def test_error_bars_have_scales_of_their_own(tmp_path: Path) -> None:
    layers = ("best", "lower", "upper", "standard_error")
    with CubeSource(write_cube(tmp_path / "cube.nc", np.full((3, 4, 4), 40.0))) as source:
        text = write_page(source, tmp_path / "page.html", PageOptions(layers=layers)).path.read_text("utf-8")
    head = json.loads(re.search(r'id="head">(.*?)</script>', text).group(1))  # type: ignore[union-attr]
    spread, width = (head["scales"][name] for name in ("standard_error", "width"))
    assert spread["low"] < 3 < spread["high"] < 5 and 5 < width["low"] < 10 < width["high"]
    assert head["widthName"] == "width of the 90 % interval"


def test_the_page_draws_moves_and_tells_the_numbers_of_the_cube(browser: Any, cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        page = write_page(source, tmp_path / "page.html", marks=station_markers(cubes.model, None))
        cube = source.dataset.load()
    browser.get(page.path.as_uri())
    ready(browser, "best 0 -1")
    first, colours = pixels(browser)
    assert colours > 20
    move = "const t = document.getElementById('time'); t.value = 40; t.dispatchEvent(new Event('input'));"
    browser.execute_script(move)
    ready(browser, "best 40 -1")
    assert pixels(browser)[0] != first
    # A click in the middle of the cell of the third row from the north and the sixth column.
    row, column = len(cube.lat) - 3, 5
    click(browser, float(cube.lat[row]), float(cube.lon[column]))
    ready(browser, f"best 40 {row * len(cube.lon) + column}")
    text = browser.execute_script("return document.getElementById('reading').textContent")
    numbers = re.search(r"UTC: ([\d.]+) \S+ \S+; 90 % interval ([\d.]+) to ([\d.]+)", text)
    assert numbers is not None, text
    for shown, name, layer in zip(
        numbers.groups(), ("best", "lower", "upper"), ("pm2p5", "pm2p5_lower", "pm2p5_upper"), strict=True
    ):
        true = float(cube[layer][40, row, column])
        # Half a step by rounding, and half a unit of the last decimal that is shown.
        assert float(shown) == pytest.approx(
            true, abs=page.within[name] * 1.001 + 0.5 * 10 ** -len(shown.partition(".")[2])
        )
    assert f"{float(cube.lat[row]):g}, {float(cube.lon[column]):g}" in text
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    # The map leaves room: what a click tells is seen without scrolling.
    place = "return document.getElementById('chart').getBoundingClientRect().top - window.innerHeight"
    assert browser.execute_script(place) < 0


def test_the_heading_names_the_pollutant_that_is_shown_of_several(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.two, ["o3"]) as source:
        several = write_page(source, tmp_path / "two.html").path.read_text("utf-8")
    with CubeSource(cubes.one) as source:
        alone = write_page(source, tmp_path / "one.html").path.read_text("utf-8")
    assert '"title":"O3: Hourly PM2.5, O3 on the grid' in several
    assert '"title":"Hourly PM2.5 on the grid' in alone


def test_the_page_asks_nothing_of_the_network(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.two) as source:
        page = write_page(source, tmp_path / "page.html")
    text = page.path.read_text("utf-8")
    assert "http://" not in text and "https://" not in text
    assert set(page.within) == {"best", "lower", "upper"}


def test_a_page_that_cannot_fit_is_refused_with_the_way_out(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source, pytest.raises(OutputError, match="--max-mb"):
        write_page(source, tmp_path / "page.html", PageOptions(max_megabytes=0.1))
    assert list(tmp_path.iterdir()) == []


def test_the_finer_step_is_taken_where_there_is_room(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        page = write_page(source, tmp_path / "page.html")
    assert page.within == {"best": 0.005, "lower": 0.01, "upper": 0.01}


def test_a_page_without_the_estimate_is_refused() -> None:
    with pytest.raises(ConfigError, match="best"):
        PageOptions(layers=("lower",))
    assert np.isclose(PageOptions().max_megabytes, 24)


def test_a_title_that_holds_the_marks_of_the_page_is_a_title(tmp_path: Path) -> None:
    title = "A /*SCRIPT*/ </script> /*STYLE*/ <!--DATA--> /*HEAD*/"
    text = _fill({"title": title}, {})
    head = re.search(r'type="application/json"[^>]*>(.*?)</script>', text, re.S)
    assert head is not None and json.loads(head[1]) == {"title": title}
