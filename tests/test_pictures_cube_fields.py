"""What pictures show of a cube: its own numbers, names that say what they are, and that it is synthetic where it is."""

from pathlib import Path

import numpy as np
from picture_case import write_cube

from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import MapOptions, draw_map, draw_series, write_page
from aqreanalysis.pictures.cube_fields import condition_shares, gaps, layer_name, read_fields, titled, whole_span


def test_the_flag_of_a_mean_is_the_share_of_its_hours_and_not_one_hour_of_it(tmp_path: Path) -> None:
    values = np.full((10, 2, 3), 20.0)
    flag = np.zeros(values.shape, np.int8)
    flag[0] = 8  # few neighbours, in one hour of ten
    flag[:5, 0, 0] |= 4  # far, in half
    flag[:, 1, 2] = 1  # masked
    with CubeSource(write_cube(tmp_path / "a.nc", values, flag=flag)) as source:
        one, span = source.species["pm25"], whole_span(source)
        shown = read_fields(source, one, span, ("flag",))["flag"]
        shares = condition_shares(source, one, span)
        text = draw_map(source, tmp_path / "a.svg", MapOptions(layers=("flag",), borders=False)).read_text()
    np.testing.assert_allclose(shown, [[50, 10, 10], [10, 10, np.nan]], equal_nan=True)
    np.testing.assert_allclose(shares["few_neighbours"], [[0.1, 0.1, 0.1], [0.1, 0.1, np.nan]])
    assert "Flagged hours" in text and "few neighbours: 10 %" in text and "beyond network: 10 %" in text


def test_bounds_and_width_say_of_which_interval(tmp_path: Path) -> None:
    with CubeSource(write_cube(tmp_path / "a.nc", np.ones((2, 2, 2)))) as source:
        one = source.species["pm25"]
        names = [layer_name(source, one, name) for name in ("width", "lower", "best")]
    assert names == ["width of the 90 % interval", "lower bound of the 90 % interval", "estimate"]


def test_every_picture_of_a_synthetic_cube_says_so_whatever_its_title(tmp_path: Path) -> None:
    from aqreanalysis.pictures import Paper, SeriesOptions

    paper = Paper(title="My town")
    made = {}
    for name, title in (("real", "Hourly PM2.5"), ("made", "SYNTHETIC: Hourly PM2.5")):
        with CubeSource(write_cube(tmp_path / f"{name}.nc", np.full((3, 4, 4), 9.0), title=title)) as source:
            mean = draw_map(source, tmp_path / f"{name}.svg", MapOptions(borders=False, paper=paper))
            series = draw_series(source, tmp_path / f"{name}s.svg", (47.0, 11.0), options=SeriesOptions(paper=paper))
            page = write_page(source, tmp_path / f"{name}.html").path
            made[name] = [path.read_text("utf-8") for path in (mean, series, page)]
            assert titled(source, "A synthetic town") == "A synthetic town"
    assert all("My town (synthetic)" in text for text in made["made"][:2]) and '"synthetic":true' in made["made"][2]
    assert not any("(synthetic)" in text for text in made["real"][:2]) and '"synthetic":false' in made["real"][2]


def test_a_step_that_does_not_begin_where_the_last_ended_is_a_gap() -> None:
    starts = np.array(["2019-01-01T00", "2019-01-01T01", "2019-01-01T05"], "datetime64[ns]")
    assert gaps(np.stack([starts, starts + np.timedelta64(1, "h")], axis=1)).tolist() == [2]
