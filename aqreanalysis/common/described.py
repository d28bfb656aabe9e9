"""Objects that say what they are: a few lines at a prompt, a small table in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape


class Described(ABC):
    """Gives a class its repr, and its HTML for notebooks, from `facts`."""

    @abstractmethod
    def facts(self) -> tuple[str, Sequence[tuple[str, str]]]:
        """Return what the object is in a few words, and names with values, a line each."""

    def __repr__(self) -> str:
        title, pairs = self.facts()
        width = max((len(name) for name, _ in pairs), default=0)
        return "\n".join([f"<{title}>", *(f"  {name:<{width}}  {value}" for name, value in pairs)])

    def _repr_html_(self) -> str:
        """Return the same as a table, which notebooks show."""
        title, pairs = self.facts()
        cells = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(v)}</td></tr>" for n, v in pairs)
        return f"<table><caption>{escape(title)}</caption><tbody>{cells}</tbody></table>"


def few(names: Sequence[str], most: int = 8) -> str:
    """Return names in a line, of many the first ones and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
