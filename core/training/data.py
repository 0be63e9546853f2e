"""Rows to learn from: CSV, TSV, JSONL or plain text by column mapping, each row a ``Record`` that says where it stood.

kind             columns (``ours``)                               the record
classification   ``text``, ``label``                              input, label
pairs            ``anchor``, ``positive``;                        input, answers
                 ``negatives`` (optional, one or a list)          texts that look right and are not, in the metadata
conversations    ``messages``, or ``prompt`` and ``completion``   input (all before the last answer), answers, metadata;
                 ``expected`` (optional)                          words that a right answer must hold
preferences      ``prompt`` (text or messages), ``chosen`` and    input, answers (both, "" for one that is missing),
                 ``rejected``; a row may have one of them         metadata
entities         ``text``, ``entities``: a list of ``start``,     input, metadata
                 ``end`` (characters) and ``label``
text             ``text``; a ``.txt`` or ``.md`` by paragraph     input

Reading never stops at a row that lacks something: such rows are left out and told in a :class:`Finding`. What makes the
whole file useless (wrong columns, no rows, no text encoding) is an error.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError, MissingFile
from core.evaluation.datasets import Dataset, Record
from core.evaluation.loaders import read_rows
from core.i18n import message

Kind = Literal["classification", "pairs", "conversations", "preferences", "entities", "text"]
Severity = Literal["error", "warning", "note"]

COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("text", "label"),
    "pairs": ("anchor", "positive"),
    "conversations": ("messages",),
    "preferences": ("prompt", "chosen", "rejected"),
    "entities": ("text", "entities"),
    "text": ("text",),
}
PAIR_OF_TURNS = ("prompt", "completion")  # a conversation in two columns
NEGATIVES = "negatives"  # a column that pairs may have
MORE: Mapping[Kind, tuple[str, ...]] = {"conversations": PAIR_OF_TURNS, "pairs": (NEGATIVES,)}  # may be named, too
ROLES = ("system", "user", "assistant")
LONG = 8_000  # characters: more than the small models of the recipes read
LONGEST = 20_000  # characters kept of a text; no recipe reads so far
SHOWN = 5  # places named in a finding
_PLAIN = (".txt", ".md")
_BROKEN = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data worth knowing before it is learned from. ``where`` names the first rows."""

    code: str
    severity: Severity
    count: int = 0
    where: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self, language: str) -> str:
        rows = ", ".join(self.where) + (" …" if self.count > len(self.where) else "")
        return message(f"training.finding.{self.code}", language, count=self.count, where=rows, **self.params)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file held. ``rows`` counts all rows, ``data`` holds those that can be used."""

    kind: Kind
    rows: int
    data: Dataset
    findings: tuple[Finding, ...]


def read(path: Path, kind: Kind, *, columns: Mapping[str, str] | None = None, split: str = "all") -> Reading:
    """Read ``path``; ``columns`` maps our names of a kind's columns to the file's.

    Raises:
        MissingFile: no such file.
        InputError: ``columns_missing`` (names those there are), ``no_rows``, ``bad_encoding``, ``bad_json``, ``data_row``.
    """
    if not path.is_file():
        raise MissingFile(path=str(path), needed_for="train")
    if mixed := _mixed_encodings(path):
        empty = Dataset(path.stem, split, ())
        return Reading(kind, 0, empty, (Finding("mixed_encodings", "error", len(mixed), tuple(mixed[:SHOWN])),))
    if kind == "text" and path.suffix.lower() in _PLAIN:
        rows: Sequence[tuple[str, Mapping[str, Any]]] = list(_paragraphs(path))
        names = {"text": "text"}
    else:
        rows = list(read_rows(path))
        names = _names(rows, kind, columns or {}, path)
    records, notes = [], _Notes()
    for number, (where, row) in enumerate(rows):
        record = _record(str(number), where, row, kind, names, notes)
        if record is not None:
            records.append(record)
    if not rows or (not records and not notes.places):
        raise InputError(reason="no_rows", name=path.name)
    return Reading(kind, len(rows), Dataset(path.stem, split, tuple(records)), notes.findings())


def columns_of(path: Path) -> list[str]:
    """The names of the columns of a table, none for plain text.

    Raises:
        InputError: as :func:`read`.
    """
    if path.suffix.lower() in _PLAIN:
        return []
    first = (row for _, row in itertools.islice(read_rows(path), 100))
    return list(dict.fromkeys(name for row in first for name in row if name))


def fold(text: str) -> str:
    """The form in which near-duplicates are equal: letters and digits alone, digits as one.

    >>> fold("Order #1234 is LATE!") == fold("order 77 is late")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\d+", "0", "".join(c if c.isalnum() else " " for c in folded)).replace(" ", "") or text


