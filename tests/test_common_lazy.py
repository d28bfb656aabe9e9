"""Names imported on first use: all are there, no module hides one, and nothing heavy comes before its time."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

_ROOMS = ("aqreanalysis.export", "aqreanalysis.pictures", "aqreanalysis.production")


@pytest.mark.parametrize("name", _ROOMS)
def test_every_public_name_is_found_and_none_is_called_like_a_module(name: str) -> None:
    room = import_module(name)
    modules = {names.name for names in iter_modules(room.__path__)}
    assert not modules & set(room.__all__)
    assert room.__dir__() == sorted(room.__all__)
    assert all(getattr(room, public).__module__.startswith(name) for public in room.__all__)


@pytest.mark.parametrize("name", _ROOMS)
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        import_module(name).nothing  # noqa: B018


def test_a_map_is_drawn_without_loading_a_network_or_a_cluster() -> None:
    code = (
        "import sys; from aqreanalysis.export import CubeSource, TimeSpan; "
        "from aqreanalysis.pictures import MapOptions, draw_map, write_page, write_companions; "
        "print(*sorted({'torch', 'distributed', 'sklearn', 'scipy', 'pydantic', 'rasterio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
