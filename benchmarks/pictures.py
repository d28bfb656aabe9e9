"""Pictures timed from outside: `plot` of each kind, and the page of `view` opened in a headless Chromium.

    python benchmarks/pictures.py --cube outputs/month.nc [--stations MODEL] [--repeat 3] [--short]

The cube is one of north China at 0.1 degree over 30 days at least (201 x 101 cells; `aqreanalysis produce --grid
north-china-0.1 --start 2019-01-01 --end 2019-01-31`). Each command is a process of its own, Python's start included:
wall clock, processor time (user and system, of all its threads), peak memory; medians. Of the page: its size, the time
from the call to the drawn map, then to the map of another hour after the slider was moved, and the processor time that
all processes of Chromium took for both. Bars: one map 5 s; the page of 30 days 25 MB and interactive in 3 s. Without
chromium and chromedriver (``make clients``) the page is written and not opened.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import xarray as xr
from producing import machine, record, run_watched, table

DAYS, MOST_MB = 30, 25
MAP_SECONDS, PAGE_SECONDS = 5.0, 3.0
_MOVE = "const t = document.getElementById('time'); t.value = 40; t.dispatchEvent(new Event('input'));"


def run(command: Sequence[str], repeat: int) -> dict[str, float]:
    """Return medians of wall clock, processor seconds and peak megabytes of an ``aqreanalysis`` command."""
    rows = []
    for _ in range(repeat):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _, seconds, peak = run_watched([sys.executable, "-m", "aqreanalysis.cli", *command, "--overwrite", "--json"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows.append((seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1e6))
    return dict(zip(("seconds", "processor_seconds", "peak_mb"), map(median, zip(*rows, strict=True)), strict=True))


def kinds(cube: Path, work: Path, days: int) -> dict[str, list[str]]:
    """Return what is drawn, by name: the arguments of the command."""
    with xr.open_dataset(cube) if cube.suffix == ".nc" else xr.open_zarr(cube) as opened:
        times = opened["time"].values
        middle = f"{float(opened.lat.mean()):.3f},{float(opened.lon.mean()):.3f}"
    stamps = [np.datetime_as_string(t, unit="m") for t in times]
    at, day, end = stamps[len(stamps) // 2], stamps[min(24, len(stamps) - 1)], stamps[min(24 * days, len(stamps)) - 1]
    draw = ["plot", str(cube), "--out"]
    film = shutil.which("ffmpeg") or find_spec("imageio_ffmpeg")
    mp4 = {"MP4 of a day": [*draw, f"{work}/film.mp4", "--end", day]} if film else {}
    return {
        "map": [*draw, f"{work}/map.png", "--time", at],
        "map, SVG": [*draw, f"{work}/map.svg", "--time", at],
        "panels": [*draw, f"{work}/panels.png", "--time", at, "--layer", "panels"],
        "mean of all": [*draw, f"{work}/mean.png", "--mean"],
        "series of a place": [*draw, f"{work}/series.png", "--place", middle],
        "GIF of a day": [*draw, f"{work}/film.gif", "--end", day],
        **mp4,
        f"page of {days} days": ["view", str(cube), "--out", f"{work}/page.html", "--end", end],
    }


def open_page(page: Path, repeat: int) -> dict[str, float]:
    """Return medians of the seconds to the drawn map and to the next one, and of Chromium's processor seconds."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    browser, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if browser is None or driver is None:
        return {}
    rows = []
    for _ in range(repeat):
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(flag)
        chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            used, began = _processor(chromium), time.perf_counter()
            chromium.get(page.resolve().as_uri())
            marks = []
            for wanted, act in (("best 0 -1", ""), ("best 40 -1", _MOVE)):
                chromium.execute_script(act)
                WebDriverWait(chromium, 120, 0.02).until(_drawn(wanted))
                marks.append(time.perf_counter() - began)
            rows.append((marks[0], marks[1], _processor(chromium) - used))
        finally:
            chromium.quit()
    names = ("drawn_seconds", "moved_seconds", "browser_processor_seconds")
    return dict(zip(names, map(median, zip(*rows, strict=True)), strict=True))


def _drawn(wanted: str) -> Any:
    return lambda chromium: chromium.execute_script("return document.body.dataset.ready") == wanted


def _processor(chromium: Any) -> float:
    used = 0.0
    for process in psutil.Process(chromium.service.process.pid).children(recursive=True):
        times = process.cpu_times()
        used += times.user + times.system
    return used


def main() -> None:
    """Time everything and record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cube", type=Path, required=True)
    parser.add_argument("--stations", type=Path, help="a bundle whose stations are marked")
    parser.add_argument("--work", type=Path, default=Path("outputs/benchmarks/pictures"))
    parser.add_argument("--repeat", type=int, default=3, help="of which the median is told")
    parser.add_argument("--short", action="store_true", help="nothing is recorded")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    marked = ["--model", str(options.stations)] if options.stations else []
    figures: dict[str, Any] = {}
    for name, command in kinds(options.cube, options.work, DAYS).items():
        figures[name] = {**run([*command, *marked], options.repeat), "mb": Path(command[3]).stat().st_size / 1e6}
    bars = {"map": f"{MAP_SECONDS:g} s", f"page of {DAYS} days": f"{MOST_MB} MB"}
    rows = [
        (name, f["seconds"], f["processor_seconds"], round(f["peak_mb"]), f["mb"], bars.get(name, ""))
        for name, f in figures.items()
    ]
    page = open_page(options.work / "page.html", options.repeat)
    figures["in Chromium"] = page
    with xr.open_dataset(options.cube) if options.cube.suffix == ".nc" else xr.open_zarr(options.cube) as opened:
        sizes = f"{opened.sizes['time']} steps of {opened.sizes['lon']} x {opened.sizes['lat']} cells"
    lines = ["# Pictures", "", f"`benchmarks/pictures.py`, {sizes}; medians of {options.repeat}. {machine()}.", ""]
    lines += table(("what", "wall, s", "processor, s", "peak, MB", "file, MB", "bar"), rows)
    lines += ["", "Chromium was not there."]
    if page:
        lines[-1] = (
            f"The page in a headless Chromium: drawn {page['drawn_seconds']:.2f} s after the call (bar "
            f"{PAGE_SECONDS:g} s), the next hour drawn at {page['moved_seconds']:.2f} s; all its processes took "
            f"{page['browser_processor_seconds']:.2f} s of processor."
        )
    record("pictures", lines, figures, options.short)


if __name__ == "__main__":
    main()
