"""Meteorology, background concentrations and static fields, from the files that people have, at stations and cells."""

from aqreanalysis.covariates.covariates import Covariates
from aqreanalysis.covariates.fields import FIELDS, Field, get_field
from aqreanalysis.covariates.inspect import check
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.static_fields import StaticFields
from aqreanalysis.covariates.weather import wind_components

__all__ = ["FIELDS", "Covariates", "CovariatesReport", "Field", "StaticFields", "check", "get_field", "wind_components"]