def conversation(record: Record) -> list[dict[str, str]]:
    """The messages of a record of the kind ``conversations``."""
    return [dict(turn) for turn in record.metadata["messages"]]


# --- rows -----------------------------------------------------------------------------------------


class _Notes:
    """Places by finding, gathered while rows are read."""

    _SEVERITY: Mapping[str, Severity] = {"missing_text": "warning", "missing_label": "warning", "bad_turns": "warning"}

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}

    def add(self, code: str, where: str) -> None:
        self.places.setdefault(code, []).append(where)

    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(code, self._SEVERITY.get(code, "warning"), len(places), tuple(places[:SHOWN]))
            for code, places in self.places.items()
        )


def _names(
    rows: Sequence[tuple[str, Mapping[str, Any]]], kind: Kind, columns: Mapping[str, str], path: Path
) -> dict[str, str]:
    """The file's name of each of our columns."""
    if not rows:
        raise InputError(reason="no_rows", name=path.name)
    wanted = COLUMNS[kind]
    there = list(dict.fromkeys(name for _, row in rows[:100] for name in row if name))
    if kind == "conversations" and columns.get("messages", "messages") not in there:
        wanted = PAIR_OF_TURNS
    if unknown := sorted(columns.keys() - set(COLUMNS[kind]) - set(MORE.get(kind, ()))):
        raise InputError(reason="bad_value", name="--column", value=", ".join(unknown), allowed=", ".join(COLUMNS[kind]))  # fmt: skip
    named = {ours: columns.get(ours, ours) for ours in (*wanted, *(columns.keys() & {NEGATIVES}))}
    missing = [theirs for theirs in named.values() if theirs not in there]
    if kind == "preferences" and len({named["chosen"], named["rejected"]} & set(there)) == 1:
        missing = [named["prompt"]] if named["prompt"] in missing else []  # thumbs of one sort are worth something, too
    if missing:
        shown = missing if wanted != PAIR_OF_TURNS else ["messages"]
        raise InputError(reason="columns_missing", name=path.name, missing=", ".join(shown), columns=", ".join(there))
    return named


def _record(
    number: str, where: str, row: Mapping[str, Any], kind: Kind, names: Mapping[str, str], notes: _Notes
) -> Record | None:
    about = {"where": where}
    if kind in _READERS:
        return _READERS[kind](number, where, row, names, notes)
    texts = {ours: _cell(row.get(theirs)) for ours, theirs in names.items() if ours != NEGATIVES}
    for ours, text in texts.items():
        if not text:
            notes.add("missing_label" if ours == "label" else "missing_text", where)
            return None
        if ours != "label" and len(text) > LONG:
            notes.add("long_text", where)
        if _BROKEN.search(text):
            notes.add("broken_characters", where)
    if kind == "pairs":
        told = row.get(names.get(NEGATIVES, NEGATIVES)) or []
        others = [_cell(text) for text in (told if isinstance(told, list) else [told])]
        wrong = [text for text in dict.fromkeys(others) if text and text != texts["positive"]]
        return Record(number, texts["anchor"], answers=(texts["positive"],), metadata=about | ({NEGATIVES: wrong} if wrong else {}))  # fmt: skip
    return Record(number, texts["text"], label=texts.get("label"), metadata=about)


