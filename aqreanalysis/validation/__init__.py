"""A cube examined by the project's own rules and, where it is installed, by compliance-checker."""

from aqreanalysis.validation.report import Report, ValidateOptions, validate
from aqreanalysis.validation.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "Report", "Rule", "ValidateOptions", "validate"]
