"""The face of every store: what a run asks of the place that its blocks go to, whatever lies behind it.

A store holds one cube of a run: the blocks of one frequency. They are written beside its final name, or names where it
is cut into files, and get these at the end. One class a kind; `outputs` chooses it, and nobody else asks which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.errors import CubeError, OutputError

if TYPE_CHECKING:
    import xarray as xr

    from aqreanalysis.common.progress import Progress
    from aqreanalysis.production.layers import Layer
    from aqreanalysis.production.plan import Block
    from aqreanalysis.production.stores.existing import ExistingCube, Location
    from aqreanalysis.production.template import Template

Layers = Mapping[str, NDArray[Any]]
# The CRC-32 of the chunks of one layer of a block, along their first axis.
Checksums = tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """One finished cube that a store leaves.

    Attributes
    ----------
    name : str
        Within the run: the frequency, and the month or year of a file.
    path : Location
        Its final name.
    steps : tuple of int or None
        Which steps of the cube it holds; None holds all.
    """

    name: str
    path: Location
    steps: tuple[int, int] | None = None


@dataclass(frozen=True)
class StoreSpec:
    """What a store is opened with.

    Attributes
    ----------
    whole : Location
        The final name of the cube; where it is cut into files, the name that theirs are made from.
    outputs : tuple of Output
        What is to come out: one, or a file a month or year.
    part : Path
        The folder of what is unfinished; every worker sees it.
    frequency : str
        Of the cube.
    level : int
        Of compression, 0 to 9.
    zarr_format : int
        2 or 3, of a store of Zarr.
    shards : bool
        Of Zarr 3: a file holds the chunks of a whole block.
    split : str
        ``none``, ``month`` or ``year``.
    grows : bool
        The cube continues one that is there under its name.
    """

    whole: Location
    outputs: tuple[Output, ...]
    part: Path
    frequency: str
    level: int
    zarr_format: int = 2
    shards: bool = False
    split: str = "none"
    grows: bool = False


@dataclass(frozen=True)
class StoredLayer:
    """The chunks of one layer of a block, along their first axis: how many bytes, and the CRC-32 of each."""

    size: int
    checksums: Checksums

    @classmethod
    def of(cls, *chunks: bytes | memoryview) -> StoredLayer:
        """Return that of chunks as they are stored."""
        return cls(sum(map(len, chunks)), tuple(isal_zlib.crc32(chunk) for chunk in chunks))

    @classmethod
    def joined(cls, parts: Sequence[StoredLayer]) -> StoredLayer:
        """Return one of several."""
        return cls(sum(part.size for part in parts), tuple(one for part in parts for one in part.checksums))


@dataclass(frozen=True)
class Written:
    """What was written of a block.

    Attributes
    ----------
    raw_bytes : int
        Before compression.
    layers : dict
        Layer -> its chunks.
    """

    raw_bytes: int
    layers: dict[str, StoredLayer]

    @classmethod
    def joined(cls, parts: Iterable[Written]) -> Written:
        """Return one of several."""
        parts = list(parts)
        layers = {name: layer for part in parts for name, layer in part.layers.items()}
        return cls(sum(part.raw_bytes for part in parts), layers)


@dataclass(frozen=True)
class BlockResult:
    """A block that is stored: its number, cells times hours, what was written, and seconds."""

    number: int
    cells: int
    written: Written
    seconds: float


class BlockSource(Protocol):
    """The blocks of a finished cube, for the store of the longer one that continues it."""

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another layout, or in other chunks where they are to be adopted.

        Raises
        ------
        OutputError
            With both values.
        """

    def adopt(self, block: Block) -> Mapping[str, Checksums]:
        """Bring the chunks of a block to where the longer cube has them: link, copy, or leave where they are; return
        the CRC-32 of each, by layer, where they are known.

        Raises
        ------
        CubeError
            If the finished cube lacks one.
        """

    def close(self) -> None:
        """Close the finished cube."""


