"""Texts with labels, in the forms in which sets of intents are published.

file                  what it holds
CSV, TSV, JSONL       rows with ``text`` and ``label`` (or ``category``, as Banking77 calls it)
folder                ``seq.in`` and ``label``, line by line (Few-Shot-Intent-Detection, and the sets before it)
JSON of one object    all parts of a set at once: ``{"train": [[text, label], …], "val": …, "oos_test": …}`` (CLINC150)

Several files may make up one part, such as known intents in one and out-of-scope texts in another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from core.errors import InputError
from core.evaluation.datasets import Dataset, Record
from core.evaluation.loaders import Columns, load_csv, load_jsonl, read_rows, text_of

Part = Literal["train", "validation", "test"]

_LABEL_COLUMNS = ("label", "category")
_PARTS: dict[Part, tuple[str, ...]] = {  # in a JSON of all parts
    "train": ("train", "oos_train"),
    "validation": ("val", "oos_val"),
    "test": ("test", "oos_test"),
}


def load_labeled(paths: Sequence[Path], part: Part, *, name: str | None = None) -> Dataset:
    """The rows of ``paths`` one after the other; ``part`` says which are wanted of a file that holds all parts.

    Raises:
        MissingFile: no such file; in a folder, ``seq.in`` or ``label`` is not there.
        InputError: a row without text or label, lines that do not belong together, no rows; names file and row.
    """
    rows = [row for path in paths for row in _rows(path, part)]
    records = tuple(Record(str(number), text, label) for number, (text, label) in enumerate(rows))
    return Dataset(name or "+".join(path.stem for path in paths), part, records)


def _rows(path: Path, part: Part) -> list[tuple[str, str]]:
    plain = path.name.removesuffix(".gz")
    if path.is_dir():
        found = list(_lines(path))
    elif plain.endswith(".json") and (parts := _object(path)) is not None:
        found = list(_pairs(path, parts, part))
    else:
        found = _table(path, lines=plain.endswith((".jsonl", ".ndjson", ".json")))
    if not found:
        raise InputError(reason="empty_file", name=path.name)
    return found


def _table(path: Path, *, lines: bool) -> list[tuple[str, str]]:
    first = next((row for _, row in read_rows(path)), {})
    label = next((name for name in _LABEL_COLUMNS if name in first), _LABEL_COLUMNS[0])
    read = load_jsonl if lines else load_csv
    return [(r.input, str(r.label)) for r in read(path, Columns(input="text", label=label)).records]


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    texts, labels = (text_of(folder / name).removesuffix("\n").split("\n") for name in ("seq.in", "label"))
    if len(texts) != len(labels):
        raise InputError(reason="data_row", where=f"{folder.name}/label", detail=f"{len(labels)} ≠ {len(texts)}")
    for number, (text, label) in enumerate(zip(texts, labels, strict=True), 1):
        if not (label := label.strip()):
            raise InputError(reason="data_row", where=f"{folder.name}/label:{number}", detail=repr(text)[:80])
        yield text.strip(), label  # an empty text is a row, too: BANKING77-OOS has one, and its figures count it


def _object(path: Path) -> dict[str, object] | None:
    """The parts of a JSON of one object; ``None`` where each line is an object of its own."""
    try:
        tree = json.loads(text_of(path))
    except json.JSONDecodeError:
        return None
    return tree if isinstance(tree, dict) and "text" not in tree else None


def _pairs(path: Path, parts: dict[str, object], part: Part) -> Iterator[tuple[str, str]]:
    wanted = [name for name in _PARTS[part] if name in parts]
    if not wanted:
        raise InputError(reason="data_column", where=path.name, value=_PARTS[part][0], allowed=", ".join(parts))
    for name in wanted:
        rows = parts[name]
        for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
            if not (isinstance(row, list) and len(row) == 2 and all(isinstance(cell, str) and cell for cell in row)):
                raise InputError(reason="data_row", where=f"{path.name}:{name}[{number}]", detail=repr(row)[:80])
            yield row[0], row[1]
