"""The page of a cube, opened in a real headless Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_case import Cubes

from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import PageOptions, station_markers, write_page

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
    browser.execute_script(
        "const m = document.getElementById('map'), r = m.getBoundingClientRect();"
        f"m.dispatchEvent(new MouseEvent('click', {{clientX: r.left + r.width * {(column + 0.5) / len(cube.lon)},"
        f"clientY: r.top + r.height * {2.5 / len(cube.lat)}}}));"
    )
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