class Store(Protocol):
    """One cube of a run on its way to its name.

    A store can be pickled, and any thread or process may write to it. What has a body here holds for every kind that
    does not say otherwise.

    Attributes
    ----------
    outputs : tuple of Output
        What it leaves.
    copies : bool
        Whether the finished cube is copied from the chunks at the end, which takes its room twice.
    """

    outputs: tuple[Output, ...]
    copies: bool = False

    @classmethod
    def locate(cls, out: str) -> Location:
        """Return the place that a name says.

        Raises
        ------
        OutputError
            If it can be none of this kind.
        """
        return Path(out)

    @classmethod
    def work_folder(cls, whole: Location) -> Path:
        """Return the folder, on a disk of this machine, of what is unfinished."""
        return Path(str(whole.with_name(f"{whole.name}.part")))

    @classmethod
    def open(cls, spec: StoreSpec) -> Store:
        """Return the store of a cube; nothing is written yet."""

    @classmethod
    def check_split(cls, whole: Location) -> None:
        """Refuse to cut the cube into files, where the kind is no file.

        Raises
        ------
        OutputError
            If so.
        """
        raise OutputError(f"output {whole}: only NetCDF is split into files; a Zarr store is many files anyway")

    @classmethod
    def open_dataset(cls, where: str) -> xr.Dataset:
        """Return a finished cube as xarray reads it, lazily."""

    @classmethod
    def stored_bytes(cls, where: str) -> int | None:
        """Return the bytes that a finished cube takes; None where nobody can say."""
        path = Path(where)
        files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files)

    @property
    def layout(self) -> str:
        """Kind and form, for people and for the fingerprint of the run."""

    @property
    def disk(self) -> Path | None:
        """The folder of this machine's disks that the finished cube comes to; None where it goes elsewhere."""
        return Path(str(self.outputs[0].path)).parent if self.outputs else None

    def sample(self, folder: Path) -> Store:
        """Return a store of the same form in a folder of this machine, for a trial."""

    def limited_to(self, outputs: Sequence[Output]) -> Store:
        """Return the store that leaves some of its outputs only, and the others as they are."""

    def acquire_ownership(self, resumes: bool, overwrite: bool) -> None:
        """Take the right to write, where the lock of the work folder is not enough because other machines may write.

        Parameters
        ----------
        resumes : bool
            The work folder holds unfinished work, whose right must not have been lost since.
        overwrite : bool
            Take the right from another work folder.

        Raises
        ------
        OutputError
            If another work folder holds it, or has held it since.
        """
        return None

    def release_ownership(self) -> None:
        """Give that right back."""
        return None

    def create(self, template: Template) -> None:
        """Make the empty store; what is left of another is replaced."""

    def is_created(self) -> bool:
        """Tell whether it is there, empty or filled."""

    def write(self, block: Block, layers: Layers) -> Written:
        """Write layers of one block, whole chunks.

        A chunk appears under its name only when it is complete, so blocks may be written at the same time by threads
        and processes, and again after a crash.
        """

    def read_checksums(self, name: str, block: Block) -> Checksums | None:
        """Return the CRC-32 of the chunks of a layer of a block as they lie there now; None where it cannot tell.

        One of a chunk that cannot be read is left out.
        """
        return None

    def discard(self, name: str, block: Block) -> None:
        """Take away chunks of a block that were found damaged, where they would be read to be replaced."""
        return None

    def existing(self) -> ExistingCube:
        """Return the finished cube that stands under the name, and what it says of the blocks that it holds.

        Raises
        ------
        OutputError
            If there is none, or it does not say how it was made.
        CubeError
            If it cannot be read.
        """
        raise OutputError(f"{self.outputs[0].path} cannot be continued: {self.layout} cannot grow; produce it anew")

    def open_source(self, older: ExistingCube, template: Template) -> BlockSource:
        """Return the blocks of a finished cube, of which this store adopts some; it has been created."""

    def complete(
        self, templates: Mapping[str, Template], blocks: Mapping[int, Mapping[str, Checksums]], progress: Progress
    ) -> None:
        """Make the outputs whole and put them on the disk, so that they lack nothing but their names.

        Parameters
        ----------
        templates : mapping
            Name of each output -> what it says of itself.
        blocks : mapping
            Number of a block -> layer -> the CRC-32 of its chunks, as they were noted when they were written.
        progress : callable
            Told of each step; what it raises ends the work, which may be begun again.
        """

    def is_staged(self, output: Output) -> bool:
        """Tell whether a complete output has not got its name yet."""

    def is_taken(self, output: Output) -> bool:
        """Tell whether a cube stands under the name that is not this store's own unfinished one."""
        return output.path.exists()

    def finalise(self, output: Output) -> None:
        """Give a complete output its name, replacing what was there; may be repeated after a crash at any moment."""


def file_checksums(files: Iterable[Path]) -> Checksums:
    """Return the CRC-32 of each file that can be read."""
    checksums = []
    for file in files:
        try:
            checksums.append(isal_zlib.crc32(file.read_bytes()))
        except OSError:  # missing, or the disk refuses it: it is no more what it was
            continue
    return tuple(checksums)


def check_alike(
    where: Location, name: str, forms: tuple[Mapping[str, str], Mapping[str, str]], all_of_it: bool
) -> None:
    """Refuse a layer that is stored otherwise in a finished cube than in the one that continues it.

    Parameters
    ----------
    where, name
        The finished cube and the layer.
    forms : pair of mappings
        What of each decides the bytes of its chunks, there and here.
    all_of_it : bool
        False compares the format alone: no chunk is adopted.

    Raises
    ------
    OutputError
        With both values.
    """
    theirs, ours = forms
    for key in ours if all_of_it else [k for k in ("Zarr format",) if k in ours]:
        if theirs[key] != ours[key]:
            raise OutputError(
                f"{where} cannot be continued by another run: {key} of {name} is {theirs[key]} there and {ours[key]} "
                "here; give the same options and config, or produce it anew"
            )


def damaged(where: Location, layer: Layer, block: Block) -> CubeError:
    """Return the error of a finished cube that lacks a chunk, or has another than was written."""
    place = f"{layer.name} at step {block.time[0]}, row {block.rows[0]}, column {block.columns[0]}"
    return CubeError(
        f"{where} is damaged: the chunk of {place} cannot be read, or is not what was written; mend it by produce "
        "--repair with what it was made from, or produce it anew"
    )
