"""A cube of a model with covariates grows where newer files tell what the older ones did; what differs is renewed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray as xr
from append_case import same
from fields_case import FIRST, MadeUp, network, trained

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.production.plan.block_keys import COVARIATES, MISSING, DayChecksums
from aqreanalysis.production.resume.append import check_covariates

GRID = "114,38,117,40@0.5"
DAY = FIRST // 24
OPTIONS = ProduceOptions(production=ProductionConfig(block_days=1), threads=1)
APPEND = replace(OPTIONS, append=True)


@dataclass(frozen=True)
class Revised(MadeUp):
    """Weather of which some hours came out otherwise in a later edition."""

    revised: tuple[int, ...] = ()

    def at(self, lat, lon, hours):
        found = super().at(lat, lon, hours)
        found[np.isin(hours, self.revised)] += np.float32(3)
        return found


def stamp(day: int) -> str:
    return str(np.datetime64(24 * (DAY + day), "h"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return trained(
        tmp_path_factory.mktemp("models") / "windy", MadeUp(), "species=[pm25]", "training.learning_rate=0.1"
    )


def model(bundle, covariates=None):
    return load_predictor(bundle, "cpu", covariates or MadeUp())


def made(bundle, out, end, covariates=None, options=OPTIONS) -> xr.Dataset:
    begin = None if options.append else stamp(1)
    with produce(model(bundle, covariates), network(), GRID, begin, stamp(end), out, options) as cube:
        return cube.load()


def hours_of(*days: int) -> tuple[int, ...]:
    return tuple(24 * (DAY + day) + hour for day in days for hour in range(1, 25))


def test_a_cube_grows_to_that_of_one_run(bundle, tmp_path):
    made(bundle, tmp_path / "x.nc", 4)
    said: list[str] = []
    grown = made(bundle, tmp_path / "x.nc", 6, options=replace(APPEND, say=said.append))
    assert "48 hours" in said[0] and "anew" not in said[0]
    same(grown, made(bundle, tmp_path / "whole.nc", 6))


def test_days_near_weather_that_was_revised_are_computed_anew(bundle, tmp_path):
    made(bundle, tmp_path / "x.nc", 6)
    newer = Revised(revised=hours_of(2)[3:5])
    said: list[str] = []
    grown = made(bundle, tmp_path / "x.nc", 6, newer, replace(APPEND, say=said.append))
    # A day's estimates read the weather of the days beside it.
    assert f"72 hours ({stamp(1)}:00 to {stamp(4)}:00) computed anew" in said[0] and "added" not in said[0]
    same(grown, made(bundle, tmp_path / "whole.nc", 6, newer))


def test_files_need_not_reach_back_to_the_beginning_but_to_what_is_read_anew(bundle, tmp_path):
    before = made(bundle, tmp_path / "x.nc", 5)
    recent = MadeUp(missing=hours_of(*range(-10, 3)))
    short = MadeUp(missing=hours_of(*range(-10, 5)))
    words = rf"the covariates have no hour of {stamp(4)[:10]}, from which the cube was made, but hours from {stamp(5)}"
    with pytest.raises(OutputError, match=words):
        made(bundle, tmp_path / "x.nc", 6, short, APPEND)
    assert [path.name for path in tmp_path.iterdir()] == ["x.nc"]
    grown, whole = made(bundle, tmp_path / "x.nc", 6, recent, APPEND), made(bundle, tmp_path / "whole.nc", 6)
    for name in whole.data_vars:
        np.testing.assert_array_equal(grown[name], whole[name], err_msg=str(name))
    assert grown.attrs[COVARIATES] == whole.attrs[COVARIATES] and before.attrs[COVARIATES] != whole.attrs[COVARIATES]


def test_a_cube_that_does_not_say_its_covariates_is_refused(bundle, tmp_path):
    cube = made(bundle, tmp_path / "x.nc", 4)
    del cube.attrs[COVARIATES]
    cube.to_netcdf(tmp_path / "mute.nc")
    with pytest.raises(OutputError, match=r"mute.nc does not say from which covariates it was made, by day"):
        made(bundle, tmp_path / "mute.nc", 5, options=APPEND)


def test_a_day_that_is_missing_is_taken_from_the_older_record_and_missed_only_where_it_is_read():
    older = DayChecksums(10, (b"aaaa", b"bbbb", MISSING))
    newer = DayChecksums(10, (MISSING, b"bbbb", MISSING, b"dddd"))
    assert newer.with_older_days(older).checksums == (b"aaaa", b"bbbb", MISSING, b"dddd")
    check_covariates(newer, older, {12, 13}, (1, 1))
    with pytest.raises(OutputError, match=r"no hour of 1970-01-11, .* hours from 1970-01-12T00:00 on"):
        check_covariates(newer, older, {11, 12}, (1, 1))
