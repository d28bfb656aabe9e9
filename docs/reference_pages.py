"""Pages of the reference that are read from the code when the site is built: config keys, layers, flags, tests, errors.

They are written to ``docs/generated``, which is not committed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aqreanalysis import errors
from aqreanalysis.configs import config_keys
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.production.layers import FLAGS, LEFT_BLANK
from aqreanalysis.species import SPECIES

WRITTEN = Path(__file__).parent / "generated"


def setup(app: Any) -> dict[str, Any]:
    """Let Sphinx write the pages before it reads the others."""
    app.connect("config-inited", lambda app, config: write_pages(WRITTEN))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path) -> None:
    """Write every page into the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in {"config": config_page(), "pollutants": pollutants_page(), "errors": errors_page()}.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # else Sphinx would read it anew each time
            path.write_text(text, encoding="utf-8")


def config_page() -> str:
    """Return the page of the config keys, a table a section."""
    sections: dict[str, list[Sequence[str]]] = {}
    for key in config_keys():
        section = key.name.rpartition(".")[0]
        row = (f"`{key.name}`", key.meaning, f"{key.values}{f', {key.unit}' if key.unit else ''}", f"`{key.default}`")
        sections.setdefault(section, []).append(row)
    head = [
        "# Config keys",
        "",
        "`--set KEY=VALUE` changes one, a YAML file given as `--config` many. `aqreanalysis config keys` prints this.",
    ]
    tables = (
        ["", f"## {name or 'The whole'}", "", *table(("key", "meaning", "values", "default"), rows)]
        for name, rows in sections.items()
    )
    return "\n".join([*head, *(line for one in tables for line in one), ""])


def pollutants_page() -> str:
    """Return the page of pollutants, flags of cells and flags of readings."""
    kinds = [(f"`{s.key}`", s.title, f"`{s.layer}`", f"`{s.standard_name}`", s.units) for s in SPECIES.values()]
    cells = [(str(bit), f"`{name}`") for name, bit in (FLAGS | LEFT_BLANK).items()]
    readings = [(str(int(f)), f"`{f.name.lower()}`", "yes" if f in USABLE else "no") for f in Flag]
    parts = [
        "# Pollutants and flags",
        "",
        *table(("key", "name", "layer of a cube", "standard name", "unit"), kinds),
        "",
        "## Flags of cells",
        "`quality_flag` of a cube: bits that may stand together; `flag_meanings` says the same in the file.",
        "",
        *table(("bit", "meaning"), cells),
        "",
        "## Flags of readings",
        "Of imported observations, one of these a reading ([what each test looks for](../observations.md)).",
        "",
        *table(("number", "meaning", "is used"), readings),
    ]
    return "\n".join([*parts, ""])


def errors_page() -> str:
    """Return the page of the errors that are raised on purpose."""
    kinds = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.AqreanalysisError)]
    rows = [(f"`{c.__name__}`", (inspect.getdoc(c) or "").split("\n")[0], str(c.exit_code)) for c in kinds]
    head = [
        "# Errors",
        "",
        "Each message is one line: the value, the rule, the way out. In Python all are children of the first.",
        "",
    ]
    return "\n".join([*head, *table(("error", "when", "exit status"), rows), ""])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    clean = ([cell.replace("|", r"\|").replace("<", "&lt;") for cell in row] for row in rows)
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in clean)]
