"""What commands print: text for people, JSON for scripts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli.errors import visible

if TYPE_CHECKING:
    from aqreanalysis.evaluation.tables import Table


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout; numbers that are not finite become null, which JSON can say."""
    click.echo(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Return `value` in types that JSON knows: numpy scalars and arrays, paths and times are converted."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def print_table(table: Table) -> None:
    """Print a table and what is said below it: through rich on a terminal, as plain text elsewhere."""
    if not sys.stdout.isatty():
        click.echo(visible(table.text()))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as Shown
    from rich.text import Text

    console, shown = Console(), Shown(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(table.header):
        shown.add_column(Text(name), justify="left" if i < table.left else "right")
    for row in table.rows:
        shown.add_row(*(Text(visible(cell)) for cell in row))
    console.print(*([shown] if table.rows else []), *(Text(visible(note)) for note in table.notes), sep="\n")


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print ``name  value`` lines with the values in one column, through rich on a terminal: long values are folded."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table as Shown
        from rich.text import Text

        grid = Shown.grid(padding=(0, 2, 0, 0))
        for pair in pairs:
            grid.add_row(*(Text(visible(text)) for text in pair))
        Console().print(grid)
        return
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(visible(f"{name:<{width}}  {value}"))


def human_size(size: float) -> str:
    """Return `size` in bytes as people write it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_time(seconds: float) -> str:
    """Return a duration as people write it: ``8.4 s``, ``3 min 20 s``, ``5 h 12 min``, ``12.3 days``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 172_800:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{seconds / 86_400:.1f} days"


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
