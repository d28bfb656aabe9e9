"""R and ncview on a file of a single step, for `accept.py`: the scripts of ``shared/accept`` ask them for four steps.

``python tests/clients/one_step.py r|ncview FILE VAR...`` prints a line as those scripts do. They are asked for the
same: units, date, extremes and valid cells in R (ncdf4, terra, stars), a field window with colours in ncview.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "shared" / "accept"))
from common import Check, absent, need, sh

_R = r"""
f <- commandArgs(TRUE)[1]; vs <- commandArgs(TRUE)[-1]; say <- function(...) cat(..., sep = "\t", "\n")
stamp <- function(t) format(t[1], "%Y-%m-%dT%H:%M", tz = "UTC")
for (v in vs) {
  n <- ncdf4::nc_open(f); x <- ncdf4::ncvar_get(n, v)
  say("ncdf4", v, n$var[[v]]$units, min(x, na.rm = TRUE), max(x, na.rm = TRUE), sum(!is.na(x))); ncdf4::nc_close(n)
  r <- terra::rast(f, subds = v); g <- as.numeric(terra::global(r[[1]], "range", na.rm = TRUE))
  say("terra", v, terra::units(r)[1], g[1], g[2], terra::nlyr(r), stamp(terra::time(r)))
  s <- stars::read_mdim(f, v); t <- stars::st_get_dimension_values(s, "time")
  say("stars", v, as.character(units::deparse_unit(s[[1]])), length(t), stamp(t))
}
"""
_ASKED = {"ncdf4": "units min max valid", "terra": "units min max bands start", "stars": "- steps start"}


def ask_r(check: Any, path: str, names: list[str]) -> None:
    """Read every layer in the three packages and compare."""
    for line in sh("Rscript", "-e", _R, path, *names).splitlines():
        package, *told = line.rstrip("\t ").split("\t")
        if package not in _ASKED:
            continue
        name, values = told[0], told[1:]
        for key, got in zip(_ASKED[package].split(), values, strict=True):
            if key != "-":
                check.same(name, key, got if key in ("units", "start") else float(got))
        check.say(f"{package} read {name}")
    check.that(len(check.said) == len(_ASKED) * len(names), f"R read {len(check.said)} times")


def ask_ncview(check: Any, path: str, names: list[str]) -> None:
    """Open a copy that holds one layer, so that its field window opens by itself, and count the window's colours."""
    with tempfile.TemporaryDirectory() as folder:
        copy, (reading, writing) = f"{folder}/one.nc", os.pipe()
        sh("ncks", "-O", "-C", "-v", f"{names[0]},time,lat,lon", path, copy)
        screen = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1000x800x24", "-nolisten", "tcp"]
        server = subprocess.Popen(screen, pass_fds=[writing], stderr=subprocess.DEVNULL)
        env = {**os.environ, "DISPLAY": ":" + os.read(reading, 16).decode().strip(), "HOME": folder}
        with Path(folder, "log").open("w") as log:
            shown = subprocess.Popen(["ncview", copy], stdout=log, stderr=log, env=env, cwd=folder)
        try:
            window = None
            for _ in range(80):
                time.sleep(0.25)
                tree = subprocess.run(["xwininfo", "-root", "-tree"], env=env, capture_output=True, text=True).stdout
                window = re.search(r'(0x\w+) "[^"]+": \("[^"]*one\.nc" "Ncview"\)', tree)
                if window is not None:
                    break
            time.sleep(1)
            check.that(shown.poll() is None, f"ncview ended: {Path(folder, 'log').read_text()[-150:]}")
            if check.that(window, "no field window"):
                dump = subprocess.run(["xwd", "-silent", "-id", window[1]], env=env, capture_output=True).stdout
                pixels = dump[int.from_bytes(dump[:4], "big") :]
                colours = len({pixels[i : i + 3] for i in range(0, len(pixels) - 4, 4)})
                check.say(f"field window of {colours} colours")
                check.that(colours > 10, "blank")
        finally:
            shown.terminate()
            server.terminate()


def main() -> None:
    """Ask one client."""
    client, path, *names = sys.argv[1:]
    if client == "r":
        need("Rscript")
        for package in _ASKED:
            if "FALSE" in sh("Rscript", "-e", f'cat(requireNamespace("{package}", quietly = TRUE))'):
                absent(f"no {package}")
    else:
        need("ncview", "Xvfb", "ncks", "xwininfo", "xwd")
    ask = {"r": ask_r, "ncview": ask_ncview}[client]
    Check().run(lambda check: ask(check, str(Path(path).resolve()), names))


if __name__ == "__main__":
    main()
