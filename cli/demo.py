"""``aqreanalysis demo``: the whole way on the synthetic region that the package can make."""

from __future__ import annotations

import click

from aqreanalysis.cli import early, options
from aqreanalysis.cli.log import say


@click.command(short_help="The whole workflow on a synthetic region.")
@click.option("--out", default="outputs/demo", show_default=True, type=click.Path(), help="Folder to write into.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier demo wrote into --out; refused without it.")
@options.json_option
def demo(out: str, overwrite: bool, as_json: bool) -> None:
    """Make a synthetic region, train on its stations, produce a week of maps, and score them against the truth.

    AQ-Net with a chemistry model's field, weather and static fields, and from stations alone, beside kriging.

    Everything it writes says that it is synthetic. A folder with anything but an earlier demo in it is refused.
    """
    early.check_demo(out, overwrite)
    from aqreanalysis.cli.printing import human_size, print_json, size_on_disk
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.demo import run_demo

    with progress_shown("demo") as progress:
        done = run_demo(out, overwrite=overwrite, progress=progress)
    if as_json:
        print_json(
            {
                "written": {str(path): what for path, what in done.written.items()},
                "scores": done.scores,
                "next": done.next_command,
            }
        )
        return
    say(f"\nWritten (synthetic data, see the title of each file) to {out}:")
    for path, what in done.written.items():
        say(f"  {path}  {what} ({human_size(size_on_disk(path))})")
    say(f"\n{done.table}\n\nWith your own station records:\n  {done.next_command}")
