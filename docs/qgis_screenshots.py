"""Take the pictures of docs/qgis.md anew: a real QGIS on a screen of its own, led by Python (`make screenshots`).

The same file plays both parts. Outside QGIS it makes the styles of a cube, starts QGIS under Xvfb on the project and
waits; inside (``qgis --code``) it does what the page tells, step by step, and keeps the window after each. Needs what
``tests/clients/install.sh qgis`` installs, and the cube that ``make gallery`` makes, or another as first argument.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Pictures in the order in which they are taken.
SHOTS = ("project", "clock", "value", "layers", "layout")
SIZE = (1280, 800)
_FOLDER, _DONE = "QGIS_SHOTS", "done.txt"


def lead() -> None:
    """Do the steps in a running QGIS and keep the window after each; then end it."""
    from qgis.core import (
        QgsInterval,
        QgsLayoutItemLegend,
        QgsLayoutItemMap,
        QgsMeshLayer,
        QgsPrintLayout,
        QgsProject,
        QgsUnitTypes,
    )
    from qgis.PyQt.QtCore import QEventLoop, QRectF, Qt, QTimer
    from qgis.PyQt.QtTest import QTest
    from qgis.PyQt.QtWidgets import QDockWidget, QToolBar, QTreeView, QTreeWidget
    from qgis.utils import iface

    window, folder = iface.mainWindow(), Path(os.environ[_FOLDER])

    def wait(seconds):
        loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec_()

    def docks(right=None, width=0):
        window.resizeDocks([layers, *([right] if right else [])], [310, *([width] if right else [])], Qt.Horizontal)

    def keep(name, widget=window):
        iface.mapCanvas().refreshAllLayers()
        iface.mapCanvas().waitWhileRendering()
        wait(2)
        widget.grab().save(str(folder / f"{name}.png"))

    for dock in window.findChildren(QDockWidget):
        dock.setVisible(dock.objectName() == "Layers")
    window.resize(*SIZE)
    project = QgsProject.instance()
    mesh = next(layer for layer in project.mapLayers().values() if isinstance(layer, QgsMeshLayer))
    layers = window.findChild(QDockWidget, "Layers")
    layers.findChild(QTreeView).expandAll()
    for bar in window.findChildren(QToolBar):
        bar.setVisible(bar.objectName() in ("mFileToolBar", "mMapNavToolBar", "mAttributesToolBar"))
    wait(2)
    iface.mapCanvas().setExtent(mesh.extent().buffered(0.3))
    docks()
    keep("project")

    controller = window.findChild(QDockWidget, "Temporal Controller")
    controller.setVisible(True)
    iface.mapCanvas().temporalController().setNavigationMode(1)
    iface.mapCanvas().temporalController().setFrameDuration(QgsInterval(1, QgsUnitTypes.TemporalHours))
    wait(2)
    iface.mapCanvas().temporalController().setCurrentFrameNumber(42)
    keep("clock")

    iface.setActiveLayer(mesh)
    iface.actionIdentify().trigger()
    canvas = iface.mapCanvas()
    QTest.mouseClick(canvas.viewport(), Qt.LeftButton, Qt.NoModifier, canvas.viewport().rect().center())
    wait(2)
    results = next(dock for dock in window.findChildren(QDockWidget) if dock.windowTitle() == "Identify Results")
    docks(results, 400)
    results.findChild(QTreeWidget).setColumnWidth(0, 205)
    keep("value")

    for dock in window.findChildren(QDockWidget):
        dock.setVisible(dock.objectName() in ("Layers", "LayerStyling"))
    iface.setActiveLayer(mesh)
    docks(window.findChild(QDockWidget, "LayerStyling"), 440)
    keep("layers")

    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.setName("PM2.5")
    chart = QgsLayoutItemMap(layout)
    chart.attemptSetSceneRect(QRectF(10, 10, 195, 190))
    chart.setCrs(project.crs())
    chart.setIsTemporal(True)
    chart.setTemporalRange(iface.mapCanvas().temporalRange())
    chart.zoomToExtent(mesh.extent())
    layout.addLayoutItem(chart)
    legend = QgsLayoutItemLegend(layout)
    legend.setLinkedMap(chart)
    legend.setLegendFilterByMapEnabled(True)
    legend.setAutoUpdateModel(False)
    for layer in project.mapLayers().values():
        if layer != mesh:
            legend.model().rootGroup().removeLayer(layer)
    legend.attemptSetSceneRect(QRectF(208, 10, 85, 190))
    layout.addLayoutItem(legend)
    project.layoutManager().addLayout(layout)
    designer = iface.openLayoutDesigner(layout)
    designer.window().resize(*SIZE)
    wait(3)
    keep("layout", designer.window())
    (folder / _DONE).write_text("done")
    os._exit(0)


def take(cube: Path, out: Path) -> list[Path]:
    """Return the pictures of a cube in QGIS, in `out`.

    Raises
    ------
    SystemExit
        If a program is not there, or QGIS ends before the last picture.
    """
    from PIL import Image

    missing = [name for name in ("qgis", "xvfb-run") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not found: bash tests/clients/install.sh qgis")
    work = cube.resolve().parent / "qgis"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    copied = shutil.copy(cube, work / "cube.nc")
    subprocess.run([sys.executable, "-m", "aqreanalysis.cli", "style", copied], check=True)
    screen = f"-screen 0 {SIZE[0]}x{SIZE[1]}x24"
    command = ["xvfb-run", "-a", "-s", screen, "qgis", "--nologo", "--noversioncheck", "--profiles-path", str(work)]
    command += ["--project", str(work / "cube.pm2p5.qgs"), "--code", __file__]
    done = subprocess.run(command, env=os.environ | {_FOLDER: str(work)}, timeout=230, capture_output=True, text=True)
    if not (work / _DONE).exists():
        raise SystemExit(f"QGIS ended with {done.returncode} before the last picture:\n{done.stderr[-2000:]}")
    out.mkdir(exist_ok=True)
    for name in SHOTS:
        with Image.open(work / f"{name}.png") as picture:
            picture.convert("RGB").save(out / f"{name}.png", optimize=True)
    return [out / f"{name}.png" for name in SHOTS]


if _FOLDER in os.environ:
    lead()
elif __name__ == "__main__":
    here = Path(__file__).resolve().parent
    given = sys.argv[1:] or [str(here.parent / "outputs" / "gallery" / "cube_hourly.nc")]
    for path in take(Path(given[0]), here / "qgis"):
        print(path, path.stat().st_size)
