"""Filters on documents as data: what Python, JSON and the command line say, compiled to bound SQL.

    {"year": {"$gte": 2020}, "language": "zh"}                 both must hold
    {"$or": [{"tags": {"$contains": "vip"}}, {"$not": {"source": "old.md"}}]}
    from_text(["year>=2020", "language=zh,en"])                the same from the command line
    equals(year=value)                                         a value that a user gave: never an operator

A field is one of ``BUILT_IN`` or a key of the metadata; ``metadata.title`` is the metadata's key where both have
one. Comparisons are typed: the text "2020" is not the number 2020, and a document without the field, or with one
of another type, does not match (so ``$ne`` and ``$not`` match it). Ranges over ISO dates compare moments, whatever
their offsets; a date without offset is UTC. Values are bound, fields are checked, operators are a closed list:
nothing of a filter becomes SQL text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from core.errors import InputError

Operator = Literal["$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$exists", "$contains"]
Value = str | int | float | bool
OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$contains", "$and", "$or", "$not")
BUILT_IN: Mapping[str, tuple[str, type]] = {
    "source": ("d.source", str),
    "title": ("d.title", str),
    "language": ("d.language", str),
    "media_type": ("d.media_type", str),
    "document_id": ("d.id", str),
    "heading": ("p.heading", str),
    "page": ("p.page", float),
    "updated_at": ("d.updated_at", float),
}
MOST_PARTS, MOST_VALUES, MOST_DEPTH = 100, 1000, 10
_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_FIELD = re.compile(r'[^\x00-\x1f"\\$][^\x00-\x1f"\\]{0,99}')


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition on one field. ``value`` is a tuple for ``$in`` and a bool for ``$exists``."""

    field: str
    operator: Operator
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


Filter = Compare | Every | Either | Not


# --- reading ------------------------------------------------------------------------------------


def parse(where: Mapping[str, Any] | Filter) -> Filter:
    """A filter out of its mapping.

    Raises:
        InputError: bad_filter for an unknown operator, a field that cannot be one, a value of a wrong type.
    """
    found = where if isinstance(where, Compare | Every | Either | Not) else _mapping(where, 0)
    every = leaves(found)
    if len(every) > MOST_PARTS:
        raise _bad(len(every), f"<= {MOST_PARTS} conditions")
    if (values := sum(len(_values(leaf)) for leaf in every)) > MOST_VALUES:
        raise _bad(values, f"<= {MOST_VALUES} values")
    return found


def equals(**fields: Value) -> Filter:
    """Every field has exactly this value: for values from outside, which can then be nothing but values."""
    return Every(tuple(Compare(_field(name), "$eq", _scalar(value)) for name, value in fields.items()))


def from_text(conditions: Iterable[str]) -> Filter:
    """Conditions as people type them; all must hold.

    ``=`` (several values by comma), ``!=``, ``>=``, ``<=``, ``>``, ``<``, ``~`` (a list contains), ``field?`` (there
    is such a field), or one JSON object in the form of :func:`parse`. ``year=2020`` is the number or the text;
    ``"2020"`` in quotes is the text alone.
    """
    return parse(Every(tuple(_condition(text) for text in conditions)))


def _mapping(where: Any, depth: int) -> Filter:
    if not isinstance(where, Mapping):
        raise _bad(where, '{"field": value}')
    if depth > MOST_DEPTH:
        raise _bad("…", f"depth <= {MOST_DEPTH}")
    parts = tuple(_entry(key, value, depth) for key, value in where.items())
    return parts[0] if len(parts) == 1 else Every(parts)


def _entry(key: Any, value: Any, depth: int) -> Filter:
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise _bad({key: value}, f'{{"{key}": [{{…}}, {{…}}]}}')
        parts = tuple(_mapping(item, depth + 1) for item in value)
        return Every(parts) if key == "$and" else Either(parts)
    if key == "$not":
        return Not(_mapping(value, depth + 1))
    field = _field(key)
    if not isinstance(value, Mapping):
        return _compare(field, "$eq", value)
    if not value:
        raise _bad({key: value}, ", ".join(OPERATORS[:10]))
    parts = tuple(_compare(field, operator, operand) for operator, operand in value.items())
    return parts[0] if len(parts) == 1 else Every(parts)


def _compare(field: str, operator: Any, value: Any) -> Filter:
    if operator == "$ne":
        return Not(_compare(field, "$eq", value))
    if operator == "$nin":
        return Not(_compare(field, "$in", value))
    if operator == "$in":
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _bad(value, "$in: […]")
        return Compare(field, "$in", tuple(_typed(field, item, equality=True) for item in value))
    if operator == "$exists":
        if not isinstance(value, bool):
            raise _bad(value, "$exists: true, false")
        return Compare(field, "$exists", value)
    if operator == "$contains":
        if field in BUILT_IN:
            raise _bad({field: {operator: value}}, ", ".join(OPERATORS[:9]))
        return Compare(field, "$contains", _scalar(value))
    if operator == "$eq":
        return Compare(field, "$eq", _typed(field, value, equality=True))
    if operator in _RANGES:
        typed = _typed(field, value, equality=False)
        if isinstance(typed, bool):
            raise _bad({field: {operator: value}}, "a number, a text, a date")
        return Compare(field, operator, typed)
    raise _bad(operator, ", ".join(OPERATORS))


