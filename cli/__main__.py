"""The process of the command line: what the script ``aqreanalysis`` and ``python -m aqreanalysis.cli`` run."""

from __future__ import annotations

from functools import partial

from aqreanalysis.cli import main
from aqreanalysis.cli.startup import run_and_leave


def run() -> None:
    """Run the command line as a process of its own."""
    run_and_leave(partial(main, prog_name="aqreanalysis"))


if __name__ == "__main__":
    run()
