"""Where compiled loops are kept: never in a folder that others may write in, since what lies there is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aqreanalysis.model.kernels.numba_setup import open_to_others


@pytest.mark.parametrize(("mode", "refused"), [(0o700, False), (0o755, False), (0o777, True), (0o1777, True)])
def test_a_folder_that_others_may_write_in_is_found(mode: int, refused: bool, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    assert open_to_others(folder) == (folder if refused else None)
    # Below it too: it could be moved away and another put in its place, but for the sticky bit.
    assert open_to_others(folder / "below") == (folder if refused and mode != 0o1777 else None)


def test_an_open_cache_is_not_used_and_told_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    code = (
        "import aqreanalysis.cli, os, numba, aqreanalysis.model.kernels.numba_setup as setup\n"
        "print(repr(numba.config.CACHE_DIR), os.environ.get('NUMBA_CACHE_DIR'))"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout == "'' None\n", done
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"warning: NUMBA_CACHE_DIR={tmp_path} is not used")