def _typed(field: str, value: Any, *, equality: bool) -> Value:
    """A value that can be compared with ``field``; a moment for ``updated_at`` becomes seconds since 1970."""
    scalar = _scalar(value)
    if field not in BUILT_IN:
        return scalar
    kind = BUILT_IN[field][1]
    if field == "updated_at" and isinstance(scalar, str):
        seconds = moment(scalar)
        if seconds is None or equality:
            raise _bad({field: value}, 'updated_at: {"$gte": "2026-01-31"}')
        return seconds
    if isinstance(scalar, bool) or isinstance(scalar, str) != (kind is str):
        raise _bad({field: value}, f"{field}: {'text' if kind is str else 'number'}")
    return scalar


def _scalar(value: Any) -> Value:
    """``value`` as something that can be bound: dates as ISO text, numbers finite and of 64 bits."""
    if isinstance(value, datetime | date):
        return iso(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value) if abs(value) < 2**1000 else _refuse(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _refuse(value)
    if isinstance(value, str):
        plain = "\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
        return value if plain and len(value) <= 10_000 else _refuse(value)
    return _refuse(value)


def _refuse(value: Any) -> Value:
    raise _bad(value, "a text, a number, true, false, a date")


def _field(name: Any) -> str:
    if not isinstance(name, str) or not _FIELD.fullmatch(name) or any("\ud800" <= c <= "\udfff" for c in name):
        allowed = ", ".join(OPERATORS) if isinstance(name, str) and name.startswith("$") else ", ".join(BUILT_IN)
        raise _bad(name, allowed)
    return name


_CONDITION = re.compile(r"\s*([^=!<>~?]+?)\s*(>=|<=|!=|=|>|<|~|\?)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d+)?")
_SAID = {"=": "$eq", "!=": "$ne", ">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt", "~": "$contains"}


def _condition(text: str) -> Filter:
    if text.lstrip().startswith("{"):
        try:
            return _mapping(json.loads(text), 0)
        except ValueError as error:
            raise _bad(text, '{"field": {"$gte": 1}}') from error
    match = _CONDITION.fullmatch(text)
    if match is None or (match[2] == "?") != (not match[3]):
        raise _bad(text, "field=value, field!=value, field>=value, field<value, field~value, field?")
    field, sign, written = _field(match[1]), match[2], match[3]
    if sign == "?":
        return Compare(field, "$exists", True)
    if sign in ("=", "!=", "~"):
        values = [value for part in _by_comma(written) for value in _meant(field, part)]
        if sign == "~":
            return Either(tuple(_compare(field, "$contains", value) for value in values))
        found = _compare(field, "$in", values)
        return Not(found) if sign == "!=" else found
    value = written[1:-1] if _quoted(written) else _number(written)
    return _compare(field, _SAID[sign], value)


def _by_comma(written: str) -> list[str]:
    return [written] if _quoted(written) else [part.strip() for part in written.split(",")]


def _quoted(written: str) -> bool:
    return len(written) > 1 and written[0] == written[-1] == '"'


def _number(written: str) -> Value:
    if not _NUMBER.fullmatch(written):
        return written
    return float(written) if "." in written else int(written)


def _meant(field: str, written: str) -> list[Value]:
    """What ``written`` may stand for: a text, and the number or truth value that is spelled so."""
    if _quoted(written):
        return [written[1:-1]]
    number = _number(written)
    if field in BUILT_IN:
        return [number if BUILT_IN[field][1] is float else written]
    also: list[Value] = [] if isinstance(number, str) else [number]
    if written in ("true", "false"):
        also.append(written == "true")
    return [written, *also]


def _bad(value: Any, allowed: str) -> InputError:
    shown = value if isinstance(value, str) else repr(value)
    return InputError(reason="bad_filter", value=shown[:200], allowed=allowed)


# --- dates --------------------------------------------------------------------------------------


def iso(value: date) -> str:
    """A date as ISO text; a moment in UTC."""
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).isoformat()
    return value.isoformat()


def moment(text: str) -> float | None:
    """Seconds since 1970 of an ISO date or moment, ``None`` for any other text."""
    if not _DATE.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def described(where: Filter) -> str:
    """``where`` as people read it: ``year >= 2020 and not (source = "a.md" or tags ~ "vip")``."""
    if isinstance(where, Not):
        return f"not ({described(where.part)})"
    if isinstance(where, Compare):
        if where.operator == "$exists":
            return f"{where.field}?" if where.value else f"not ({where.field}?)"
        sign = {"$eq": "=", "$in": "in", "$contains": "~", **_RANGES}[where.operator]
        value = list(where.value) if isinstance(where.value, tuple) else where.value
        return f"{where.field} {sign} {json.dumps(value, ensure_ascii=False)}"
    joined = (" and " if isinstance(where, Every) else " or ").join(
        described(part) if isinstance(part, Compare | Not) else f"({described(part)})" for part in where.parts
    )
    return joined or ("true" if isinstance(where, Every) else "false")


