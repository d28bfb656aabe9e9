"""A project of ``aqreanalysis style`` in a headless QGIS: ``qgis_project.py PROJECT PICTURE LON,LAT ...`` prints JSON.

Run with the Python that has QGIS. The temporal controller is set as the project says and stepped through; at each frame
the value that the mesh shows at each place is read. A print layout of map and legend is printed to PICTURE.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsInterval,
    QgsLayerTreeModel,
    QgsLayoutExporter,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsMeshDatasetIndex,
    QgsMeshLayer,
    QgsPointXY,
    QgsPrintLayout,
    QgsProject,
    QgsTemporalNavigationObject,
)
from qgis.PyQt.QtCore import QRectF, Qt


def steps(project, mesh, places):
    """Return of each frame its beginning, the number of the step that is shown, and the values at the places."""
    settings = project.timeSettings()
    clock = QgsTemporalNavigationObject()
    clock.setTemporalExtents(settings.temporalRange())
    clock.setFrameDuration(QgsInterval(settings.timeStep(), settings.timeStepUnit()))
    clock.setNavigationMode(QgsTemporalNavigationObject.Animated)
    mesh.updateTriangularMesh(QgsCoordinateTransform())
    shown = []
    for number in range(clock.totalFrameCount()):
        span = clock.dateTimeRangeForFrameNumber(number)
        index = mesh.activeScalarDatasetAtTime(span)
        values = [mesh.datasetValue(index, QgsPointXY(*place), 0.0).scalar() for place in places]
        shown.append([span.begin().toString(Qt.ISODate), index.dataset() if index.isValid() else None, values])
    return shown


def print_layout(project, mesh, path):
    """Print the first frame with a legend; return whether it went well."""
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    chart = QgsLayoutItemMap(layout)
    chart.attemptSetSceneRect(QRectF(10, 10, 180, 190))
    chart.setCrs(project.crs())
    chart.zoomToExtent(mesh.extent())
    layout.addLayoutItem(chart)
    legend = QgsLayoutItemLegend(layout)
    legend.setLinkedMap(chart)
    legend.attemptSetSceneRect(QRectF(200, 10, 90, 190))
    layout.addLayoutItem(legend)
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = 60
    return QgsLayoutExporter(layout).exportToImage(path, settings) == QgsLayoutExporter.Success


def main() -> None:
    """Open, step through, print."""
    application = QgsApplication([], False)
    application.initQgis()
    project = QgsProject.instance()
    opened = project.read(sys.argv[1])
    places = [tuple(map(float, text.split(","))) for text in sys.argv[3:]]
    mesh = next(layer for layer in project.mapLayers().values() if isinstance(layer, QgsMeshLayer))
    node = project.layerTreeRoot().findLayer(mesh.id())
    legend = QgsLayerTreeModel(project.layerTreeRoot())
    group = mesh.rendererSettings().activeScalarDatasetGroup()
    said = {
        "qgis": Qgis.QGIS_VERSION,
        "opened": opened,
        "crs": [project.crs().isValid(), project.crs().authid()],
        "layers": {layer.name(): [layer.isValid(), layer.crs().authid()] for layer in project.mapLayers().values()},
        "group": mesh.datasetGroupMetadata(QgsMeshDatasetIndex(group, 0)).name(),
        "legend": [entry.data(Qt.DisplayRole) for entry in legend.layerLegendNodes(node)],
        "steps": steps(project, mesh, places),
        "printed": print_layout(project, mesh, sys.argv[2]),
    }
    print("JSON" + json.dumps(said))
    sys.stdout.flush()
    # QGIS is known to crash as it tears itself down without a screen.
    os._exit(0)


main()
