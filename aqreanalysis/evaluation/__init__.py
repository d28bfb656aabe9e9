"""Skill at stations that the model never saw: baselines, scores, the report.

Names are imported from their modules when first used: scoring a table loads no plotting library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.evaluation.against_truth import score_against_truth, truth_table
    from aqreanalysis.evaluation.compare_cube import compare, comparison_table
    from aqreanalysis.evaluation.options import PROTOCOLS, EvaluationOptions, FoldOptions
    from aqreanalysis.evaluation.pictures import picture_field, picture_truth
    from aqreanalysis.evaluation.run import evaluate
    from aqreanalysis.evaluation.tables import format_table, score_table, table_rows

__all__ = [
    "PROTOCOLS",
    "EvaluationOptions",
    "FoldOptions",
    "compare",
    "comparison_table",
    "evaluate",
    "format_table",
    "picture_field",
    "picture_truth",
    "score_against_truth",
    "score_table",
    "table_rows",
    "truth_table",
]

__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "against_truth": ("score_against_truth", "truth_table"),
        "compare_cube": ("compare", "comparison_table"),
        "options": ("PROTOCOLS", "EvaluationOptions", "FoldOptions"),
        "pictures": ("picture_field", "picture_truth"),
        "run": ("evaluate",),
        "tables": ("format_table", "score_table", "table_rows"),
    },
)
