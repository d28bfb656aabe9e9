"""``make accept``: every kind of cube and NetCDF export is made and opened in every client program found.

``python tests/clients/accept.py --out FOLDER [--only NAME ...] [--jobs N]`` makes what is not yet in FOLDER, runs
``accept.sh`` (of the folder ``shared`` beside the checkout) and ``aqreanalysis validate`` on each, and prints a table.
Exit status: 0 nothing failed but what `KNOWN` lists, 1 something else failed, 2 it could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4

from aqreanalysis.validation.names import nameless

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPT = ROOT.parent / "shared" / "accept" / "accept.sh"
CLIENTS = ROOT / "outputs" / "clients"
_UNNAMED = (
    "CF has no standard name for distances to stations, probabilities, counts, indices and bounds of intervals, and "
    "none is invented"
)


@dataclass(frozen=True)
class Known:
    """What a client complains of, and why no producer can help it; docs/clients.md says the way round.

    Attributes
    ----------
    pattern : str
        Of one complaint.
    reason : str
        Why.
    one_step : bool
        Whether it is known of files of a single step only.
    """

    pattern: str
    reason: str
    one_step: bool = False


KNOWN = {
    "compliance": Known(r"acdd:1\.3 standard_name", _UNNAMED),
    "xarray": Known(r"(\w+): no standard_name", _UNNAMED),
    "cfdm": Known(r"(\w+): no standard_name", _UNNAMED),
    "netcdf-java": Known(
        r"\w+: (ymax 90\.0 is not 90\.\d+|ymin -90\.0 is not -90\.\d+)",
        "a cell whose centre is a pole ends there, as its bounds say; accept.sh adds half a cell to the centre",
    ),
    "qgis": Known(
        r"\w+: (start|end) '1970-01-01T00:00' is not '[0-9T:-]+'",
        "to QGIS a mesh of a single step does not change with time: it is drawn at every time and has no date",
        one_step=True,
    ),
}
#: Clients that accept.sh asks for the first four steps: a file of a single step is shown to them by `one_step.py`.
ASKED_FOR_FOUR = ("r", "ncview")
#: Clients that come as wheels whose library of units is the system's, by that library.
LIBRARIES = {"cfdm": "udunits2", "cfchecks": "udunits2"}
_SECONDS = 600


@dataclass(frozen=True)
class Verdict:
    """What a client made of a file."""

    file: str
    client: str
    word: str
    text: str
    # Layers without a standard name, and steps, of the file.
    unnamed: tuple[str, ...] = ()
    steps: int = 0

    @property
    def complaint(self) -> str:
        """What was wrong, without what the client says of itself."""
        return re.sub(r" \[\d+s\]$", "", self.text.partition("-- ")[2])

    @property
    def expected(self) -> str:
        """Why the failure is no producer's; empty if it is one."""
        known = KNOWN.get(self.client)
        if known is None or (known.one_step and self.steps != 1) or not all(map(nameless, self.unnamed)):
            return ""
        parts = re.sub(r" \(\+\d+ more\)$", "", self.complaint).split("; ")
        matches = [re.fullmatch(known.pattern, part) for part in parts]
        # A layer that the client names is one that has no standard name for a reason.
        named = known.reason != _UNNAMED or all(
            match is None or all(map(nameless, match.groups())) for match in matches
        )
        return known.reason if all(matches) and named else ""

    @property
    def mark(self) -> str:
        """For the table."""
        return {"PASS": "pass", "ABSENT": "-"}.get(self.word, "known" if self.expected else "FAIL")


def read_verdicts(file: str, printed: str, unnamed: tuple[str, ...] = (), steps: int = 0) -> list[Verdict]:
    """Return the verdicts in what ``accept.sh`` printed."""
    lines = [re.match(r"(PASS|FAIL|ABSENT)\s+(\S+)\s*(.*)$", line) for line in printed.splitlines()]
    return [Verdict(file, match[2], match[1], match[3], unnamed, steps) for match in lines if match]


def missing_library(client: str) -> str:
    """Return what keeps a client from starting: the system's library that it needs and is not here; else nothing."""
    library = LIBRARIES.get(client)
    return f"no lib{library}: run tests/clients/install.sh" if library and find_library(library) is None else ""


def facts_of(path: Path) -> tuple[tuple[str, ...], int]:
    """Return the layers of a NetCDF file that have no standard name, and its steps; nothing and 0 of a store."""
    if path.suffix != ".nc":
        return (), 0
    with netCDF4.Dataset(path) as file:
        layers = {n: v for n, v in file.variables.items() if "lat" in v.dimensions and v.ndim > 1}
        unnamed = tuple(n for n, v in layers.items() if n != "lat_bnds" and "standard_name" not in v.ncattrs())
        return unnamed, file.dimensions["time"].size


