"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Called now and then as ``progress(done, total, note)``: what is done and how much there is, in whatever the work
#: counts, and a few words on it. Where `done` falls back, another stage has begun.
Progress = Callable[[int, int, str], None]
