"""Make docs/gallery.md anew: a picture of each kind, drawn by the commands that stand under them (`make gallery`).

The region is the synthetic one of `aqreanalysis demo`, three weeks of it; the cube comes from the model that is in the
package, calibrated on the region's stations. Needs a minute or two.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "gallery"
WORK = HERE.parent / "outputs" / "gallery"
PAGE = HERE / "gallery.md"
START, END = "2001-03-15", "2001-03-18"
HOUR = "2001-03-16T18:00"
#: Name of the picture, what it shows, and how it is drawn.
KINDS = (
    (
        "map.png",
        "A map of an hour, with what the stations read.",
        f"--time {HOUR} --observations nature/observations.nc",
    ),
    (
        "panels.png",
        "Estimate, standard error, width of the interval and quality flag side by side.",
        f"--time {HOUR} --layer panels",
    ),
    (
        "print.png",
        "For print: one column of a journal, with north, a bar of kilometres, and the towns as an overlay.",
        f"--time {HOUR} --width 8.5 --north --scale-bar --overlay towns.geojson --title 'PM2.5 in the evening'",
    ),
    (
        "who.png",
        "A day in the classes of the WHO guidelines, their names beside the colours.",
        "--cube cube_daily.nc --time 2001-03-16 --colours who --width 12",
    ),
    (
        "plain.png",
        "The same day in the classes of the US index, in shades that every colour-blind reader tells apart.",
        "--cube cube_daily.nc --time 2001-03-16 --colours us --plain-shades --width 12",
    ),
    ("mean.png", "A mean, and the share of its hours that are flagged.", "--mean --layer best,flag"),
    (
        "place.png",
        "The course at a place, with the readings of the station nearby.",
        "--place {place} --observations nature/observations.nc",
    ),
    ("film.gif", "A film of an evening and night.", "--start 2001-03-16T15 --end 2001-03-17T03 --every 2 --fps 3"),
)


def run(*command: str) -> None:
    """Run a command of the program in the folder of work."""
    subprocess.run(
        [sys.executable, "-m", "aqreanalysis.cli", *command], cwd=WORK, check=True, stdout=subprocess.DEVNULL
    )


def make_cubes() -> tuple[float, float]:
    """Write region, overlay and cubes anew; return the place of a town's station."""
    from aqreanalysis.nature import nature_run

    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    nature = nature_run(seed=0, days=21)
    nature.write(WORK / "nature")
    stations = nature.stations
    towns = stations.groupby("city")[["lat", "lon"]].mean()
    features = [
        {
            "type": "Feature",
            "properties": {"town": str(name)},
            "geometry": {"type": "Point", "coordinates": [float(lon), float(lat)]},
        }
        for name, lat, lon in towns.itertuples()
    ]
    (WORK / "towns.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    grid = "10,46,16,50@0.1"
    asked = ["--observations", "nature/observations.nc", "--grid", grid, "--start", START, "--end", END]
    run("produce", *asked, "--species", "pm25", "--frequency", "hourly,daily", "--out", "cube.nc")
    first = stations.iloc[0]
    return float(first["lat"]), float(first["lon"])


def main() -> None:
    """Draw every kind and write the page."""
    place = "{:.3f},{:.3f}".format(*make_cubes())
    PICTURES.mkdir(exist_ok=True)
    lines = [
        "# Gallery",
        "",
        "One of each kind, drawn by `make gallery` from three weeks of the synthetic region ([nature.md](nature.md))",
        "and the model that comes with the program. The options are told in [pictures.md](pictures.md).",
        "",
    ]
    for name, words, template in KINDS:
        options = shlex.split(template.format(place=place))
        cube = "cube_hourly.nc"
        if options[0] == "--cube":
            cube, options = options[1], options[2:]
        run("plot", cube, *options, "--out", name, "--overwrite")
        shrink(WORK / name, PICTURES / name)
        command = shlex.join(["aqreanalysis", "plot", cube, *options, "--out", name])
        lines += [f"## {words}", f"![{words}](gallery/{name})", "```", command, "```", ""]
    run("view", "cube_hourly.nc", "--out", "page.html", "--overwrite")
    photograph(WORK / "page.html", PICTURES / "page.png")
    words = "A page that any browser opens: zoom, time, values and their course by click."
    command = "aqreanalysis view cube_hourly.nc --out page.html"
    lines += [f"## {words}", f"![{words}](gallery/page.png)", "```", command, "```"]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def photograph(page: Path, out: Path) -> None:
    """Keep what Chromium shows of a page after a click; `make clients` installs it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,900"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(page.as_uri())
        cell = "Math.floor(rows / 2) * columns + Math.floor(columns / 3)"
        browser.execute_script(f"find('time').value = 42; show({{ hour: 42, cell: {cell} }})")
        time.sleep(3)
        browser.save_screenshot(str(page.with_suffix(".png")))
    finally:
        browser.quit()
    shrink(page.with_suffix(".png"), out)


def shrink(path: Path, out: Path) -> None:
    """Keep a picture with a palette of its own that holds rare colours too, as those of a scale; a film as it is."""
    if path.suffix == ".gif":
        shutil.copyfile(path, out)
        return
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=30, dither=Image.Dither.NONE)
        few.save(out, optimize=True)


if __name__ == "__main__":
    main()
