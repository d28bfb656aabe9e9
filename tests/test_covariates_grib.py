from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from covariates_case import LAT, LON, hour, message, plane, write_grib

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates, grib
from aqreanalysis.errors import CovariatesError

REAL = Path(__file__).parents[2] / "shared" / "data" / "grib"
PLACE = np.array([49.6]), np.array([6.3])


def one(covariates: Covariates, *hours: str) -> np.ndarray:
    """Return values (hour, field) at one place."""
    return covariates.at(*PLACE, np.array([hour(h) for h in hours]))[:, 0]


def test_an_instant_counts_at_its_stamp_and_is_interpolated_between_the_points(tmp_path: Path) -> None:
    path = write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01T05:00", plane(280.0, 2.0, -1.0))])
    covariates = Covariates.open(path)
    assert covariates.fields == ("t2m",)
    values = covariates.at(
        np.array([49.6, 48.0, 51.0]), np.array([6.3, 5.0, 9.0]), np.array([hour("2020-01-01T05:00")])
    )
    assert values.dtype == np.float32
    assert values[0, :, 0] == pytest.approx([280 - 0.8 + 0.7, 280 - 4 + 2, 280 + 2 - 2], abs=1e-3)


def test_places_off_the_grid_and_hours_not_in_the_file_are_missing(tmp_path: Path) -> None:
    covariates = Covariates.open(write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01T05:00", 280.0)]))
    hours = np.array([hour("2020-01-01T04:00"), hour("2020-01-01T05:00")])
    values = covariates.at(np.array([50.0, 45.0, 50.0]), np.array([7.0, 7.0, 20.0]), hours)[:, :, 0]
    assert np.isnan(values).tolist() == [[True, True, True], [False, True, True]]


def test_longitudes_from_0_to_360_rows_from_the_south_and_the_seam_of_the_globe_are_understood(tmp_path: Path) -> None:
    lat, lon = np.arange(-90.0, 91.0, 30.0), np.arange(0.0, 360.0, 30.0)
    east = np.cos(np.radians(lon))[None, :] + 0 * lat[:, None]
    path = write_grib(tmp_path / "globe.grib", [message("u10", "2020-01-01T00:00", east)], lat, lon)
    covariates = Covariates.open(path)
    asked = np.array([-30.0, -15.0, 345.0, 179.9, -180.0])
    values = covariates.at(np.zeros(5), asked, np.array([hour("2020-01-01T00:00")]))[0, :, 0]
    seam = (np.cos(np.radians(-30)) + 1) / 2
    assert values == pytest.approx([np.cos(np.radians(-30)), seam, seam, -1, -1], abs=2e-3)


def test_era5_sums_hold_one_hour_and_end_at_their_stamp(tmp_path: Path) -> None:
    run = "2020-01-01T06:00"
    rain = [message("tp", run, mm / 1000, (step - 1, step)) for step, mm in ((1, 0.5), (2, 3.0), (3, 1.0))]
    covariates = Covariates.open(write_grib(tmp_path / "era5.grib", rain))
    values = one(covariates, "2020-01-01T07:00", "2020-01-01T08:00", "2020-01-01T09:00")
    assert values[:, 0] == pytest.approx([0.5, 3.0, 1.0], abs=1e-4)


def test_era5_land_sums_since_midnight_are_broken_up_whatever_their_header_says(tmp_path: Path) -> None:
    # class l5: the step range says one hour (as the real files do), the values run from 00 UTC; 24 h closes the day.
    total = np.cumsum([0.2] * 22 + [4.0, 1.0]) / 1000
    first = [message("tp", "2020-01-01", total[s - 1], (s - 1, s), marsClass="l5") for s in range(1, 25)]
    second = [message("tp", "2020-01-02", 0.007, (0, 1), marsClass="l5")]
    covariates = Covariates.open(write_grib(tmp_path / "land.grib", first + second))
    values = one(
        covariates, "2020-01-01T01:00", "2020-01-01T12:00", "2020-01-01T23:00", "2020-01-02T00:00", "2020-01-02T01:00"
    )
    assert values[:, 0] == pytest.approx([0.2, 0.2, 4.0, 1.0, 7.0], abs=1e-3)


def test_a_sum_whose_step_before_is_absent_is_missing_and_told(tmp_path: Path) -> None:
    steps = [message("tp", "2020-01-01", mm / 1000, (s - 1, s), marsClass="l5") for s, mm in ((1, 1), (2, 2), (20, 9))]
    covariates = Covariates.open(write_grib(tmp_path / "land.grib", steps))
    assert covariates.hours("tp").tolist() == [hour("2020-01-01T01:00"), hour("2020-01-01T02:00")]
    assert any("step before being absent" in line for line in covariates.report.lines())


def test_forecast_sums_from_the_start_become_hourly_means_of_their_steps(tmp_path: Path) -> None:
    steps = [message("tp", "2020-01-01T00:00", mm / 1000, (0, end)) for end, mm in ((3, 3.0), (6, 9.0))]
    covariates = Covariates.open(write_grib(tmp_path / "cams.grib", steps))
    values = one(covariates, *(f"2020-01-01T0{h}:00" for h in range(1, 7)))
    assert values[:, 0] == pytest.approx([1, 1, 1, 2, 2, 2], abs=1e-3)


def test_hourly_sums_taken_for_sums_from_the_start_are_refused_not_turned_into_negative_rain(tmp_path: Path) -> None:
    rain = [message("tp", "2020-01-01", mm / 1000, (s - 1, s)) for s, mm in ((1, 5.0), (2, 1.0))]
    path = write_grib(tmp_path / "era5.grib", rain)
    covariates = Covariates.open(path, CovariatesConfig(accumulation="from-start"))
    with pytest.raises(CovariatesError, match=r"era5.grib, message 2: tp is -4 .*accumulation=hourly"):
        one(covariates, "2020-01-01T02:00")


def test_the_final_issue_goes_before_the_early_one_and_analysis_before_forecast(tmp_path: Path) -> None:
    final = message("t2m", "2020-01-01T05:00", 281.0, experimentVersionNumber="0001")
    early = message("t2m", "2020-01-01T05:00", 270.0, experimentVersionNumber="0005")
    later = message("t2m", "2020-01-01T06:00", 272.0, experimentVersionNumber="0005")
    forecast = message("t2m", "2020-01-01T00:00", 260.0, (6, 6))
    covariates = Covariates.open(write_grib(tmp_path / "mixed.grib", [early, final, forecast, later]))
    five, six = one(covariates, "2020-01-01T05:00", "2020-01-01T06:00")[:, 0]
    assert five == pytest.approx(281.0, abs=1e-3)
    # The forecast is a final issue; ERA5T is what there is only where nothing final is.
    assert six == pytest.approx(260.0, abs=1e-3)


def test_of_two_forecasts_the_later_run_is_taken(tmp_path: Path) -> None:
    runs = [message("t2m", "2020-01-01T00:00", 280.0, (12, 12)), message("t2m", "2020-01-01T06:00", 285.0, (6, 6))]
    assert one(Covariates.open(write_grib(tmp_path / "f.grib", runs)), "2020-01-01T12:00")[0, 0] == pytest.approx(285.0)


def test_three_hourly_instants_are_interpolated_and_longer_holes_stay(tmp_path: Path) -> None:
    instants = [message("t2m", f"2020-01-01T{h:02d}:00", 280.0 + h) for h in (0, 3, 9)]
    covariates = Covariates.open(write_grib(tmp_path / "a.grib", instants))
    values = one(covariates, *(f"2020-01-01T0{h}:00" for h in (1, 2, 4, 9)))[:, 0]
    assert values[[0, 1, 3]] == pytest.approx([281.0, 282.0, 289.0], abs=1e-3)
    assert np.isnan(values[2])
    assert "t2m: 2 hours interpolated between the stamps of the file" in covariates.report.lines()
    assert covariates.summary()["fields"]["t2m"]["missing_hours"] == 5


def test_steps_and_step_types_may_be_mixed_over_many_files_in_any_order(tmp_path: Path) -> None:
    for day in (2, 1):
        mixed = []
        for h in (13, 12):
            stamp = f"2020-01-0{day}T{h}:00"
            mixed += [message("blh", stamp, 100.0 * day + h), message("tp", stamp, 0.001 * day, (0, 1))]
        write_grib(tmp_path / f"{9 - day}.grb", mixed)
    covariates = Covariates.open(tmp_path)
    assert covariates.fields == ("tp", "blh")
    values = one(covariates, "2020-01-01T13:00", "2020-01-02T13:00", "2020-01-02T14:00")
    assert values[:, 1] == pytest.approx([113.0, 213.0, np.nan], abs=1e-2, nan_ok=True)
    assert values[:, 0] == pytest.approx([1.0, 2.0, 2.0], abs=1e-3)


def test_a_sea_without_values_leaves_the_weight_to_the_land(tmp_path: Path) -> None:
    values = plane(290.0)
    values[:, 3:] = np.nan
    covariates = Covariates.open(write_grib(tmp_path / "land.grib", [message("t2m", "2020-01-01", values)]))
    read = covariates.at(np.full(3, 49.5), np.array([7.4, 7.9, 8.5]), np.array([hour("2020-01-01")]))[0, :, 0]
    assert read[0] == pytest.approx(290.0, abs=1e-3)
    assert np.isnan(read[1:]).all()


def test_a_finer_grid_goes_first_and_a_coarser_one_fills_what_it_misses(tmp_path: Path) -> None:
    coarse = np.array([60.0, 50.0, 40.0]), np.array([0.0, 10.0, 20.0])
    write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01", 270.0)], *coarse)
    write_grib(tmp_path / "b.grib", [message("t2m", "2020-01-01", 280.0)])
    covariates = Covariates.open([tmp_path / "a.grib", tmp_path / "b.grib"])
    values = covariates.at(np.array([50.0, 45.0]), np.array([7.0, 7.0]), np.array([hour("2020-01-01")]))[0, :, 0]
    assert values == pytest.approx([280.0, 270.0])


def test_a_mixing_ratio_becomes_mass_by_the_pressure_and_temperature_at_hand(tmp_path: Path) -> None:
    chemistry = {"edition": 2, "discipline": 0, "dataDate": 20200101, "dataTime": 0, "paramId": 210121}
    chemistry |= {"typeOfLevel": "hybrid", "level": 137, "values": 2e-8}
    above = {**chemistry, "level": 100, "values": 9e-8}
    write_grib(tmp_path / "cams.grib", [above, chemistry])
    alone = Covariates.open(tmp_path / "cams.grib")
    assert one(alone, "2020-01-01")[0, 0] == pytest.approx(20 * 1.2041, rel=1e-3)
    assert any("other levels" in line for line in alone.report.lines())
    weather = [message("sp", "2020-01-01", 90000.0), message("t2m", "2020-01-01", 260.0)]
    both = Covariates.open([tmp_path / "cams.grib", write_grib(tmp_path / "era5.grib", weather)])
    values = one(both, "2020-01-01")[0][both.fields.index("no2_background")]
    assert values == pytest.approx(20 * 90000 / 287.05 / 260, rel=1e-3)


def test_the_european_ensemble_of_cams_is_known_by_its_constituents(tmp_path: Path) -> None:
    keys = {"edition": 2, "productDefinitionTemplateNumber": 40, "parameterCategory": 20, "parameterNumber": 0}
    keys |= {"dataDate": 20200101, "typeOfFirstFixedSurface": 103, "scaleFactorOfFirstFixedSurface": 0}
    keys |= {"scaledValueOfFirstFixedSurface": 0}
    held = {"pm25": (40009, 12e-9), "pm10": (40008, 20e-9), "o3": (0, 80e-9), "no2": (5, 30e-9), "co": (4, 300e-9)}
    maps = [
        {**keys, "dataTime": 100 * h, "constituentType": number, "values": plane(level * (1 + h / 10))}
        for h in (1, 2)
        for number, level in held.values()
    ]
    covariates = Covariates.open(write_grib(tmp_path / "cams.grib2", maps))
    values = dict(zip(covariates.fields, one(covariates, "2020-01-01T02:00")[0], strict=True))
    expected = {"pm25": 14.4, "pm10": 24.0, "o3": 96.0, "no2": 36.0, "co": 0.36}  # ug m-3, CO mg m-3
    assert values == {f"{key}_background": pytest.approx(value, rel=1e-4) for key, value in expected.items()}


def test_the_boundary_layer_of_gfs_and_hrrr_is_known_by_its_local_number(tmp_path: Path) -> None:
    keys = {"edition": 2, "centre": "kwbc", "localTablesVersion": 1, "discipline": 0, "parameterCategory": 3}
    keys |= {"parameterNumber": 196, "typeOfFirstFixedSurface": 1, "dataDate": 20200101, "dataTime": 0, "values": 640.0}
    covariates = Covariates.open(write_grib(tmp_path / "gfs.grib2", [keys]))
    assert covariates.fields == ("blh",) and one(covariates, "2020-01-01")[0, 0] == 640.0


def test_stamps_a_day_apart_are_warned_of_as_means_of_days_may_be_so(tmp_path: Path) -> None:
    days = [message("t2m", f"2020-01-0{day}", 280.0) for day in (1, 2, 3)]
    covariates = Covariates.open(write_grib(tmp_path / "days.grib", days))
    assert any("t2m: its stamps stand 24 h apart" in line for line in covariates.report.lines())
    hours = [message("t2m", f"2020-01-01T0{hour}:00", 280.0) for hour in (1, 2, 3)]
    hourly = Covariates.open(write_grib(tmp_path / "hours.grib", hours))
    assert not any("apart" in line for line in hourly.report.lines())


def test_temperatures_aloft_and_unknown_parameters_are_not_taken_but_counted(tmp_path: Path) -> None:
    aloft = {"indicatorOfTypeOfLevel": 100, "level": 850}
    messages = [
        message("t2m", "2020-01-01", 270.0, **aloft),
        message("sp", "2020-01-01", 99000.0, indicatorOfParameter=31),
    ]
    path = write_grib(tmp_path / "a.grib", [*messages, message("t2m", "2020-01-01", 280.0)])
    covariates = Covariates.open(path)
    assert one(covariates, "2020-01-01")[0, 0] == pytest.approx(280.0)
    assert sum(covariates.report.left_out.values()) == 2


def test_values_that_cannot_be_are_refused_with_file_message_and_value(tmp_path: Path) -> None:
    messages = [message("t2m", "2020-01-01T00:00", 280.0), message("t2m", "2020-01-01T01:00", 20.0)]
    covariates = Covariates.open(write_grib(tmp_path / "celsius.grib", messages))
    with pytest.raises(CovariatesError, match=r"celsius.grib, message 2: t2m is 20 K, outside 180 to 340"):
        one(covariates, "2020-01-01T01:00")


def test_fields_that_are_asked_for_and_absent_are_all_named(tmp_path: Path) -> None:
    path = write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01", 280.0)])
    with pytest.raises(CovariatesError, match=r"no u10, v10; they have t2m"):
        Covariates.open(path, CovariatesConfig(fields=["u10", "t2m", "v10"]))


def test_nothing_is_left_beside_the_data_and_workers_can_be_given_covariates(tmp_path: Path) -> None:
    path = write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01", plane(280.0, 1.0))])
    covariates = Covariates.open(path)
    again = pickle.loads(pickle.dumps(covariates))
    assert np.array_equal(one(again, "2020-01-01"), one(covariates, "2020-01-01"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.grib"]


def test_the_digest_follows_content_and_settings_but_not_names(tmp_path: Path) -> None:
    paths = [write_grib(tmp_path / name, [message("t2m", "2020-01-01", 280.0)]) for name in ("a.grib", "b.grib")]
    other = write_grib(tmp_path / "c.grib", [message("t2m", "2020-01-01", 280.5)])
    digests = [Covariates.open(path).digest() for path in (*paths, other)]
    assert digests[0] == digests[1] != digests[2]
    assert Covariates.open(paths[0], CovariatesConfig(max_step_hours=6)).digest() != digests[0]


def test_a_file_that_changes_while_in_use_is_noticed(tmp_path: Path) -> None:
    path = write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01", 280.0)])
    covariates = Covariates.open(path)
    write_grib(path, [message("t2m", "2020-01-01", 281.0), message("t2m", "2020-01-01T01:00", 281.0)])
    with pytest.raises(CovariatesError, match=r"a.grib was changed"):
        one(covariates, "2020-01-01")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real GRIB files are not here")
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("era5_land_us_2020-11-17T23.grib", {"u10": 165, "v10": 166, "t2m": 167, "d2m": 168, "sp": 134}),
        ("era5_blh_us_2020-11-17T23.grib", {"blh": 159}),
        ("era5_2t_europe_2017-01-01T12.grib", {"t2m": 167}),
    ],
)
def test_the_real_files_give_what_eccodes_gives_at_the_points_of_the_grid(name: str, fields: dict[str, int]) -> None:
    import eccodes

    covariates = Covariates.open(REAL / name)
    assert covariates.hourly == tuple(fields)
    with (REAL / name).open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            keys = [key for key, number in fields.items() if number == eccodes.codes_get(handle, "paramId")]
            for key in keys:
                lat, lon, values = (eccodes.codes_get_array(handle, k) for k in ("latitudes", "longitudes", "values"))
                values = np.where(values == eccodes.codes_get(handle, "missingValue"), np.nan, values)
                some = np.random.default_rng(0).choice(values.size, 500, replace=False)
                read = covariates.select([key]).at(lat[some], lon[some], covariates.hours(key))[0, :, 0]
                assert read == pytest.approx(values[some], rel=1e-5, abs=1e-4, nan_ok=True)
            eccodes.codes_release(handle)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real GRIB files are not here")
def test_the_real_era5_land_rain_of_step_23_alone_is_not_passed_off_as_one_hour() -> None:
    covariates = Covariates.open(REAL / "era5_land_us_2020-11-17T23.grib")
    assert "tp" not in covariates.fields
    assert any("tp summed over too long a period" in line for line in covariates.report.lines())


def test_the_grid_of_cells_has_the_shape_of_the_grid(tmp_path: Path) -> None:
    from aqreanalysis.grids import load_grid

    path = write_grib(tmp_path / "a.grib", [message("t2m", "2020-01-01", plane(280.0, 1.0, 0.5))])
    grid = load_grid("5.5,48.5,8.5,50.5@0.5")
    values = Covariates.open(path).grid(grid, np.array([hour("2020-01-01")]))
    assert values.shape == (1, *grid.shape, 1)
    assert values[0, :, :, 0] == pytest.approx(280 + (grid.lat[:, None] - 50) + 0.5 * (grid.lon - 7), abs=1e-3)
    assert LAT[0] > LAT[-1] and LON[0] < LON[-1]


def test_tiles_after_the_first_decode_nothing_and_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = [f"2020-01-01T{h:02d}:00" for h in range(1, 7)]
    maps = [message("t2m", stamp, plane(280 + i, 1.0, 0.5)) for i, stamp in enumerate(stamps)]
    path = write_grib(tmp_path / "a.grib", maps)
    tiles = [(np.array([48.3, 49.1]), np.array([5.2, 5.9])), (np.array([50.6]), np.array([8.4]))]
    hours = np.array([hour(stamp) for stamp in stamps])
    monkeypatch.setattr(grib, "_MAPS", BoundedCache(0))
    plain = [Covariates.open(path).at(*tile, hours) for tile in tiles]
    monkeypatch.setattr(grib, "_MAPS", BoundedCache(1 << 20, stale=4))
    decoded = []
    real = grib._decode
    monkeypatch.setattr(grib, "_decode", lambda *of: decoded.append(of[2]) or real(*of))
    covariates = Covariates.open(path)
    for tile, expected in zip(tiles, plain, strict=True):
        np.testing.assert_array_equal(covariates.at(*tile, hours), expected)
    assert decoded == [1, 2, 3, 4, 5, 6]
    # Another file under the same name is another file.
    write_grib(path, [message("t2m", stamp, plane(290 + i, 1.0, 0.5)) for i, stamp in enumerate(stamps)])
    np.testing.assert_allclose(Covariates.open(path).at(*tiles[1], hours), plain[1] + 10, atol=1e-3)
