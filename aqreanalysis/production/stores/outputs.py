"""Where a run writes: its outputs, and beside them the folder of what is unfinished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aqreanalysis.errors import OutputError
from aqreanalysis.production.cube import SUFFIXES
from aqreanalysis.production.plan.timeline import HOURLY, outputs_of
from aqreanalysis.production.stores.bucket import Place, is_url
from aqreanalysis.production.stores.chunks import SUFFIX as CHUNKS


@dataclass(frozen=True)
class Output:
    """One cube that a run leaves.

    Attributes
    ----------
    path : Path or Place
        Its final name, on a disk or in a bucket.
    frequency : str
        Of its steps, and the staging store that it comes from.
    steps : tuple of int or None
        Which of them it holds; None holds all.
    """

    path: Path | Place
    frequency: str
    steps: tuple[int, int] | None = None


@dataclass(frozen=True)
class Target:
    """Where a run writes.

    Attributes
    ----------
    out : Path or Place
        As the user gave it.
    part : Path
        The folder of what is unfinished; for a cube in a bucket it is in the working directory.
    outputs : dict
        Name within the run -> output.
    """

    out: Path | Place
    part: Path
    outputs: dict[str, Output]

    @classmethod
    def of(cls, out: str | Path, frequencies: tuple[str, ...] = (HOURLY,)) -> Target:
        """Return the target of an output path, refusing a wrong suffix."""
        if is_url(out):
            place = Place.of(str(out))
            names = outputs_of(Path(place.name), frequencies)
            outputs = {name: Output(place.with_name(where.name), name) for name, where in names.items()}
            return cls(place, Path.cwd() / f"{place.name}.part", outputs)
        path = Path(out)
        if path.suffix not in SUFFIXES or not path.stem:
            raise OutputError(f"output {str(out)!r} must end in {' or '.join(SUFFIXES)}; the ending chooses the format")
        if path.suffix == ".nc" and path.is_dir():
            raise OutputError(f"output {path} is a folder; choose another name")
        outputs = {name: Output(where, name) for name, where in outputs_of(path, frequencies).items()}
        return cls(path, path.with_name(path.name + ".part"), outputs)

    def split(self, parts: Mapping[str, Iterable[tuple[str, tuple[int, int]]]]) -> Target:
        """Return the target of a file a month or year; `parts` is frequency -> labels and steps.

        Raises
        ------
        OutputError
            As of `check_splits`.
        """
        self.check_splits()
        outputs = {}
        for name, output in self.outputs.items():
            assert isinstance(output.path, Path)
            for label, steps in parts[output.frequency]:
                path = output.path.with_name(f"{output.path.stem}_{label}{output.path.suffix}")
                outputs[f"{name}_{label}"] = replace(output, path=path, steps=steps)
        return replace(self, outputs=outputs)

    def check_splits(self) -> None:
        """Refuse an output that cannot be split.

        Raises
        ------
        OutputError
            If it is no NetCDF.
        """
        if not self.is_netcdf:
            raise OutputError(f"output {self.out}: only NetCDF is split into files; a Zarr store is many files anyway")

    def store(self, frequency: str) -> Path:
        """The staging store of a frequency; of a NetCDF file the folder of its chunks."""
        return self.part / f"{'store' if frequency == HOURLY else frequency}{CHUNKS if self.is_netcdf else '.zarr'}"

    @property
    def stores(self) -> dict[str, Path]:
        """The staging store of each frequency."""
        return {output.frequency: self.store(output.frequency) for output in self.outputs.values()}

    @property
    def sums(self) -> Path:
        """The sums of days, which means are joined from."""
        return self.part / "sums.zarr"

    @property
    def readings(self) -> Path:
        """The readings that the workers map."""
        return self.part / "readings.npy"

    @property
    def states(self) -> Path:
        """The station states of the last time blocks, which a run that goes on reads."""
        return self.part / "states"

    @property
    def ledger(self) -> Path:
        """The finished blocks."""
        return self.part / "ledger.jsonl"

    @property
    def trash(self) -> Path:
        """Where a replaced store waits for its deletion."""
        return self.part / "replaced"

    def file(self, name: str) -> Path:
        """The NetCDF file of an output while it is written."""
        return self.part / ("cube.nc" if name == HOURLY else f"{name}.nc")

    def leftovers(self) -> list[Path]:
        """What a run that never began its ledger may have left."""
        found = [path for suffix in (".zarr", CHUNKS) for path in self.part.glob(f"*{suffix}")]
        return [*found, self.trash, self.states]

    @property
    def is_netcdf(self) -> bool:
        """Whether each output is one file."""
        return isinstance(self.out, Path) and self.out.suffix == ".nc"

    @property
    def is_remote(self) -> bool:
        """Whether the outputs are in a bucket."""
        return isinstance(self.out, Place)

    def ready(self, name: str) -> Path:
        """What of an output gets its final name at the end."""
        return self.file(name) if self.is_netcdf else self.store(self.outputs[name].frequency)

    def existing(self) -> list[Path | Place]:
        """The outputs that are there."""
        return [output.path for output in self.outputs.values() if output.path.exists()]
