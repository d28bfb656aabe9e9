"""``python -m aqreanalysis.cli``: the command line where no script is on PATH."""

from __future__ import annotations

from aqreanalysis.cli import main

if __name__ == "__main__":
    main(prog_name="aqreanalysis")
