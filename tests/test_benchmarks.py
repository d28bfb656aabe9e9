"""Each benchmark can still be started, and what they share does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
KIT = FOLDER / "producing.py"


@pytest.fixture(scope="module")
def producing():
    """Import the kit as the benchmarks do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import producing

        yield producing


def test_each_benchmark_imports_and_says_how_it_is_called() -> None:
    # In one process: each by itself would import torch and pandas again.
    modules = sorted(path.stem for path in FOLDER.glob("*.py") if path != KIT)
    code = (
        "import contextlib, importlib, sys\n"
        "for name in list(sys.argv[1:]):\n"
        "    module = importlib.import_module(name)\n"
        "    sys.argv = [name, '--help']\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        module.main()\n"
        "    print('called', name)\n"
    )
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=FOLDER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == done.stdout.count("called ") == len(modules) > 20, done.stdout


def test_cases_take_turns(producing) -> None:
    order: list[str] = []
    runs = producing.in_turns({"a": lambda: order.append("a") or 1, "b": lambda: order.append("b") or 2}, 2)
    assert (order, runs) == (["a", "b", "a", "b"], {"a": [1, 1], "b": [2, 2]})


def test_the_package_of_another_checkout_is_timed_in_its_place(producing, tmp_path: Path) -> None:
    for room in ("aqreanalysis", "cli", "grids", "configs"):
        (tmp_path / "old" / room).mkdir(parents=True)
        (tmp_path / "old" / room / "__init__.py").write_text("name = 'old'\n")
    tree = producing.package_tree(tmp_path / "old", tmp_path)
    assert producing.package_tree(tree, tmp_path / "work") == tree
    script = tmp_path / "ask.py"
    script.write_text("import aqreanalysis.grids as room; print(room.name)")
    assert producing.run_watched([sys.executable, str(script)], tree=tree)[0] == "old\n"
    with pytest.raises(SystemExit, match="no checkout"):
        producing.package_tree(tmp_path, tmp_path)


def test_a_timing_has_the_cell_hours_of_the_cube_and_less_time_than_its_process(
    producing, production_files: tuple[Path, Path], tmp_path: Path
) -> None:
    model, observations = production_files
    job = {"model": model, "observations": observations, "grid": "116,39,118,40.5@0.25", "out": tmp_path / "cube.zarr"}
    job |= {"start": "2019-01-03", "end": "2019-01-05", "device": "cpu", "events": tmp_path / "events.txt"}
    timing = producing.produce_timed(**job, production={"block_days": 1, "tile_rows": 3, "tile_columns": 4})
    assert timing.cell_hours == 48 * 7 * 9
    assert 0 < timing.sweep_seconds < timing.seconds and timing.processor_seconds > 0
    assert timing.peak_bytes > 1e7
    events = [line.split() for line in (tmp_path / "events.txt").read_text().splitlines()]
    assert events[-1][1:] == ["18", "18"]


def test_a_mutant_changes_one_place_of_a_module_and_leaves_messages_and_annotations() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import mutants
    lines = [
        "def f(a: int = 2) -> int:",
        '    """Say 3."""',
        "    if a < 1:",
        "        raise ValueError(f'{a + 1}')",
        "    return a",
    ]
    source = "\n".join(lines).encode()
    made = {(m.before, m.after) for m in mutants.mutants_of("m.py", source)}
    assert made == {
        ("2", "3"),
        ("a < 1", "(a <= 1)"),
        ("1", "2"),
        ("raise ValueError(f'{a + 1}')", "pass"),
        ("return a", "return None"),
    }
    changed = {
        source[: m.begin].decode() + m.after + source[m.end :].decode() for m in mutants.mutants_of("m.py", source)
    }
    assert len(changed) == 5 and all(compile(text, "m.py", "exec") for text in changed)


def test_files_are_counted_by_room() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import covered
    summary = {"num_statements": 6, "covered_lines": 6, "num_branches": 4, "covered_branches": 1}
    files = {
        "aqreanalysis/errors.py": summary,
        "aqreanalysis/production/plan/blocks.py": summary,
        "cli/map.py": summary,
    }
    text, whole = covered.as_markdown(files, 0.8, "now")
    assert whole.percent == 70
    for room in ("aqreanalysis", "aqreanalysis/production", "cli"):
        assert f"| {room} | 6 | 4 | 70.0 |" in text
    assert "| all | 18 | 12 | 70.0 |" in text and "Less than 80 % of: aqreanalysis/errors.py 70 %" in text
