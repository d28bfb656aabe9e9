"""The model that comes with the package: for any network, without a training.

`python -m aqreanalysis.pretrained.make` makes it anew from a seed; the card in the bundle says from what. Calibrate it
on the network at hand before its numbers are used: `aqreanalysis.training.recalibrate.recalibrate`.
"""

from __future__ import annotations

from pathlib import Path

#: The bundle. A plain folder beside this file, as the package is installed.
FOLDER = Path(__file__).parent / "bundle"
