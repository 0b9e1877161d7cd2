"""What an index says of itself: metadata and types of columns, checked against what `embed` writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import UsageError
from cardioloom.records import printable

if TYPE_CHECKING:
    import pyarrow as pa

OWN = "cardioloom."  # before the names of the metadata
NEEDED = ("model", "model_sha256", "modality")
MAKE_ONE = "write one with cardioloom embed MODEL COHORT INDEX.parquet"
# Columns of `embed` that are read here, with what they hold; further ones, and those of labels, are the cohort's.
TEXT, NUMBER, VECTOR = "text", "numbers", "vectors of one width"
COLUMNS = {"study_id": TEXT, "patient_id": TEXT, "embedding": VECTOR, "age": NUMBER, "sex": TEXT}
OTHERS = ("file", "n_windows", "warnings")  # of `embed` too: no labels
MAX_SHOWN = 60  # characters of a value in a message


def said_by(path: Path, schema: pa.Schema) -> tuple[dict[str, str], dict[str, Mapping[str, Any]], int]:
    """Metadata without the prefix, labels, width of the embeddings.

    Raises:
        UsageError: if something is missing, or of another kind than `embed` writes.
    """
    facts = _facts(path, schema.metadata or {})
    lacks = [OWN + name for name in NEEDED if name not in facts]
    lacks += [f"column {name}" for name in COLUMNS if name not in schema.names]
    if lacks:
        raise UsageError(f"{path} is no index, it lacks {', '.join(lacks)}: {MAKE_ONE}")
    if double := [name for name, n in Counter(schema.names).items() if n > 1]:
        raise UsageError(f"{path} is no index, it has several columns {double[0][:MAX_SHOWN]!r}: {MAKE_ONE}")
    for name, wanted in COLUMNS.items():
        _check(path, schema.field(name), wanted)
    return facts, _labels(path, schema, facts), schema.field("embedding").type.list_size


def options_of(path: Path, facts: Mapping[str, str]) -> dict[str, Any]:
    """What `embed` was told: among others ``lead``, a text or None.

    Raises:
        UsageError: if it is of another kind.
    """
    options = _loaded(path, facts, "options")
    lead = options.get("lead")
    if lead is not None and not isinstance(lead, str):
        raise UsageError(f"{path} is no index, its {OWN}options name the lead {lead!r:.{MAX_SHOWN}}: {MAKE_ONE}")
    return options


def _facts(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    own = {key: value for key, value in metadata.items() if key.startswith(OWN.encode())}
    try:
        return {key.decode().removeprefix(OWN): printable(value.decode()) for key, value in own.items()}
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no index, its metadata is no text in UTF-8: {MAKE_ONE}") from error


def _labels(path: Path, schema: pa.Schema, facts: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Of the columns that are there."""
    labels = {}
    for name, known in _loaded(path, facts, "labels").items():
        kind = known.get("kind") if isinstance(known, Mapping) else None
        if not isinstance(kind, str):
            raise UsageError(f"{path} is no index, its {OWN}labels do not say what {name[:MAX_SHOWN]!r} is: {MAKE_ONE}")
        if name in schema.names and name not in (*COLUMNS, *OTHERS):
            _check(path, schema.field(name), NUMBER if kind == "number" else "")
            labels[name] = known
    return labels


def _loaded(path: Path, facts: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        said = json.loads(facts.get(name, "{}"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no index, its {OWN}{name} is no JSON: {MAKE_ONE}") from error
    if not isinstance(said, dict):
        raise UsageError(f"{path} is no index, its {OWN}{name} is no mapping of names: {MAKE_ONE}")
    return said


def _check(path: Path, field: pa.Field, wanted: str) -> None:
    """Refuse a column of another kind; "" stands for texts or numbers."""
    import pyarrow.types as types

    kind = field.type
    is_text = types.is_string(kind) or types.is_large_string(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if wanted == VECTOR:
        fits = types.is_fixed_size_list(kind) and types.is_floating(kind.value_type) and kind.list_size > 0
    else:
        fits = types.is_null(kind) or (is_text and wanted != NUMBER) or (is_number and wanted != TEXT)
    if not fits:
        what = f"its column {field.name[:MAX_SHOWN]!r} holds {printable(str(kind))[:MAX_SHOWN]}"
        raise UsageError(f"{path} is no index, {what}, no {wanted or 'texts or numbers'}: {MAKE_ONE}")
