"""Covariates and static fields as callers give them: opened already, or as paths still to be opened."""

from __future__ import annotations

from typing import TypeVar

from aqreanalysis.configs import CovariatesConfig, DriftConfig
from aqreanalysis.covariates.covariates import Covariates, PathLike
from aqreanalysis.covariates.static_fields import StaticFields
from aqreanalysis.errors import CovariatesError, wrong_type
from aqreanalysis.model.distribution.external_drift import StaticSource
from aqreanalysis.model.network.scaling import FieldSource, Paths

Fields = TypeVar("Fields", bound=FieldSource)
Static = TypeVar("Static", bound=StaticSource)


def as_covariates(given: Fields | Paths | None, config: CovariatesConfig, trained: bool) -> Fields | Covariates | None:
    """Return covariates as they were given, or opened from their paths as the config says; None for None.

    Parameters
    ----------
    given : fields, paths or None
        What was opened, or where it is.
    config : CovariatesConfig
        How the files are read.
    trained : bool
        Whether it is of a trained model, which takes its own fields of those in the files.

    Raises
    ------
    CovariatesError
        If it is none of these, or the files cannot be read.
    """
    paths = paths_of(given, "covariates", "Covariates.open", "at")
    if paths is None:
        return given  # type: ignore[return-value]  # no paths, so fields or None
    return Covariates.open(paths, config.model_copy(update={"fields": None}) if trained else config)


def as_static(given: Static | Paths | None, config: DriftConfig, trained: bool) -> Static | StaticFields | None:
    """Return static fields as they were given, or opened from their paths; arguments and errors as `as_covariates`."""
    paths = paths_of(given, "static fields", "StaticFields.open", "means")
    if paths is None:
        return given  # type: ignore[return-value]  # no paths, so fields or None
    return StaticFields.open(paths, config, some=trained)


def paths_of(given: object, what: str, opener: str, method: str) -> list[PathLike] | None:
    """Return the paths that are given; None for nothing, and for an object that has the method of what is opened.

    Raises
    ------
    CovariatesError
        If it is none of these.
    """
    if given is None or hasattr(given, method):
        return None
    parts = list(given) if isinstance(given, list | tuple) else [given]
    paths = [part for part in parts if isinstance(part, PathLike)]
    if not parts or len(paths) < len(parts):
        raise wrong_type(what, given, f"a path, several, or what {opener} returned", CovariatesError)
    return paths
