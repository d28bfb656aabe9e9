"""Which kind of store an output is of, chosen here and nowhere else, and the names of what a run leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from aqreanalysis.errors import OutputError
from aqreanalysis.production.stores.store import Output, Store, StoreSpec

if TYPE_CHECKING:
    from aqreanalysis.production.options import ProduceOptions
    from aqreanalysis.production.stores.existing import Location


@dataclass(frozen=True)
class StoreKind:
    """A kind of store, known before its module is loaded.

    Attributes
    ----------
    title : str
        For people.
    ending : str
        Of the names that it takes, for people; empty where another kind has the same.
    takes : callable
        ``takes(out)`` -> whether an output of this name is of this kind.
    holds : callable
        ``holds(where)`` -> whether the finished cube at a place, whatever its name, is of this kind.
    load : callable
        Returns the class, imported when it is asked for.
    """

    title: str
    ending: str
    takes: Callable[[str], bool]
    holds: Callable[[str], bool]
    load: Callable[[], type[Store]]


_KINDS: list[StoreKind] = []


def register_store(kind: StoreKind) -> None:
    """Add a kind of store; it is asked before those that are there."""
    _KINDS.insert(0, kind)


def kind_of(out: str) -> StoreKind:
    """Return the kind of store of an output, by its name.

    Raises
    ------
    OutputError
        If no kind takes it, or it is a URL that has lost a stroke, of which a folder would be made.
    """
    scheme, _, rest = out.partition(":/")
    if scheme.lower() in ("s3", "http", "https") and not rest.startswith("/"):
        raise OutputError(f"output {scheme}:/...: a URL has two strokes there; give it as text and no Path")
    for kind in _KINDS:
        if kind.takes(out):
            return kind
    endings = " or ".join(kind.ending for kind in reversed(_KINDS) if kind.ending)
    raise OutputError(f"output {out!r} must end in {endings}; the ending chooses the format")


def kind_at(where: str) -> StoreKind:
    """Return the kind of store that a finished cube is in, by what is there."""
    return next(kind for kind in _KINDS if kind.holds(where))


def is_url(text: object) -> bool:
    """Tell whether an output is in object storage and not on a disk."""
    return "://" in str(text)


def already_there(output: Location) -> OutputError:
    """Return the error of an output that exists and may not be replaced."""
    return OutputError(
        f"output {output} exists; choose another --out, let it grow with --append or replace it with --overwrite"
    )


def _built_in(module: str, name: str) -> Callable[[], type[Store]]:
    def load() -> type[Store]:
        kind: type[Store] = getattr(import_module(f"aqreanalysis.production.stores.{module}"), name)
        return kind

    return load


# The last one is asked first; what nobody recognises is read as NetCDF, which says best what is wrong with it.
register_store(
    StoreKind(
        "NetCDF", ".nc", lambda out: PurePath(out).match("?*.nc"), lambda _: True, _built_in("netcdf", "NetcdfStore")
    )
)
register_store(
    StoreKind(
        "Zarr",
        ".zarr",
        lambda out: PurePath(out).match("?*.zarr"),
        lambda where: Path(where).is_dir(),
        _built_in("zarr", "ZarrStore"),
    )
)
register_store(
    StoreKind(
        "Zarr",
        "",
        is_url,
        lambda where: is_url(where) and not where.rstrip("/").endswith(".nc"),
        _built_in("bucket", "BucketStore"),
    )
)


def frequency_names(out: Location, frequencies: Iterable[str]) -> dict[str, Location]:
    """Return frequency -> name of its cube: `out` itself for a single one, siblings named by frequency for several.

    A cube holds one frequency, because a file with several time axes opens in few clients.
    """
    names = tuple(frequencies)
    if len(names) == 1:
        return {names[0]: out}
    return {name: out.with_name(f"{out.stem}_{name}{out.suffix}") for name in names}


@dataclass(frozen=True)
class Outputs:
    """What a run leaves, by name, and the folder of what is unfinished.

    Attributes
    ----------
    out : Location
        As the user gave it.
    part : Path
        The folder of what is unfinished.
    cubes : dict
        Frequency -> the name of its cube.
    files : dict
        Frequency -> its outputs: the cube, or a file a month or year.
    store : type
        The class of store.
    """

    out: Location
    part: Path
    cubes: dict[str, Location]
    files: dict[str, tuple[Output, ...]]
    store: type[Store]

    @classmethod
    def of(cls, out: str | Path, frequencies: tuple[str, ...]) -> Outputs:
        """Return those of an output's name.

        Raises
        ------
        OutputError
            If no kind of store takes the name.
        """
        store = kind_of(str(out)).load()
        where = store.locate(str(out))
        cubes = frequency_names(where, frequencies)
        files: dict[str, tuple[Output, ...]] = {name: (Output(name, path),) for name, path in cubes.items()}
        return cls(where, store.work_folder(where), cubes, files, store)

    def split(self, parts: Mapping[str, Iterable[tuple[str, tuple[int, int]]]]) -> Outputs:
        """Return those of a file a month or year; `parts` is frequency -> labels and steps.

        Raises
        ------
        OutputError
            If the kind of store is not cut into files.
        """
        self.store.check_split(self.out)
        files = {
            name: tuple(
                Output(f"{name}_{label}", path.with_name(f"{path.stem}_{label}{path.suffix}"), steps)
                for label, steps in parts[name]
            )
            for name, path in self.cubes.items()
        }
        return replace(self, files=files)

    def open(self, options: ProduceOptions, level: int) -> dict[str, Store]:
        """Return frequency -> its store; nothing is written."""
        return {
            name: self.store.open(
                StoreSpec(
                    whole=path,
                    outputs=self.files[name],
                    part=self.part.resolve(),
                    frequency=name,
                    level=level,
                    zarr_format=options.zarr_format,
                    shards=options.shards,
                    split=options.split,
                    grows=options.append,
                )
            )
            for name, path in self.cubes.items()
        }

    @property
    def all(self) -> list[Output]:
        """Every output."""
        return [output for some in self.files.values() for output in some]

    def refuse_existing(self) -> None:
        """Refuse outputs that are there.

        Raises
        ------
        OutputError
            Naming the first.
        """
        for output in self.all:
            if output.path.exists():
                raise already_there(output.path)