def ask_clients(path: Path, layers: Iterable[str], only: str = "") -> list[Verdict]:
    """Return what every client says of a file."""
    environment = {**os.environ, "PYTHON": sys.executable, "ACCEPT_TIMEOUT": str(_SECONDS), "ACCEPT_ONLY": only}
    environment["ACCEPT_OPERATIONS"] = "1"
    environment |= {"ACCEPT_NODE": str(CLIENTS / "node"), "GDAL_PAM_ENABLED": "NO"}
    for jar in (CLIENTS / "java").glob("bioformats/jars/*.jar"):
        environment["NETCDF_JAVA_JAR"] = str(jar)
    layers, (unnamed, steps) = list(layers), facts_of(path)
    command = ["bash", str(SCRIPT), str(path), "-v", ",".join(layers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    verdicts = read_verdicts(path.name, done.stdout, unnamed, steps)
    if not verdicts:
        raise SystemExit(f"accept: {SCRIPT} said nothing of {path}: {(done.stderr or done.stdout).strip()[-300:]}")
    # Such a client is installed and fails as it starts, which says nothing of the file.
    verdicts = [replace(v, word="ABSENT", text=why) if (why := missing_library(v.client)) else v for v in verdicts]
    if steps != 1:
        return verdicts
    return [ask_one_step(path, v, layers) if v.client in ASKED_FOR_FOUR else v for v in verdicts]


def ask_one_step(path: Path, verdict: Verdict, layers: list[str]) -> Verdict:
    """Return what a client says of a file of a single step, asked for that step alone."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ACCEPT_REF": f"{folder}/reference.json"}
        reference = [sys.executable, str(SCRIPT.parent / "reference.py"), str(path), environment["ACCEPT_REF"], *layers]
        subprocess.run(reference, check=True)
        command = [sys.executable, str(HERE / "one_step.py"), verdict.client, str(path), *layers]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_SECONDS)
    word, _, text = (done.stdout.strip() or f"FAIL -- no verdict: {done.stderr.strip()[-160:]}").partition(" ")
    return replace(verdict, word=word, text=text.strip())


def ask_validate(path: Path) -> Verdict:
    """Return what ``aqreanalysis validate`` says; the checker of CF and ACDD is a client of its own."""
    command = [sys.executable, "-m", "aqreanalysis.cli", "validate", str(path), "--no-checker", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        findings = [f for f in json.loads(done.stdout)["findings"] if f["severity"] != "advice"]
    except (ValueError, KeyError):
        return Verdict(path.name, "validate", "FAIL", f"-- {(done.stderr or done.stdout).strip()[-200:]}")
    said = "; ".join(f"{f['rule']}: {f['message']}" for f in findings)
    return Verdict(path.name, "validate", "FAIL" if done.returncode else "PASS", f"-- {said}" if said else "")


def format_table(verdicts: list[Verdict]) -> str:
    """Return a row a file, a column a client; below, every failure in words."""
    clients = list(dict.fromkeys(v.client for v in verdicts))
    files = list(dict.fromkeys(v.file for v in verdicts))
    marks = {(v.file, v.client): v.mark for v in verdicts}
    wide = max(map(len, files), default=4)
    widths = [max(len(client), 5) for client in clients]
    rows = [" ".join(["file".ljust(wide), *(c.ljust(w) for c, w in zip(clients, widths, strict=True))])]
    for file in files:
        cells = [marks.get((file, client), "").ljust(w) for client, w in zip(clients, widths, strict=True)]
        rows.append(" ".join([file.ljust(wide), *cells]).rstrip())
    reasons = dict.fromkeys(v.expected for v in verdicts if v.expected)
    rows += [f"known: {reason} (docs/clients.md)" for reason in reasons]
    absent = dict.fromkeys(f"{v.client}: {re.sub(r' .[0-9]+s.$', '', v.text)}" for v in verdicts if v.word == "ABSENT")
    rows += [f"absent: {said}" for said in absent]
    rows += [f"FAIL {v.file} {v.client}: {v.complaint or v.text}" for v in verdicts if v.mark == "FAIL"]
    return "\n".join(rows)


def make_files(folder: Path, only: list[str]) -> Iterable[tuple[Path, tuple[str, ...], bool]]:
    """Yield what is to be opened, its layers, whether it is a cube; a second call takes what is in the folder."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from clients_case import kinds_of, make_cubes, make_exports, make_inputs

    manifest = folder / "files.json"
    made: dict[str, dict[str, Any]] = json.loads(manifest.read_text()) if manifest.is_file() else {}
    if not made:
        print("making the cubes: a synthetic year, a small network, then every kind", flush=True)
        inputs = make_inputs(folder)
        for kind in kinds_of(inputs.records):
            print(f"  {kind.name}", flush=True)
            made |= {opened.path.name: asdict(opened) for opened in make_cubes(folder, inputs.model, kind)}
        print("  exports", flush=True)
        made |= {opened.path.name: asdict(opened) for opened in make_exports(folder)}
        manifest.write_text(json.dumps(made, indent=1, default=str))
    for name, opened in made.items():
        if not only or any(word in name for word in only):
            yield folder / name, tuple(opened["layers"]), opened["cube"]


def main() -> int:
    """Make, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the cubes; what is there is kept")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of files to open")
    parser.add_argument("--clients", default="", help="clients to ask, by name, apart by spaces")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="files opened at a time")
    options = parser.parse_args()
    if not SCRIPT.is_file():
        print(f"accept: there is no {SCRIPT}; it comes with the folder 'shared' beside the checkout", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    files = list(make_files(options.out.resolve(), options.only))
    verdicts: list[Verdict] = []

    def ask(one: tuple[Path, tuple[str, ...], bool]) -> list[Verdict]:
        path, layers, cube = one
        wanted = cube and (not options.clients or "validate" in options.clients)
        return [*ask_clients(path, layers, options.clients), *([ask_validate(path)] if wanted else [])]

    with ThreadPoolExecutor(options.jobs) as pool:
        for some in pool.map(ask, files):
            verdicts += some
            bad = [f"{v.client}: {v.complaint or v.text}" for v in some if v.mark == "FAIL"]
            print(f"{some[0].file}: {'; '.join(bad) or 'nothing unexpected'}", flush=True)
    (options.out / "verdicts.json").write_text(json.dumps([asdict(v) for v in verdicts], indent=1))
    print(format_table(verdicts))
    return 1 if any(v.mark == "FAIL" for v in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
