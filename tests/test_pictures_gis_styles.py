"""Styles, project and colour table: their content."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from export_case import Cubes

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import write_companions


def test_the_four_files_name_the_layer_its_classes_and_its_hours(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.two) as source:
        written = write_companions(source, tmp_path, "who")
        steps = source.dataset.sizes["time"]
    assert [p.name for p in written] == [f"two.pm2p5.{e}" for e in ("raster.qml", "cpt", "mesh.qml", "qgs")]
    raster, mesh, project = (ET.parse(written[i]).getroot() for i in (0, 2, 3))
    items = raster.findall(".//colorrampshader/item")
    assert [item.get("value") for item in items] == ["15", "25", "37.5", "50", "75", "inf"]
    # As QGIS 3.38 reads it: mode FixedRangePerBand of RasterTemporalMode in its qgis.h, a range a band.
    assert raster.find("temporal").get("mode") == "3"
    ranges = raster.findall("temporal/ranges/range")
    assert len(ranges) == steps
    fields = {"band": "1", "begin": "2019-01-02T00:00:00Z", "end": "2019-01-02T01:00:00Z"}
    assert ranges[0].attrib == {**fields, "includeBeginning": "1", "includeEnd": "0"}
    # QGIS sorts a mesh's groups by name: ozone first, then PM2.5.
    assert mesh.find("mesh-renderer-settings/active-dataset-group").get("scalar") == "1"
    assert [layer.get("type") for layer in project.findall("projectlayers/maplayer")] == ["mesh", "raster"]
    assert "two.nc" in project.find(".//maplayer/datasource").text
    table = [line.split() for line in written[1].read_text().splitlines() if line[0].isdigit()]
    assert [row[0] for row in table] == ["0", "15", "25", "37.5", "50", "75"] and table[-1][4] == "100"


def test_a_store_has_the_style_of_a_raster_and_no_project_that_would_not_open(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        written = write_companions(source, tmp_path, "who")
    assert [p.name for p in written] == ["one.pm2p5.raster.qml", "one.pm2p5.cpt"]
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_what_exists_is_replaced_only_when_told(cubes: Cubes, tmp_path: Path) -> None:
    with CubeSource(cubes.one) as source:
        write_companions(source, tmp_path, "even")
        with pytest.raises(OutputError, match="--overwrite"):
            write_companions(source, tmp_path, "us")
        write_companions(source, tmp_path, "us", overwrite=True)
    assert "US AQI" in (tmp_path / "one.pm2p5.cpt").read_text()
