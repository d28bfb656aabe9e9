"""Rasters: north-up frames, and each kind of layer resampled as what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.rasters import RasterFrame, Warp, frame_in, frame_of, kind_of

AFFINE = pytest.importorskip("affine").Affine


def frame(rows: int, columns: int, size: float) -> RasterFrame:
    return RasterFrame(AFFINE(size, 0, 116, 0, -size, 41), (rows, columns), "EPSG:4326")


def test_the_frame_of_a_cube_goes_half_a_cell_around_its_centres(cubes):
    with CubeSource(cubes.two) as two:
        own = frame_of(two)
    assert own.shape == (7, 9) and tuple(own.transform)[:6] == (0.25, 0, 115.875, 0, -0.25, 40.625)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["bilinear", "average"]))
def test_a_resampled_standard_error_is_never_less_than_any_correlation_allows(seed, method):
    rng = np.random.default_rng(seed)
    error = rng.uniform(1, 20, (8, 8)).astype(np.float32)
    warp = Warp(frame(8, 8, 0.5), frame(13, 13, 4 / 13), method)
    warped = warp("pm2p5_standard_error", {}, error)
    # Errors that go wholly together give the weighted mean of the standard errors, the most there can be.
    together = warp("pm2p5", {}, error)
    assert (warped >= together * (1 - 1e-5)).all() and (warped <= error.max() * (1 + 1e-5)).all()


def test_equal_errors_stay_what_they_are_and_a_gradient_is_interpolated():
    own, fine = frame(6, 6, 0.5), frame(12, 12, 0.25)
    warp = Warp(own, fine, "bilinear")
    np.testing.assert_allclose(warp("x_standard_error", {}, np.full((6, 6), 7, np.float32)), 7, rtol=1e-6)
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32), (6, 6))
    np.testing.assert_allclose(warp("x", {}, ramp)[6, 2:10], np.arange(0.75, 4.5, 0.5), rtol=1e-5)


def test_flags_and_counts_are_never_mixed():
    flags = np.array([[0, 4], [16, 4]], np.float32)
    attrs = {"flag_masks": np.array([4, 16], "i1")}
    warped = Warp(frame(2, 2, 1.0), frame(7, 7, 2 / 7), "bilinear")("quality_flag", attrs, flags)
    assert set(np.unique(warped)) <= {0.0, 4.0, 16.0}
    assert kind_of("n", {"standard_name": "number_of_observations"}) == "class"
    assert kind_of("x", {"standard_name": "a standard_error"}) == "standard_error"


def test_a_missing_cell_does_not_become_a_number():
    values = np.full((6, 6), 5, np.float32)
    values[:, :3] = np.nan
    warped = Warp(frame(6, 6, 0.5), frame(6, 6, 0.5), "bilinear")("x", {}, values)
    assert np.isnan(warped[:, :2]).all() and (warped[:, 4:] == 5).all()


@pytest.mark.parametrize("code", [999999, -1, 0])
def test_an_unknown_code_is_refused(code):
    with pytest.raises(OutputError, match="EPSG"):
        frame_in(code, frame(8, 8, 0.5))


def test_a_projection_that_tears_the_region_apart_is_refused():
    own = RasterFrame(AFFINE(0.25, 0, 178, 0, -0.25, 41), (8, 16), "EPSG:4326")
    with pytest.raises(OutputError, match="does not fit"):
        frame_in(3857, own)
    assert frame_in(3832, own).crs == "EPSG:3832"
