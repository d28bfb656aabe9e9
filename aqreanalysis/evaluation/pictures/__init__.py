"""Pictures of an evaluation and of a cube, as PNG files, each with what it shows in words and in numbers."""

from __future__ import annotations

from aqreanalysis.evaluation.pictures.draw import draw_pictures
from aqreanalysis.evaluation.pictures.fields import picture_field, picture_truth
from aqreanalysis.evaluation.pictures.network import Inside, look_inside
from aqreanalysis.evaluation.pictures.style import Picture

__all__ = ["Inside", "Picture", "draw_pictures", "look_inside", "picture_field", "picture_truth"]
