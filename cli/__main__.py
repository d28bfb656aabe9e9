"""The process of the command line: what the script ``aqreanalysis`` and ``python -m aqreanalysis.cli`` run."""

from __future__ import annotations

from aqreanalysis.cli import main


def run() -> None:
    """Run the command line as a process of its own."""
    main(prog_name="aqreanalysis")


if __name__ == "__main__":
    run()
