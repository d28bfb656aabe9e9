"""Mutants: single changes of the code drawn at random, and whether the tests of that module see them.

    python benchmarks/mutants.py [--modules production observations model/bundle.py] [--number 150] [--seed 1]

A mutant is one operator, bound, condition, number, result or statement changed. Each is written into a copy of the
package, and the tests that bear the module's name, then those that import it, run until one falls. Tests that fall or
last too long without any change are left out. What is known is kept in ``results/mutants.json``: a run that was ended
goes on, and ``why`` of a survivor, written there by hand, enters the table. The kept tools were looked at: mutmut wants
a run of the whole suite and a package that lies as it installs, cosmic-ray a new process with all libraries for each
of some thousand mutants; neither draws a sample.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "mutants.md"
ROOMS = ("production", "observations", "model/bundle.py")
#: Loaded once: the process of a mutant begins with them.
LIBRARIES = ("pytest", "hypothesis", "torch", "pandas", "pyarrow.parquet", "xarray", "netCDF4", "h5py", "zarr", "numba")
LIBRARIES += ("dask.array", "distributed", "scipy.spatial", "cf_units", "rioxarray", "pydantic", "click", "rich")
#: Processor seconds of a file of tests unchanged, files of tests that are asked, seconds that one may wait.
LONGEST, MOST_FILES, LONGEST_WAIT = 20.0, 5, 400.0
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass
class Mutant:
    """A change of one place of a module, and what became of it.

    Attributes
    ----------
    module : str
        Path inside the package.
    line, begin, end : int
        Where: line, and bytes of the file.
    before, after : str
        Code.
    outcome : str
        killed, survived, or unasked where no test is there to ask; empty before it was tried.
    by : str
        File of tests that fell.
    why : str
        Of a survivor: why it is none the worse, by hand.
    """

    module: str
    line: int
    begin: int
    end: int
    before: str
    after: str
    outcome: str = ""
    by: str = ""
    why: str = ""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What it is called from one run to the next."""
        return self.module, self.before, self.after, self.line


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a module that this knows how to make."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    out = []
    for node, after in _changes(ast.parse(source)):
        assert isinstance(node, ast.expr | ast.stmt) and node.end_lineno and node.end_col_offset is not None
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        out.append(Mutant(module, node.lineno, begin, end, " ".join(source[begin:end].decode().split()), after))
    return out


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield the nodes below one that can be changed, each with its new text."""
    match node:
        case ast.JoinedStr() | ast.Raise():  # messages
            if isinstance(node, ast.Raise):
                yield node, "pass"
            return
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return
        case ast.AnnAssign(value=value):
            if value is not None:
                yield from _changes(value)
            return
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            for part in (*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None), *body):
                yield from _changes(part)
            return
        case ast.ClassDef(body=body):
            for part in body:
                yield from _changes(part)
            return
        case ast.Expr(value=ast.Constant()):  # docstrings
            return
    yield from ((node, after) for after in _new_texts(node))
    for child in ast.iter_child_nodes(node):
        yield from _changes(child)


def _new_texts(node: ast.AST) -> Iterator[str]:
    """Yield what can stand in a node's place."""
    match node:
        case ast.Compare(ops=[operator, *others]) if type(operator) in _SWAPPED:
            yield _text(ast.Compare(node.left, [_SWAPPED[type(operator)](), *others], node.comparators))
        case ast.BoolOp(op=operator):
            yield _text(ast.BoolOp(_SWAPPED[type(operator)](), node.values))
        case ast.UnaryOp(op=ast.Not()):
            yield _text(node.operand)
        case ast.BinOp(op=operator) if type(operator) in _SWAPPED:
            yield _text(ast.BinOp(node.left, _SWAPPED[type(operator)](), node.right))
        case ast.AugAssign(op=operator) if type(operator) in _SWAPPED:
            yield ast.unparse(ast.AugAssign(node.target, _SWAPPED[type(operator)](), node.value))
        case ast.Constant(value=bool()):
            yield repr(not node.value)
        case ast.Constant(value=int() | float()):
            yield repr(node.value + 1)
        case ast.IfExp():
            yield _text(ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse))
        case ast.Return(value=value) if value is not None and not (
            isinstance(value, ast.Constant) and value.value is None
        ):
            yield "return None"
        case ast.Expr(value=ast.Call()) | ast.Delete():
            yield "pass"
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


