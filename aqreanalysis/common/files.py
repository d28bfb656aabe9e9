"""Files of JSON that a reader never sees half written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.errors import OutputError


def plain(value: Any) -> Any:
    """Return `value` in types that JSON knows: numpy scalars become numbers, and what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write `content` under a temporary name beside `path`, then rename: a reader never sees half of it."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path
