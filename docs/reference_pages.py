"""Pages of the reference that are read from the code when the site is built: config keys, layers, flags, tests, errors.

They are written to ``docs/generated``, which is not committed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import aqreanalysis
from aqreanalysis import errors
from aqreanalysis.configs import DEFAULT_TESTS, config_keys
from aqreanalysis.observations.flags import LIMITS, USABLE, Flag, Limits
from aqreanalysis.production.layers import FLAGS, LEFT_BLANK, CubeKind, cube_layers
from aqreanalysis.species import SPECIES

WRITTEN = Path(__file__).parent / "generated"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def setup(app: Any) -> dict[str, Any]:
    """Let Sphinx write the pages before it reads the others."""
    app.connect("config-inited", lambda app, config: write_pages(WRITTEN))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(folder: Path) -> None:
    """Write every page into the folder."""
    folder.mkdir(exist_ok=True)
    pages = {
        "config": config_page(),
        "layers": layers_page(),
        "pollutants": pollutants_page(),
        "errors": errors_page(),
        "contract": contract_page(),
        "skill": skill_table(),
        "python": python_page(),
    }
    for name, text in pages.items():
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
    thresholds = [
        (f"`{each.name}`", *(f"{getattr(of, each.name):g}" for of in LIMITS.values())) for each in fields(Limits)
    ]
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
        "",
        "## Quality tests",
        f"By default run {', '.join(f'`{name}`' for name in DEFAULT_TESTS)}; `quality.tests` chooses, and",
        "`quality.limits.KEY.THRESHOLD` changes a threshold, here in the unit of the pollutant.",
        "",
        *table(("threshold", *LIMITS), thresholds),
    ]
    return "\n".join([*parts, ""])


def layers_page() -> str:
    """Return the page of the layers of a cube, as a cube of PM2.5 says them itself."""
    made = cube_layers([SPECIES["pm25"]], CubeKind(0.9, added=("mean",)), {"pm25": (75.0,)})
    rows = [
        (f"`{layer.name}`", layer.attrs.get("long_name", ""), layer.attrs.get("units", ""), layer.dtype)
        for layer in made
    ]
    head = [
        "# Layers of a cube",
        "",
        "Of PM2.5, over time, latitude and longitude, with `--layer mean` and `--exceedance pm25=75`. Of several",
        "pollutants `quality_flag`, `observations_used` and `nearest_station_distance` bear the name of each.",
        "",
    ]
    return "\n".join([*head, *table(("layer", "what it says of itself", "unit", "type"), rows), ""])


def skill_table() -> str:
    """Return the table of AQ-Net beside the best baseline at stations of real networks."""
    networks = json.loads((RESULTS / "real_networks.json").read_text(encoding="utf-8"))
    rows = []
    for name, run in networks.items():
        for key, tasks in run["species"].items():
            for task, scores in tasks.items():
                mae, crps = scores["ratio"]["mae"], scores["ratio"]["crps"]
                rows.append(
                    (
                        f"{name}, {run['stations']} stations",
                        SPECIES[key].title,
                        task,
                        f"{scores['mae']['aq-net']:.2f}",
                        f"{scores['mae'][mae['best']]:.2f} ({mae['best']})",
                        f"{mae['ratio']:.3f} [{mae['low']:.3f}, {mae['high']:.3f}]",
                        f"{crps['ratio']:.3f}",
                        f"{scores['coverage']:.3f}",
                    )
                )
    head = ("network", "pollutant", "hidden", "MAE", "best baseline's", "ratio [95 %]", "CRPS ratio", "90 % holds")
    return "\n".join([*table(head, rows), ""])


def contract_page() -> str:
    """Return the page of what scripts may rely on."""
    contract = json.loads((Path(__file__).parent / "contract.json").read_text(encoding="utf-8"))
    printed = [
        (
            f"`{name}`",
            "a list, of each: " * bool(each.get("each")) + ", ".join(f"`{key}`" for key in each["keys"]),
            ", ".join(f"`{key}`" for key in each.get("may", ())),
        )
        for name, each in contract["json"].items()
    ]
    parts = [
        "# What scripts may rely on",
        "",
        f"Version {contract['version']}. What stands here goes, or means something else, only with a higher version",
        "and a line in the changelog that says how to do without; more may come at any time. A test holds the program",
        "to it.",
        "",
        "## Exit statuses",
        "",
        *table(("status", "meaning"), list(contract["exit_statuses"].items())),
        "",
        "## Keys of `--json`",
        "At the top of what a command prints on stdout; numbers that are not finite are `null`. Every `export` prints",
        "what `export points` does.",
        "",
        *table(("command", "keys", "where they apply"), printed),
        "",
        "## Keys of configs",
        "[All of them](config.md), with meaning, values and default.",
    ]
    return "\n".join([*parts, ""])


def python_page() -> str:
    """Return the page of the public names, each with its docstring."""
    head = [
        "# Python",
        "",
        "Names are taken from `aqreanalysis` itself; each is imported from its room when it is first used. Every",
        "function takes paths or objects, names or configs alike.",
    ]
    names = [name for name in aqreanalysis.__all__ if name not in ("SPECIES", "__version__")]
    kinds = {name: "class" if inspect.isclass(getattr(aqreanalysis, name)) else "function" for name in names}
    blocks = (
        ["", f"## {name}", "```{eval-rst}", f".. auto{kind}:: aqreanalysis.{name}", "```"]
        for name, kind in kinds.items()
    )
    return "\n".join([*head, *(line for one in blocks for line in one), ""])


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
