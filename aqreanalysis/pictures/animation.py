"""A period of a cube as moving pictures: GIF through Pillow, MP4 through ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from PIL import Image

from aqreanalysis.common.glyphs import every_letter
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource
from aqreanalysis.pictures.cube_fields import read_fields, time_step_of
from aqreanalysis.pictures.maps import MapFigure, MapOptions
from aqreanalysis.pictures.stations import StationMarkers

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress

ENDINGS = (".gif", ".mp4")
_DPI = 90
_PALETTE = 256
#: A colour that stands in so many pixels of a frame is a shade of its scale and no rim of a letter or line.
_FLAT_PIXELS = 8
#: Frames by which the scale of colours is found before the first is drawn.
_SAMPLED = 12

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Film:
    """How a period moves.

    Attributes
    ----------
    every : int
        Steps of the cube from frame to frame.
    frames_per_second : float
        Speed.
    """

    every: int = 1
    frames_per_second: float = 8.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"a frame every {self.every} steps: it must be 1 or more")
        if not 0 < self.frames_per_second <= 50:
            raise ConfigError(f"{self.frames_per_second:g} frames a second: choose more than 0 and at most 50")


def animate(
    source: CubeSource,
    out: str | Path,
    options: MapOptions,
    film: Film,
    marks: StationMarkers | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw every step of `source` as a frame, all with the same colours; return the path of the film.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the period.
    out : str or Path
        A name that ends in ``.gif`` or ``.mp4``.
    options : MapOptions
        What is drawn; `time` is not used.
    film : Film
        Frames and speed.
    marks : StationMarkers, optional
        Stations.
    progress : callable, optional
        Called as ``progress(frames done, frames, "frames")``.

    Raises
    ------
    OutputError
        If the file exists, or an MP4 is wanted and there is no ffmpeg.
    """
    ending = Path(out).suffix.lower()
    encoder = _ffmpeg() if ending == ".mp4" else None
    with whole_file(out, ENDINGS, options.overwrite) as path:
        frames = _frames(source, options, film, marks, progress)
        if encoder is None:
            _write_gif(frames, path, film.frames_per_second)
        else:
            _write_mp4(frames, path, film.frames_per_second, encoder)
    return Path(out)


def _frames(
    source: CubeSource, options: MapOptions, film: Film, marks: StationMarkers | None, progress: Progress | None
) -> Iterator[Frame]:
    one = next(iter(source.species.values()))
    numbers = range(0, len(source.bounds), film.every)
    picture = MapFigure(source, one, options, marks)
    picture.figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(picture.figure)
    for count, number in enumerate(numbers):
        step = time_step_of(source, number)
        fields = read_fields(source, one, step, options.layers)
        if count:
            picture.update(fields, step)
        else:
            some = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, _SAMPLED).astype(int))]
            sampled = [read_fields(source, one, time_step_of(source, n), options.layers) for n in some]
            stacked: dict[str, NDArray[Any]] = {name: np.stack([f[name] for f in sampled]) for name in fields}
            picture.draw(fields, step, picture.colours(stacked, step), stacked)
            with every_letter(picture.figure):
                canvas.draw()
            # The parts have found their places; laid out again for every frame they would tremble, and slowly.
            picture.figure.set_layout_engine("none")
        with every_letter(picture.figure):
            canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
        if progress is not None:
            progress(count + 1, len(numbers), "frames")


def _write_gif(frames: Iterator[Frame], path: Path, speed: float) -> None:
    start = next(frames)
    palette = _palette(start)
    first, rest = _in_palette(start, palette), (_in_palette(frame, palette) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / speed), loop=0, optimize=False)


def _in_palette(frame: Frame, palette: Image.Image) -> Image.Image:
    return Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)


def _palette(frame: Frame) -> Image.Image:
    """Return one palette for all frames, from the first, whose colour bar shows every colour there can be.

    Each colour that stands in more than a few pixels counts once: by area, the ends of the scale would be taken for
    their neighbours wherever the first frame's field has few of them.
    """
    colours, pixels = np.unique(frame.reshape(-1, 3), axis=0, return_counts=True)
    wanted = colours[pixels >= _FLAT_PIXELS]
    return Image.fromarray(wanted[None]).quantize(_PALETTE, dither=Image.Dither.NONE)


def _write_mp4(frames: Iterator[Frame], path: Path, speed: float, encoder: str) -> None:
    first = next(frames)
    # H.264 in the colours that every player reads halves the resolution of colour, so sides must be even.
    height, width = (side - side % 2 for side in first.shape[:2])
    command = [encoder, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", f"{speed:g}", "-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20"]
    command += ["-movflags", "+faststart", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None and process.stderr is not None
    try:
        process.stdin.write(first[:height, :width].tobytes())
        for frame in frames:
            process.stdin.write(frame[:height, :width].tobytes())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended before its time, and says why below
    except BaseException:
        process.kill()
        raise
    finally:
        message = process.stderr.read().decode(errors="replace")
        process.stderr.close()
        process.wait()
    if process.returncode:
        raise OutputError(
            f"ffmpeg could not write {path.name}: {' '.join(message.split())[:300]}; write a .gif instead"
        )


def _ffmpeg() -> str:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg:
        return ffmpeg
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise OutputError(
            "an .mp4 needs ffmpeg, and there is none: install it, or pip install 'aqreanalysis[film]', or write a .gif"
        ) from None
