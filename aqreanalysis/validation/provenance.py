"""Rules of provenance: where the cube says it comes from, its ledger, and what catalogues would like to know."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from aqreanalysis.common.remote import RemotePath
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import rule

_METADATA = re.compile(r"(^|/)(zarr\.json|\.z\w+)$")
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Discovery attributes that ACDD recommends -> how they are set.
WANTED = (
    "title",
    "summary",
    "keywords",
    "id",
    "naming_authority",
    "license",
    "institution",
    "creator_name",
    "creator_email",
    "creator_url",
    "publisher_name",
    "publisher_email",
    "publisher_url",
    "project",
    "acknowledgement",
    "references",
    "comment",
    "product_version",
)


@rule("fingerprint", "error", "without the digests of model and observations nobody can say what made the numbers")
def fingerprint(cube: RawCube) -> Iterator[str]:
    attrs = cube.raw.attrs
    for key in ("model_digest", "observations_digest"):
        digest = str(attrs.get(key, ""))
        if not _DIGEST.fullmatch(digest):
            yield f"{key} is {digest!r}; it is a sha256 of 64 hexadecimal digits"
        elif digest not in str(attrs.get("source", "")):
            yield f"source does not name the {key} {digest[:16]}"
    if not attrs.get("history"):
        yield "there is no history"


@rule("model", "error", "a cube that another model made must not be published under this one's scores")
def model(cube: RawCube) -> Iterator[str]:
    if cube.model is None:
        return
    from aqreanalysis.model.bundle import read_bundle

    digest = read_bundle(cube.model).digest
    if cube.raw.attrs.get("model_digest") != digest:
        made_by = str(cube.raw.attrs.get("model_digest", ""))[:16]
        yield f"the cube was made by model {made_by or '(unsaid)'}, and {cube.model} is {digest[:16]}"


@rule("history", "warning", "history tells what was done to a cube after it was made")
def history(cube: RawCube) -> Iterator[str]:
    lines = str(cube.raw.attrs.get("history", "")).splitlines()
    for line in lines:
        if not re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}|\w{3} \w{3} +\d+ [\d:]+ \d{4}: ", line):
            yield f"history has a line without a moment: {line[:60]!r}"


@rule("ledger", "error", "a run that is not finished has blocks that nobody computed")
def ledger(cube: RawCube) -> Iterator[str]:
    if isinstance(cube.path, RemotePath):
        return  # who writes a cube in a bucket keeps the ledger at home
    part = cube.path.with_name(cube.path.name + ".part")
    if not part.exists():
        return
    ledger_path = part / "ledger.jsonl"
    if not ledger_path.exists():
        yield f"{part} is left of a run that never began; remove it"
        return
    # Read only: `production.resume.ledger.Ledger` mends a cut file, and a running process may be writing it.
    entries = [_entry(line) for line in ledger_path.read_text(encoding="utf-8", errors="replace").splitlines()]
    blocks = {entry["block"] for entry in entries if isinstance(entry.get("block"), int)}
    runs = (entry["fingerprint"] for entry in entries if isinstance(entry.get("fingerprint"), dict))
    run: dict[str, Any] = next(runs, {})
    same = run.get("model") == cube.raw.attrs.get("model_digest")
    whose = "the same model" if same else f"model {str(run.get('model', 'unknown'))[:16]}"
    yield f"{part} holds an unfinished run of {whose}, {len(blocks)} blocks done; repeat its command or remove it"


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


@rule("zarr-chunks", "error", "a chunk that is not there reads as missing data: produce writes every one")
def zarr_chunks(cube: RawCube) -> Iterator[str]:
    if cube.is_netcdf or cube.names_stored is None:
        return
    inside = Counter(name.partition("/")[0] for name in cube.names_stored if not _METADATA.search(name))
    for name in cube.layers:
        shape, chunk = cube.raw[name].shape, cube.chunks(name)
        wanted = int(np.prod([-(-n // c) for n, c in zip(shape, chunk, strict=True)]))
        if inside[name] < wanted:
            yield f"{name} has {inside[name]} of {wanted} chunks"


@rule("acdd", "advice", "ACDD would like it; a catalogue shows it, and nothing is made up for you")
def acdd(cube: RawCube) -> Iterator[str]:
    lacking = [key for key in WANTED if not str(cube.raw.attrs.get(key, "")).strip()]
    if lacking:
        also = " and so on" if len(lacking) > 1 else ""
        yield f"not set: {', '.join(lacking)}; produce with --set metadata.{lacking[0]}=...{also}"
