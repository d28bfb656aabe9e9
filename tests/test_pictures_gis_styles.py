"""Styles, project and colour table: their content, and (slow) what a real headless QGIS draws with them."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from export_case import Cubes, copy_cube
from PIL import Image

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import write_companions

_RENDER = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.PyQt.QtCore import QDateTime, QSize, Qt
from qgis.PyQt.QtGui import QColor
from qgis.core import *
app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
print("read", project.read(sys.argv[1]))
layers = {layer.name(): layer for layer in project.mapLayers().values()}
for name, layer in layers.items():
    print("layer", name, layer.isValid(), layer.crs().authid())
mesh = next(l for l in layers.values() if isinstance(l, QgsMeshLayer))
raster = next(l for l in layers.values() if isinstance(l, QgsRasterLayer))
group = mesh.rendererSettings().activeScalarDatasetGroup()
print("group", mesh.datasetGroupMetadata(QgsMeshDatasetIndex(group, 0)).name())
print("temporal", mesh.temporalProperties().isActive(),
      project.timeSettings().temporalRange().begin().toString(Qt.ISODate))
def draw(layer, hour, out):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setOutputSize(QSize(500, 400))
    settings.setBackgroundColor(QColor("white"))
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    begin = project.timeSettings().temporalRange().begin().addSecs(3600 * hour)
    settings.setTemporalRange(QgsDateTimeRange(begin, begin.addSecs(3600)))
    settings.setIsTemporal(True)
    job = QgsMapRendererSequentialJob(settings)
    job.start(); job.waitForFinished()
    job.renderedImage().save(out)
draw(mesh, 3, sys.argv[2] + "/mesh3.png")
draw(mesh, 40, sys.argv[2] + "/mesh40.png")
draw(raster, 3, sys.argv[2] + "/raster.png")
sys.stdout.flush()
os._exit(0)
"""


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
    fields = {"band": "1", "begin": "2019-01-02T00:30:00Z", "end": "2019-01-02T01:30:00Z"}
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


@pytest.mark.slow
def test_a_real_qgis_opens_the_project_and_draws_its_classes(cubes: Cubes, tmp_path: Path) -> None:
    python = "/usr/bin/python3"
    if not shutil.which(python) or subprocess.run([python, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("no QGIS with Python here: apt-get install --no-install-recommends qgis python3-qgis")
    cube = copy_cube(cubes.two, tmp_path)
    with CubeSource(cube) as source:
        write_companions(source, tmp_path, "who")
    command = [python, "-c", _RENDER, tmp_path / "two.pm2p5.qgs", tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "read True" in said.stdout, said.stdout + said.stderr
    assert said.stdout.count("True EPSG:4326") == 2
    assert "group PM2.5 mass concentration" in said.stdout and "temporal True 2019-01-02T00:30:00" in said.stdout
    early, late, raster = (
        np.asarray(Image.open(tmp_path / f"{n}.png").convert("RGB")) for n in ("mesh3", "mesh40", "raster")
    )
    assert not np.array_equal(early, late)
    legend = ET.parse(tmp_path / "two.pm2p5.raster.qml").getroot().findall(".//item")
    classes = {tuple(int(item.get("color")[i : i + 2], 16) for i in (1, 3, 5)) for item in legend}
    for picture in (early, late, raster):
        shown = {tuple(pixel) for pixel in picture[150:250, 250:350].reshape(-1, 3).tolist()}
        assert shown & classes
