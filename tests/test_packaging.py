"""The package installs as it should, from a wheel, anywhere, and its pins keep the traps of its stack shut."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Return a finished run of this Python in `cwd`, with `path` in front of its packages."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the sources, so that no build folder is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    for name in tracked or [
        str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts
    ]:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    done = python("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), ".", cwd=source)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    done = python("-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel), cwd=target)
    assert done.returncode == 0, done.stderr
    return target


def test_the_wheel_puts_nothing_but_the_package_into_site_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"aqreanalysis"}


def test_the_wheel_carries_every_grid_and_config_and_all_modules(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"aqreanalysis/{p.relative_to(ROOT)}" for folder in ("grids", "configs") for p in (ROOT / folder).glob("*.yaml")
    }
    expected |= {
        f"aqreanalysis/{p.relative_to(ROOT)}"
        for room in ("cli", "grids", "configs")
        for p in (ROOT / room).glob("*.py")
    }
    expected |= {str(p.relative_to(ROOT)) for p in (ROOT / "aqreanalysis").rglob("*.py")}
    expected |= {str(p.relative_to(ROOT)) for p in (ROOT / "aqreanalysis" / "project" / "template").iterdir()}
    expected.add("aqreanalysis/py.typed")
    assert expected <= names


def test_named_grids_and_configs_are_found_from_any_folder(installed: Path, tmp_path: Path) -> None:
    code = (
        "import aqreanalysis, sys; from aqreanalysis.configs import list_configs, load_config;"
        "assert aqreanalysis.__file__.startswith(sys.argv[1]), aqreanalysis.__file__;"
        "print(*[n for n in list_configs() if load_config(n)])"
    )
    configs = python("-c", code, str(installed), cwd=tmp_path, path=installed)
    assert configs.returncode == 0, configs.stderr
    assert configs.stdout.split() == sorted(p.stem for p in (ROOT / "configs").glob("*.yaml"))
    command = [sys.executable, str(installed / "bin" / "aqreanalysis"), "grids", "list"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    grids = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert grids.returncode == 0, grids.stderr
    assert {line.split()[0] for line in grids.stdout.splitlines()} == {p.stem for p in (ROOT / "grids").glob("*.yaml")}


def test_help_and_import_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, aqreanalysis, aqreanalysis.cli;"
        "print(*sorted({'torch', 'xarray', 'numpy', 'pandas', 'pydantic', 'dask', 'rich'} & set(sys.modules)))"
    )
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


def test_every_name_of_the_public_api_can_be_imported(tmp_path: Path) -> None:
    done = python("-c", "from aqreanalysis import *; import aqreanalysis as a; print(len(a.__all__))", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15


def test_a_fresh_process_that_loads_eccodes_and_then_opens_a_cube_without_an_engine_ends_well(tmp_path: Path) -> None:
    # eccodeslib 2.48 and later carries a PROJ of its own and made such a process crash at exit (139 or 134).
    cube = tmp_path / "cube.nc"
    write = (
        "import numpy as np, sys, xarray as xr;"
        "xr.Dataset({'pm2p5': (('time', 'lat', 'lon'), np.ones((2, 3, 4), 'f4'))}).to_netcdf(sys.argv[1])"
    )
    assert python("-c", write, str(cube), cwd=tmp_path).returncode == 0
    read = (
        "import sys, cfgrib, xarray as xr, rioxarray, pyproj;"
        "cube = xr.open_dataset(sys.argv[1]);"
        "print(pyproj.CRS(4326).to_epsg(), float(cube.pm2p5.mean()))"
    )
    done = python("-c", read, str(cube), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "4326 1.0\n"), done.stderr


def test_the_pins_hold_torch_and_keep_eccodeslib_below_the_version_with_its_own_proj() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert pins["torch"] == "2.13.0"
    assert tuple(int(n) for n in pins["eccodeslib"].split(".")[:2]) < (2, 48)
    assert re.search(r'"eccodeslib<2\.48"', (ROOT / "pyproject.toml").read_text())


#: What conda-forge calls a package that PyPI calls otherwise; eccodes' library is a package of its own there.
CONDA = {
    "torch": "pytorch",
    "isal": "python-isal",
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
    "eccodeslib": "python-eccodes",
}


def test_the_conda_recipe_asks_for_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    asked = {}
    for line in project["dependencies"]:
        name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", line).groups()  # type: ignore[union-attr]
        asked[CONDA.get(name, name)] = "" if name == "eccodeslib" else bound
    given = dict([*line.split(" ", 1), ""][:2] for line in recipe["requirements"]["run"])
    assert given.pop("python") == project["requires-python"]
    assert given == asked
    assert recipe["context"]["version"] == project["version"]
    assert recipe["about"]["summary"] in project["description"]
