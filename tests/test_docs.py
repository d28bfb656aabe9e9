"""What the docs and README say is where they say: files, functions, links."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md")), ROOT / "README.md"]
ROW = re.compile(r"^\| `([\w/]+\.py)` \| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)
#: Names of files that a run writes or that come with the folder ``shared``.
WRITTEN = {"MODEL_CARD.md", "accept.sh", "config.yaml"}


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Return the paths of the sources, with a slash before each."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    names = listed or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts]
    return [f"/{name}" for name in names if (ROOT / name).exists()]


def names_in(path: Path) -> set[str]:
    """Return the names of the classes and functions of a module, with those of its classes."""
    tree = ast.parse(path.read_text("utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_that_a_page_names_exists(page: Path, files: list[str]) -> None:
    named = set(re.findall(r"`([\w./-]*\w\.(?:py|sh|md|yaml))`", page.read_text("utf-8")))
    missing = [n for n in named - WRITTEN if "..." not in n and not any(f.endswith(f"/{n}") for f in files)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    made = ("..", "generated/")  # outside, or made when the site is built, which looks for them itself
    assert [link for link in links if not link.startswith(made) and not (page.parent / link).exists()] == []


def test_the_journeys_of_the_architecture_name_functions_where_they_are() -> None:
    rows = ROW.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert len(rows) > 25
    wrong = [
        f"{path}: {name}"
        for path, names in rows
        for name in re.findall(r"\w+", names)
        if name not in names_in(ROOT / path)
    ]
    assert wrong == []


def test_what_was_taken_out_is_nowhere_promised() -> None:
    gone = re.compile(r"nursery|keep_freed_memory|stores/fused|cli/aside|run/kept|production/growth")
    assert [page.name for page in PAGES if gone.search(page.read_text("utf-8"))] == []