# --- SQL ----------------------------------------------------------------------------------------


def compiled(where: Filter) -> tuple[str, list[Any]]:
    """``where`` as an SQL expression over ``passages p`` and ``documents d``, and the values to bind.

    The expression is never NULL, so that its negation is right.
    """
    if isinstance(where, Compare):
        return _leaf(where)
    if isinstance(where, Not):
        sql, values = compiled(where.part)
        return f"NOT {sql}", values
    parts = [compiled(part) for part in where.parts]
    if not parts:
        return ("1" if isinstance(where, Every) else "0"), []
    joined = (" AND " if isinstance(where, Every) else " OR ").join(sql for sql, _ in parts)
    return f"({joined})", [value for _, values in parts for value in values]


def leaves(where: Filter) -> list[Compare]:
    """Every condition of a filter."""
    if isinstance(where, Compare):
        return [where]
    if isinstance(where, Not):
        return leaves(where.part)
    return [leaf for part in where.parts for leaf in leaves(part)]


def _leaf(leaf: Compare) -> tuple[str, list[Any]]:
    if leaf.field in BUILT_IN:
        return _built_in(BUILT_IN[leaf.field][0], leaf)
    key = leaf.field.removeprefix("metadata.")
    path = f'$."{key}"'
    # A passage's own value (a row of a table) stands before its document's.
    holder = "CASE WHEN json_type(p.metadata, ?) IS NULL THEN d.metadata ELSE p.metadata END"
    if leaf.operator == "$exists":
        sql = f"(coalesce(json_type({holder}, ?), 'null') <> 'null')"
        return (sql if leaf.value else f"NOT {sql}"), [path, path]
    if leaf.operator == "$in":
        return _any([_one_of(holder, path, group) for group in _by_kind(_values(leaf))])
    assert not isinstance(leaf.value, tuple)  # only $in has several  # noqa: S101
    if leaf.operator == "$contains":
        kind, bound = _kind("j.type", leaf.value)
        sql = f"EXISTS (SELECT 1 FROM json_each({holder}, ?) j WHERE {kind} AND j.atom = ?)"
        return f"(coalesce(json_type({holder}, ?), '') = 'array' AND {sql})", [path, path, path, path, bound]
    return _metadata(holder, path, leaf.operator, leaf.value)


def _metadata(holder: str, path: str, operator: Operator, value: Value) -> tuple[str, list[Any]]:
    kind, bound = _kind(f"json_type({holder}, ?)", value)
    stored = f"json_extract({holder}, ?)"
    both = [path, path]
    if operator == "$eq":
        return f"coalesce({kind} AND {stored} = ?, 0)", [*both, *both, bound]
    sign = _RANGES[operator]
    if isinstance(value, str) and moment(value) is not None:
        like = f"{stored} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"
        sql = f"coalesce({kind} AND {like} AND round(julianday({stored}) * 86400, 3) {sign} round(julianday(?) * 86400, 3), 0)"
        return sql, [*both, *both, *both, bound]
    return f"coalesce({kind} AND {stored} {sign} ?, 0)", [*both, *both, bound]


def _one_of(holder: str, path: str, values: tuple[Value, ...]) -> tuple[str, list[Any]]:
    """Whether the stored value is one of ``values``, which are of one kind."""
    kind, _ = _kind(f"json_type({holder}, ?)", values[0])
    bound = [int(value) if isinstance(value, bool) else value for value in values]
    sql = f"coalesce({kind} AND json_extract({holder}, ?) IN ({_marks(values)}), 0)"
    return sql, [path, path, path, path, *bound]


def _by_kind(values: tuple[Value, ...]) -> list[tuple[Value, ...]]:
    groups: dict[object, list[Value]] = {}
    for value in values:
        key = ("bool", value) if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
        groups.setdefault(key, []).append(value)
    return [tuple(group) for group in groups.values()]


def _marks(values: tuple[Value, ...]) -> str:
    return ",".join("?" * len(values))


def _kind(type_sql: str, value: Value) -> tuple[str, Any]:
    """The condition that the stored value is of ``value``'s type, and ``value`` as SQLite has it."""
    if isinstance(value, bool):
        return f"{type_sql} = '{'true' if value else 'false'}'", int(value)
    if isinstance(value, str):
        return f"{type_sql} = 'text'", value
    return f"{type_sql} IN ('integer', 'real')", value


def _built_in(column: str, leaf: Compare) -> tuple[str, list[Any]]:
    if leaf.operator == "$exists":
        return f"({column} IS {'NOT ' if leaf.value else ''}NULL)", []
    if leaf.operator == "$in":
        return f"coalesce({column} IN ({_marks(_values(leaf))}), 0)", list(_values(leaf))
    sign = _RANGES.get(leaf.operator, "=")
    return f"coalesce({column} {sign} ?, 0)", [leaf.value]


def _values(leaf: Compare) -> tuple[Value, ...]:
    return leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)


def _any(parts: list[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    if not parts:
        return "0", []
    return f"({' OR '.join(sql for sql, _ in parts)})", [value for _, values in parts for value in values]