@functools.cache
def tests_of(module: str) -> tuple[str, ...]:
    """Return the files of tests to ask about a module: of its name, then that import it, then of what imports it."""
    first, then = _named(module), [n for n, text in _texts("tests", "test_*.py").items() if _imports(text, module)]
    above = [n for n, text in _texts("aqreanalysis", "**/*.py").items() if _imports(text, module)]
    if not first and not then:
        above += [n for one in above for n, text in _texts("aqreanalysis", "**/*.py").items() if _imports(text, one)]
    return tuple(dict.fromkeys((*first, *then, *(test for one in above for test in _named(one)))))


@functools.cache
def _texts(folder: str, pattern: str) -> dict[str, str]:
    return {
        p.relative_to(ROOT / folder).as_posix(): p.read_text("utf-8") for p in sorted((ROOT / folder).glob(pattern))
    }


def _named(module: str) -> list[str]:
    """Return the files of tests that bear a module's name, with further words behind it that are no other module's."""
    own = _test_name(module)
    others = {_test_name(name) for name in _texts("aqreanalysis", "**/*.py")} - {own}
    files = [Path(name).stem for name in _texts("tests", "test_*.py")]
    return [f"{f}.py" for f in files if f == own or (f.startswith(f"{own}_") and f not in others)]


def _test_name(module: str) -> str:
    return "test_" + module.removesuffix(".py").removesuffix("/__init__").replace("/", "_")


def _imports(text: str, module: str) -> bool:
    dotted = f"aqreanalysis/{module}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    room, _, name = dotted.rpartition(".")
    return bool(re.search(rf"from {dotted} import|import {dotted}\b|from {room} import [^\n]*\b{name}\b", text))


def _modules(given: tuple[str, ...] | list[str]) -> list[Path]:
    package = ROOT / "aqreanalysis"
    return sorted(
        file
        for name in given
        for file in ((package / name).rglob("*.py") if (package / name).is_dir() else [package / name])
    )


def pytest_in_a_fork(test: str, copy: Path, processor_seconds: float | None = None) -> tuple[bool, float]:
    """Return whether a file of tests holds, and the processor time it took, run in a fork of this process.

    It falls, too, where it computes longer than it may, or waits for `LONGEST_WAIT`; what it started ends with it.
    """
    ends = time.monotonic() + LONGEST_WAIT
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        if processor_seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(processor_seconds) + 1,) * 2)
        os.chdir(copy)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        import pytest

        status = 70
        try:
            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"]
            options.append(f"--basetemp={copy.parent / 'temporary'}")
            status = int(pytest.main([*options, f"tests/{test}"]))
        finally:
            os._exit(status)
    done, code, used = 0, 0, None
    try:
        while not done and time.monotonic() < ends:
            done, code, used = os.wait4(child, os.WNOHANG)
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    if not done:
        os.waitpid(child, 0)
        return False, LONGEST_WAIT
    assert used is not None
    # pytest's 5: nothing but what is left out by default.
    return os.waitstatus_to_exitcode(code) in (0, 5), used.ru_utime + used.ru_stime


