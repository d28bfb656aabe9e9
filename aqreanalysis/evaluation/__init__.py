"""Skill at stations that the model never saw: splits, baselines, scores, the report."""
