"""Layers rounded to what they know: north China at 0.1 degree, a month, PM2.5, with 9 bits of the mantissa or all.

    python benchmarks/rounding.py --model outputs/models/north [--data RECORDS] [--short]

Size of the NetCDF file and of the Zarr store, how far rounding moves a value beside its own standard error, and the
processor time of 24 maps one after the other and of all hours at one cell, each a layer, from an opened NetCDF cube.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import xarray as xr
from producing import MONTH, SHORT, machine, parser, produce_timed, record, table

from aqreanalysis.configs import ProductionConfig

MAPS = 24


def stored(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files)


def processor_seconds(read: Any, repeat: int) -> float:
    """Return the median processor seconds of a call."""
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        read()
        seconds.append(time.process_time() - began)
    return median(seconds)


def loss(exact: Path, rounded: Path) -> dict[str, float]:
    """Return how far rounding moves values, the largest over all cells and hours: as a share of the value and of its
    standard error."""
    with xr.open_dataset(exact) as whole, xr.open_dataset(rounded) as short:
        error = whole["pm2p5_standard_error"].values
        moved = {
            name: np.abs(whole[name].values - short[name].values) for name in ("pm2p5", "pm2p5_lower", "pm2p5_upper")
        }
        enclosed = (short["pm2p5_lower"] <= short["pm2p5"]) & (short["pm2p5"] <= short["pm2p5_upper"])
        return {
            "of the value": float(np.nanmax(moved["pm2p5"] / whole["pm2p5"].values)),
            "of its standard error": max(float(np.nanmax(part / error)) for part in moved.values()),
            "estimates between their bounds": float(enclosed.where(short["pm2p5"].notnull()).mean()),
        }


def reads(path: Path, repeat: int) -> dict[str, float]:
    """Return the processor seconds of maps and of a series."""
    with xr.open_dataset(path) as cube:
        layer, first = cube["pm2p5"], cube.sizes["time"] // 2

        def maps() -> None:
            for hour in range(first, min(first + MAPS, cube.sizes["time"])):
                layer.isel(time=hour).values  # noqa: B018  # reading is what is timed

        def series() -> None:
            layer.isel(lat=cube.sizes["lat"] // 2, lon=cube.sizes["lon"] // 2).values  # noqa: B018

        return {f"{MAPS} maps": processor_seconds(maps, repeat), "a cell": processor_seconds(series, repeat)}


def main() -> None:
    """Produce, measure and print the table."""
    options = parser(__doc__).parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    start, end = SHORT if options.short else MONTH
    job = {"model": options.model, "observations": options.data, "grid": "north-china-0.1", "start": start, "end": end}
    bits = (0, ProductionConfig().keepbits)
    figures: dict[str, Any] = {}
    for ending in ("nc", "zarr"):
        for keep in bits:
            out = options.work / f"rounding_{keep}.{ending}"
            produced = produce_timed(**job, out=out, production={"keepbits": keep})
            figures[f"{ending}, {keep}"] = {"bytes": stored(out), "sweep_seconds": produced.sweep_seconds}
    exact, rounded = (options.work / f"rounding_{keep}.nc" for keep in bits)
    lost, read = loss(exact, rounded), reads(rounded, options.repeat)
    rows = [
        (
            form,
            *(f"{figures[f'{ending}, {keep}']['bytes'] / 1e6:.1f}" for keep in bits),
            figures[f"{ending}, {bits[1]}"]["bytes"] / figures[f"{ending}, 0"]["bytes"],
            *(figures[f"{ending}, {keep}"]["sweep_seconds"] for keep in bits),
        )
        for form, ending in (("NetCDF", "nc"), ("Zarr 2", "zarr"))
    ]
    head = ["form", "MB, all bits", f"MB, {bits[1]} bits", "share", "s, all bits", f"s, {bits[1]} bits"]
    lines = ["# Layers rounded to what they know", "", f"Made by `benchmarks/rounding.py` ({machine()}).", ""]
    lines += table(head, rows)
    lines += [
        "",
        f"Rounding moves an estimate by at most {lost['of the value']:.2e} of itself, and an estimate or a bound by at "
        f"most {lost['of its standard error']:.4f} of the standard error; {lost['estimates between their bounds']:.0%} "
        f"of the estimates lie between their bounds. Processor seconds from NetCDF: {MAPS} maps one after the other "
        f"{read[f'{MAPS} maps']:.2f}, all hours at one cell {read['a cell']:.3f}.",
    ]
    record("rounding", lines, {**figures, "loss": lost, "reads": read}, options.short)


if __name__ == "__main__":
    main()