def _talk(number: str, where: str, row: Mapping[str, Any], names: Mapping[str, str], notes: _Notes) -> Record | None:
    if "prompt" in names:
        turns: Any = [
            {"role": "user", "content": row.get(names["prompt"])},
            {"role": "assistant", "content": row.get(names["completion"])},
        ]
    else:
        turns = row.get(names["messages"])
    told = _turns(turns)
    if not told or told[-1]["role"] != "assistant":
        notes.add("bad_turns", where)
        return None
    if not all(turn["content"] for turn in told) or len(told) < 2:
        notes.add("missing_text", where)
        return None
    if sum(len(turn["content"]) for turn in told) > LONG:
        notes.add("long_text", where)
    asked = "\n".join(turn["content"] for turn in told[:-1])
    about: dict[str, Any] = {"where": where, "messages": told}
    if row.get("expected"):
        about["expected"] = row["expected"] if isinstance(row["expected"], list) else [row["expected"]]
    return Record(number, asked, answers=(told[-1]["content"],), metadata=about)


def _turns(given: Any) -> list[dict[str, str]]:
    """Role and content of each turn, or nothing where that is not what was given."""
    if not isinstance(given, list) or not all(isinstance(turn, dict) for turn in given):
        return []
    told = [{"role": str(turn.get("role")), "content": _cell(turn.get("content"))} for turn in given]
    return [] if any(turn["role"] not in ROLES for turn in told) else told


def _preference(number: str, where: str, row: Mapping[str, Any], names: Mapping[str, str], notes: _Notes) -> Record | None:  # fmt: skip
    given = row.get(names["prompt"])
    turns = _turns(given) if isinstance(given, list) else [{"role": "user", "content": _cell(given)}]
    chosen, rejected = (_cell(row.get(names[side])) for side in ("chosen", "rejected"))
    if not turns or turns[-1]["role"] == "assistant":
        notes.add("bad_prompt", where)
        return None
    if not all(turn["content"] for turn in turns) or not (chosen or rejected):
        notes.add("missing_text", where)
        return None
    if chosen == rejected:
        notes.add("same_answers", where)
        return None
    asked = "\n".join(turn["content"] for turn in turns)
    return Record(number, asked, answers=(chosen, rejected), metadata={"where": where, "messages": turns})


def _entities(number: str, where: str, row: Mapping[str, Any], names: Mapping[str, str], notes: _Notes) -> Record | None:  # fmt: skip
    """The text as it is, for the places count its characters."""
    text, told = row.get(names["text"]), row.get(names["entities"])
    given: list[Any] = told if isinstance(told, list) else [None]
    if not isinstance(text, str) or not text.strip():
        notes.add("missing_text", where)
        return None
    spans = []
    for span in given:
        try:
            start, end, label = int(span["start"]), int(span["end"]), str(span["label"]).strip()
        except (TypeError, KeyError, ValueError):
            notes.add("bad_spans", where)
            return None
        spans.append((start, end, label))
    spans.sort()
    ends = [0, *(end for _, end, _ in spans)]
    if len(text) > LONGEST or any(
        not label or not last <= start < end <= len(text)
        for (start, end, label), last in zip(spans, ends, strict=False)
    ):
        notes.add("bad_spans", where)
        return None
    return Record(number, text, metadata={"where": where, "entities": [list(span) for span in spans]})


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()[:LONGEST]


_READERS = {"conversations": _talk, "preferences": _preference, "entities": _entities}


def _paragraphs(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            text = path.read_bytes().decode("gb18030")
        except UnicodeDecodeError as error:
            raise InputError(reason="bad_encoding", name=path.name) from error
    line = 1
    for piece in re.split(r"(\n\s*\n)", text.replace("\r\n", "\n")):
        if piece.strip():
            yield f"{path.name}:{line}", {"text": piece}
        line += piece.count("\n")


def _mixed_encodings(path: Path) -> list[str]:
    """Lines that are not UTF-8 in a file where others are and are more than ASCII; two encodings in one file.

    Read as GB18030 such a file gives wrong characters without any error.
    """
    if path.suffix == ".gz":
        return []
    whole = path.read_bytes()
    try:
        whole.decode("utf-8")
        return []
    except UnicodeDecodeError:
        pass
    other, utf8 = [], 0
    for number, line in enumerate(whole.split(b"\n"), 1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            utf8 += 1
        except UnicodeDecodeError:
            other.append(f"{path.name}:{number}")
    # A line of GB18030 is seldom valid UTF-8 by chance, and then it is short; most lines decide.
    return other if utf8 and utf8 * 20 >= len(other) else []
