"""Pictures of an evaluation and of a cube, as PNG files, each with what it shows in words and in numbers."""

from __future__ import annotations

from aqreanalysis.evaluation.pictures.draw import draw_pictures
from aqreanalysis.evaluation.pictures.fields import picture_field, picture_truth
from aqreanalysis.evaluation.pictures.network import ModelInternals, inspect_model
from aqreanalysis.evaluation.pictures.style import Picture

__all__ = ["ModelInternals", "Picture", "draw_pictures", "inspect_model", "picture_field", "picture_truth"]
