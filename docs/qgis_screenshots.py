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


if _FOLDER in os.environ:  # within QGIS
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


class Lead:
    """The steps in a running QGIS, each named as the picture of the window after it."""

    def __init__(self) -> None:
        self.window, self.canvas, self.qgis = iface.mainWindow(), iface.mapCanvas(), QgsProject.instance()
        self.mesh = next(layer for layer in self.qgis.mapLayers().values() if isinstance(layer, QgsMeshLayer))
        self.panel = self.window.findChild(QDockWidget, "Layers")

    def run(self, folder: Path) -> None:
        """Do all steps and keep a picture of each."""
        for name in SHOTS:
            widget = getattr(self, name)() or self.window
            self.canvas.refreshAllLayers()
            self.canvas.waitWhileRendering()
            self.wait(2)
            widget.grab().save(str(folder / f"{name}.png"))

    def wait(self, seconds: float) -> None:
        """Let QGIS work meanwhile."""
        loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec_()

    def docks(self, right=None, width: int = 0) -> None:
        """Give the layers' panel, and one at the right, their widths."""
        both = [self.panel, *([right] if right else [])]
        self.window.resizeDocks(both, [310, width][: len(both)], Qt.Horizontal)

    def project(self) -> None:
        """Open the project, with few panels."""
        for dock in self.window.findChildren(QDockWidget):
            dock.setVisible(dock.objectName() == "Layers")
        self.window.resize(*SIZE)
        self.panel.findChild(QTreeView).expandAll()
        for bar in self.window.findChildren(QToolBar):
            bar.setVisible(bar.objectName() in ("mFileToolBar", "mMapNavToolBar", "mAttributesToolBar"))
        self.wait(2)
        self.canvas.setExtent(self.mesh.extent().buffered(0.3))
        self.docks()

    def clock(self) -> None:
        """Step through the hours."""
        self.window.findChild(QDockWidget, "Temporal Controller").setVisible(True)
        controller = self.canvas.temporalController()
        controller.setNavigationMode(1)
        controller.setFrameDuration(QgsInterval(1, QgsUnitTypes.TemporalHours))
        self.wait(2)
        controller.setCurrentFrameNumber(42)

    def value(self) -> None:
        """Ask for the values at the middle."""
        iface.setActiveLayer(self.mesh)
        iface.actionIdentify().trigger()
        middle = self.canvas.viewport().rect().center()
        QTest.mouseClick(self.canvas.viewport(), Qt.LeftButton, Qt.NoModifier, middle)
        self.wait(2)
        docks = self.window.findChildren(QDockWidget)
        results = next(dock for dock in docks if dock.windowTitle() == "Identify Results")
        self.docks(results, 400)
        results.findChild(QTreeWidget).setColumnWidth(0, 205)

    def layers(self) -> None:
        """Choose the layer and its colours."""
        for dock in self.window.findChildren(QDockWidget):
            dock.setVisible(dock.objectName() in ("Layers", "LayerStyling"))
        iface.setActiveLayer(self.mesh)
        self.docks(self.window.findChild(QDockWidget, "LayerStyling"), 440)

    def layout(self):
        """Lay out a page with map and legend; return its window."""
        page = QgsPrintLayout(self.qgis)
        page.initializeDefaults()
        page.setName("PM2.5")
        chart = QgsLayoutItemMap(page)
        chart.attemptSetSceneRect(QRectF(10, 10, 195, 190))
        chart.setCrs(self.qgis.crs())
        chart.setIsTemporal(True)
        chart.setTemporalRange(self.canvas.temporalRange())
        chart.zoomToExtent(self.mesh.extent())
        page.addLayoutItem(chart)
        legend = QgsLayoutItemLegend(page)
        legend.setLinkedMap(chart)
        legend.setLegendFilterByMapEnabled(True)
        legend.setAutoUpdateModel(False)
        for layer in self.qgis.mapLayers().values():
            if layer != self.mesh:
                legend.model().rootGroup().removeLayer(layer)
        legend.attemptSetSceneRect(QRectF(208, 10, 85, 190))
        page.addLayoutItem(legend)
        self.qgis.layoutManager().addLayout(page)
        designer = iface.openLayoutDesigner(page)
        designer.window().resize(*SIZE)
        self.wait(3)
        return designer.window()


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
    Lead().run(Path(os.environ[_FOLDER]))
    (Path(os.environ[_FOLDER]) / _DONE).write_text("done")
    os._exit(0)
elif __name__ == "__main__":
    here = Path(__file__).resolve().parent
    given = sys.argv[1:] or [str(here.parent / "outputs" / "gallery" / "cube_hourly.nc")]
    for path in take(Path(given[0]), here / "qgis"):
        print(path, path.stat().st_size)
