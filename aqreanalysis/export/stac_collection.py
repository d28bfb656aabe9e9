"""A STAC collection of a cube: an item a time step, with its GeoTIFFs if there are some, and the cube as one more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import stamped
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_folder
from aqreanalysis.export.source import CubeSource
from aqreanalysis.export.stac import (
    cog_asset,
    cog_paths,
    cube_asset,
    cube_id,
    extent_of,
    import_pystac,
    license_of,
    make_item,
    providers_of,
)

if TYPE_CHECKING:
    from pystac import Collection, Item

#: Name of the collection in its folder.
COLLECTION = "collection.json"


@dataclass(frozen=True)
class _Step:
    """One time step: what it stands for, and the GeoTIFFs of it."""

    bounds: NDArray[np.datetime64]
    cogs: Sequence[Path]


def export_stac_collection(
    source: CubeSource, out: str | Path, cogs: str | Path | None = None, overwrite: bool = False
) -> list[Path]:
    """Return the paths of a STAC collection, of the item of the cube and of one a time step, in the folder `out`.

    An item of a step has its beginning, its end and its stamp, and as assets the GeoTIFFs of that step; where none are
    given, the cube. Links are relative, so folder and data move together.

    Parameters
    ----------
    source : CubeSource
        The cube.
    out : str or Path
        Folder; made if it is not there.
    cogs : str, Path or None
        Folder of `export_cogs`: the steps are those of its files, which may be of days where the cube's are hours.
    overwrite : bool
        Replace a folder of an earlier export.

    Raises
    ------
    OutputError
        If pystac is not installed, a folder holds no COG of this program, or the output exists.
    """
    import_pystac()
    folder = Path(out)
    steps = list(_steps(source, None if cogs is None else Path(cogs)))
    whole = make_item(source, folder / "cube.json", None)
    items = [whole, *(_step_item(source, folder, step) for step in steps)]
    collection = _collection(source, items, np.array([*source.bounds, *(step.bounds for step in steps)]))
    with whole_folder(out, (".json",), overwrite) as temporary:
        for item in items:
            item.add_link(_link("collection", f"./{COLLECTION}"))
            item.add_link(_link("parent", f"./{COLLECTION}"))
            item.add_link(_link("root", f"./{COLLECTION}"))
            item.collection_id = collection.id
            _write(temporary / f"{item.id}.json", item)
        _write(temporary / COLLECTION, collection)
    return [folder / COLLECTION, *(folder / f"{item.id}.json" for item in items)]


def _steps(source: CubeSource, cogs: Path | None) -> Iterator[_Step]:
    """Yield the steps of the GeoTIFFs, or those of the cube."""
    if cogs is None:
        for bounds in source.bounds:
            yield _Step(bounds, ())
        return
    import rasterio

    by_bounds: dict[str, list[Path]] = {}
    for path in cog_paths(cogs):
        with rasterio.open(path) as file:
            said = file.tags().get("time_bounds", "")
        if said.count("/") != 1:
            raise OutputError(f"{path} does not say its time; make the GeoTIFFs with aqreanalysis export cog")
        by_bounds.setdefault(said, []).append(path)
    for said, paths in sorted(by_bounds.items()):
        ends = [pd.Timestamp(text).tz_convert(None).to_datetime64() for text in said.split("/")]
        yield _Step(np.array(ends, dtype="datetime64[ns]"), paths)


def _step_item(source: CubeSource, folder: Path, step: _Step) -> Item:
    pystac = import_pystac()
    first, last = (pd.Timestamp(b, tz="UTC").to_pydatetime() for b in step.bounds)
    stamp = pd.Timestamp(stamped(step.bounds, source.stamp), tz="UTC")
    box, geometry = extent_of(source)
    item = pystac.Item(
        id=f"{cube_id(source)}-{stamp:%Y%m%dT%H%M}",
        geometry=geometry,
        bbox=box,
        datetime=stamp.to_pydatetime(),
        start_datetime=first,
        end_datetime=last,
        properties={"license": license_of(source)},
    )
    out = folder / f"{item.id}.json"
    for path in step.cogs:
        item.add_asset(path.stem, cog_asset(path, out))
    if step.cogs:
        pystac.extensions.projection.ProjectionExtension.add_to(item)
    else:
        item.add_asset("cube", cube_asset(source, out))
    return item


def _collection(source: CubeSource, items: Sequence[Item], bounds: NDArray[np.datetime64]) -> Collection:
    pystac = import_pystac()
    attrs = source.dataset.attrs
    # Days that local time cuts begin before the cube does.
    first, last = (pd.Timestamp(b, tz="UTC").to_pydatetime() for b in (bounds.min(), bounds.max()))
    title = str(attrs.get("title", source.path.name))
    collection = pystac.Collection(
        id=cube_id(source),
        description=str(attrs.get("summary", title)),
        title=title,
        license=license_of(source),
        extent=pystac.Extent(pystac.SpatialExtent([extent_of(source)[0]]), pystac.TemporalExtent([[first, last]])),
        keywords=[one.species.title for one in source.species.values()],
        providers=[pystac.Provider.from_dict(one) for one in providers_of(source)] or None,
    )
    collection.add_link(_link("root", f"./{COLLECTION}"))
    for item in items:
        collection.add_link(_link("item", f"./{item.id}.json", "application/geo+json"))
    return collection


def _link(relation: str, target: str, kind: str = "application/json") -> object:
    return import_pystac().Link(relation, target, media_type=kind)


def _write(path: Path, held: Item | Collection) -> None:
    text = json.dumps(held.to_dict(include_self_link=False, transform_hrefs=False), indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")
