"""Meteorology, background concentrations and static fields, from the files that people have, at stations and cells."""

from typing import TYPE_CHECKING

from aqreanalysis.common.lazy import names_on_demand

if TYPE_CHECKING:
    from aqreanalysis.covariates.covariates import Covariates
    from aqreanalysis.covariates.fields import FIELDS, Field, get_field
    from aqreanalysis.covariates.inspect import check
    from aqreanalysis.covariates.report import CovariatesReport
    from aqreanalysis.covariates.static_fields import StaticFields
    from aqreanalysis.covariates.weather import wind_components

__all__ = ["FIELDS", "Covariates", "CovariatesReport", "Field", "StaticFields", "check", "get_field", "wind_components"]

# On demand: whether a file is there is said before GDAL and ecCodes are loaded.
__getattr__, __dir__ = names_on_demand(
    __name__,
    {
        "covariates": ("Covariates",),
        "fields": ("FIELDS", "Field", "get_field"),
        "inspect": ("check",),
        "report": ("CovariatesReport",),
        "static_fields": ("StaticFields",),
        "weather": ("wind_components",),
    },
)
