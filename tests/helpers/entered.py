"""Which functions of the package a run of `produce` enters; a command.

``python entered.py MODEL OBSERVATIONS OUT`` produces the plainest cube in this process, 48 hours on 11 x 11 cells into
a local Zarr, and prints a line of JSON for each function of the package that was entered: its file and its name.
"""

from __future__ import annotations

import inspect
import json
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType

import aqreanalysis

PACKAGE = Path(aqreanalysis.__file__).parent
#: In a checkout three rooms stand beside the package and are installed in it.
ROOTS = (PACKAGE, *(PACKAGE.parent / room for room in ("cli", "grids", "configs")))
GRID = "116.4,39.2,117.4,40.2@0.1"
START, END = "2019-01-04", "2019-01-06"


class Entered:
    """A profile hook that notes functions of the package; what runs while a module is imported is none of a run's."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        self._names: dict[CodeType, tuple[str, str] | None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._names:
            self._names[code] = self._name(code)
        name = self._names[code]
        if name is not None and name not in self.functions and not _imports(frame):
            self.functions.add(name)

    @staticmethod
    def _name(code: CodeType) -> tuple[str, str] | None:
        """Return the file and the name of a function of the package, which is what stands behind a ``def``.

        Neither a module nor a class is one; nor are comprehensions, generator expressions and lambdas, to each of which
        CPython 3.11 gives a code object, while whoever reads the line sees no function.
        """
        if not code.co_flags & inspect.CO_OPTIMIZED or code.co_name.startswith("<"):
            return None
        file = Path(code.co_filename)
        for root in ROOTS:
            if file.is_relative_to(root):
                return str(file.relative_to(root.parent)), code.co_qualname.replace("<locals>.", "")
        return None


def _imports(frame: FrameType | None) -> bool:
    """Return whether a frame belongs to the import of a module."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False


def main(model: str, observations: str, out: str) -> None:
    """Produce and print."""
    from aqreanalysis.production import ProduceOptions, produce

    hook = Entered()
    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        produce(model, observations, GRID, START, END, out, ProduceOptions(device="cpu")).close()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    for file, name in sorted(hook.functions):
        print(json.dumps([file, name]))


if __name__ == "__main__":
    main(*sys.argv[1:])