def copy_of_the_checkout(folder: Path) -> tuple[Path, Path]:
    """Return a copy of what git knows here, and the package put together from it, first among what is imported.

    Files keep their times, so that what numba has compiled there stays good from one run to the next.
    """
    copy = folder / "copy"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    tree = folder / "tree"
    # What is compiled here already need not be compiled again.
    for kept in (ROOT / "aqreanalysis").rglob("*.nb[ic]"):
        (copy / kept.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(kept, copy / kept.relative_to(ROOT))
    shutil.copytree(copy / "aqreanalysis", tree / "aqreanalysis", dirs_exist_ok=True)
    for name in ("cli", "grids", "configs"):
        shutil.copytree(copy / name, tree / "aqreanalysis" / name, dirs_exist_ok=True)
    os.environ.update(PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(tree))
    return copy, tree / "aqreanalysis"


def seconds_unchanged(test: str, copy: Path, seconds: dict[str, float]) -> float:
    """Return the processor time of a file of tests where nothing is changed; NaN where it is not to be asked."""
    if test not in seconds:
        held, lasted = pytest_in_a_fork(test, copy)
        if held and lasted > LONGEST:  # numba may have compiled for the first time
            held, lasted = pytest_in_a_fork(test, copy)
        seconds[test] = lasted if held and lasted <= LONGEST else float("nan")
    return seconds[test]


def try_mutant(mutant: Mutant, copy: Path, package: Path, seconds: dict[str, float]) -> None:
    """Ask the tests about one mutant; `seconds` are those of each file unchanged."""
    asked = 0
    file = package / mutant.module
    source = file.read_bytes()
    for test in tests_of(mutant.module):
        if asked == MOST_FILES:
            break
        unchanged = seconds_unchanged(test, copy, seconds)
        if unchanged != unchanged:
            continue
        asked += 1
        file.write_bytes(source[: mutant.begin] + mutant.after.encode() + source[mutant.end :])
        try:
            held, _ = pytest_in_a_fork(test, copy, 10 + 4 * unchanged)
        finally:
            file.write_bytes(source)
        if not held:
            mutant.outcome, mutant.by = "killed", test
            return
    mutant.outcome = "survived" if asked else "unasked"


def as_markdown(mutants: list[Mutant], seed: int, possible: int) -> str:
    """Return the tables."""
    tried = [m for m in mutants if m.outcome in ("killed", "survived")]
    lines = [
        "# Mutants: what the tests see of single changes of the code",
        "",
        f"`python benchmarks/mutants.py`: {len(mutants)} drawn (seed {seed}) of {possible} that can be made, "
        f"{len(tried)} tried by the tests of the module's name and those that import it.",
        "",
        "| modules | tried | killed | survived | killed, % | without those explained, % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    rooms: dict[str, list[Mutant]] = {}
    for mutant in tried:
        rooms.setdefault(str(Path(mutant.module).parent).split("/")[0], []).append(mutant)
    for room, of_room in (*sorted(rooms.items()), ("all", tried)):
        killed = sum(m.outcome == "killed" for m in of_room)
        meant = sum(not m.why for m in of_room)
        lines.append(
            f"| {room} | {len(of_room)} | {killed} | {len(of_room) - killed} | {100 * killed / len(of_room):.0f} | "
            f"{100 * killed / max(meant, 1):.0f} |"
        )
    lines += ["", "## Survivors", "", "| module, line | code | changed to | why |", "|---|---|---|---|"]
    for mutant in tried:
        if mutant.outcome == "survived":
            code, to = (f"`{text[:90].replace('|', chr(92) + '|')}`" for text in (mutant.before, mutant.after))
            lines.append(f"| {mutant.module}, {mutant.line} | {code} | {to} | {mutant.why} |")
    unasked = sorted({m.module for m in mutants if m.outcome == "unasked"})
    if unasked:
        lines += ["", f"No test bears the name of these or imports them: {', '.join(unasked)}."]
    return "\n".join(lines) + "\n"


def draw(possible: list[Mutant], given: list[str], number: int, seed: int) -> list[Mutant]:
    """Return mutants drawn of each room, as many of each, in turns."""
    chance = random.Random(seed)
    rooms = [[m for m in possible if m.module == name or m.module.startswith(f"{name}/")] for name in given]
    share = -(-number // len(rooms))
    drawn = [chance.sample(room, min(share, len(room))) for room in rooms]
    return [m for turn in itertools.zip_longest(*drawn) for m in turn if m is not None][:number]


def main() -> None:
    """Draw, try, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", default=list(ROOMS), help="files and folders inside aqreanalysis/")
    parser.add_argument("--number", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then; the next run goes on")
    parser.add_argument("--survivors", action="store_true", help="try those that survived again")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    begun = time.monotonic()
    files = _modules(given.modules)
    names = [file.relative_to(ROOT / "aqreanalysis").as_posix() for file in files]
    possible = [m for name, file in zip(names, files, strict=True) for m in mutants_of(name, file.read_bytes())]
    drawn = draw(possible, given.modules, given.number, given.seed)
    kept = given.out.with_suffix(".json")
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {"mutants": [], "seconds": {}}
    known = {m.key: m for m in (Mutant(**one) for one in before["mutants"])}
    seconds = {name: float(value) for name, value in before["seconds"].items()}
    for mutant in drawn:
        if (old := known.get(mutant.key)) and not (given.survivors and old.outcome != "killed" and not old.why):
            mutant.outcome, mutant.by, mutant.why = old.outcome, old.by, old.why
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was begun is put back, and what runs ended
    copy, package = copy_of_the_checkout(ROOT / "build" / "mutants")
    for name in LIBRARIES:
        importlib.import_module(name)
    for mutant in drawn:
        if not mutant.outcome and time.monotonic() - begun < 60 * given.minutes:
            try_mutant(mutant, copy, package, seconds)
            print(mutant.outcome, mutant.module, mutant.line, mutant.before, "->", mutant.after, flush=True)
            content = {"seconds": {k: str(v) for k, v in seconds.items()}, "mutants": [asdict(m) for m in drawn]}
            kept.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(sum(not m.outcome for m in drawn), "left")
    given.out.write_text(as_markdown(drawn, given.seed, len(possible)), encoding="utf-8")


if __name__ == "__main__":
    main()
