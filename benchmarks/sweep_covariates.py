"""The sweep of a model with covariates: north China at 0.05 degree, a month, PM2.5, beside the same without them.

    python benchmarks/made_covariates.py outputs/benchmarks/covariates
    aqreanalysis train --observations outputs/benchmarks/covariates/january.nc \
        --covariates outputs/benchmarks/covariates/files --set training.epochs=1 --out outputs/models/windy
    python benchmarks/sweep_covariates.py --model outputs/models/windy \
        --covariates outputs/benchmarks/covariates/files --plain outputs/models/north [--short]

All layers are written. Rows: the sweep of the model with covariates (wind, boundary layer, background, two static
fields and what the wind brings of them), that of a model without, and writing the finished cube again from memory with
the same codec and chunks. How well the models were trained plays no part.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

from producing import MONTH, SHORT, in_turns, machine, parser, produce_timed, record, table, timed
from sweep import write_again

from aqreanalysis.covariates import Covariates


def main() -> None:
    """Run it all."""
    options = parser(__doc__)
    options.add_argument("--covariates", type=Path, required=True, help="files of covariates")
    options.add_argument("--plain", type=Path, required=True, help="a bundle of a model without covariates")
    options.add_argument("--grid", default="north-china-0.05")
    asked = options.parse_args()
    work, span = asked.work / "sweep_covariates", SHORT if asked.short else MONTH
    repeat = 1 if asked.short else asked.repeat
    work.mkdir(parents=True, exist_ok=True)
    job = {"observations": asked.data, "grid": asked.grid, "start": span[0], "end": span[1], "species": ["pm25"]}
    job["device"] = "cpu"
    runs = in_turns(
        {
            "with": lambda: produce_timed(
                model=asked.model, covariates=asked.covariates, **job, out=work / "month.zarr"
            ),
            "without": lambda: produce_timed(model=asked.plain, **job, out=work / "plain.zarr"),
        },
        repeat,
    )
    seconds = {name: median(r.sweep_seconds for r in some) for name, some in runs.items()}
    worked = {name: median(r.processor_seconds for r in some) for name, some in runs.items()}
    cells = runs["with"][0].cell_hours
    again = timed(write_again(work / "month.zarr", work / "again.zarr"), repeat)

    def row(
        what: str, taken: float, processor: float | str, bar: str
    ) -> tuple[str, float, float, float | str, float, str]:
        return what, taken, cells / taken / 1e6, processor, seconds["with"] / taken, bar

    lines = [
        "# The sweep with covariates",
        "",
        f"`benchmarks/sweep_covariates.py`, {asked.grid}, {cells} cell-hours, PM2.5; medians of {repeat}, in turns. "
        f"Fields: {', '.join(Covariates.open(asked.covariates).fields)}. {machine()}.",
        "",
        *table(
            ("what", "seconds", "million cell-hours/s", "processor, s", "ratio", "bar"),
            [
                row("with covariates, all layers, written", seconds["with"], worked["with"], "1 million, aim 4"),
                row("without covariates", seconds["without"], worked["without"], ""),
                row("the cube with covariates written again from memory", again, "", ""),
            ],
        ),
        "",
        "Ratio: time of the sweep with covariates over that of the row.",
    ]
    record("sweep_covariates", lines, {"seconds": seconds, "cell_hours": cells, "write_seconds": again}, asked.short)


if __name__ == "__main__":
    main()
