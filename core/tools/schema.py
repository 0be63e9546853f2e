"""What a function's signature says of its arguments: as JSON Schema for a model, and as a check of what came.

Both are read from the same :class:`Argument`, so a model is never promised what the check refuses. Types that may
stand in a signature: ``str``, ``int``, ``float``, ``bool``, ``date``, ``datetime``, ``Literal``, :data:`Cents`,
a frozen dataclass whose fields are of these, ``list`` of one of these, and any of them ``| None``.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from core.errors import BadArguments

Kind = Literal["string", "integer", "number", "boolean", "date", "datetime", "choice", "list", "object"]
_PLAIN: dict[type, Kind] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime: "datetime",
    date: "date",
}
_JSON: dict[Kind, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
_ITEM_LIMIT = 100  # entries of a list
_TEXT_LIMIT = 4000  # characters of a text whose length nothing else limits


@dataclass(frozen=True, slots=True)
class Within:
    """A number's bounds, both allowed; ``None`` is no bound."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """A regular expression that the whole text matches. Keep to what Python and ECMAScript read alike."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Length:
    """How many characters a text may have."""

    low: int = 0
    high: int = _TEXT_LIMIT


Cents = Annotated[int, Within(0), "in the smallest unit of the currency (cents, pence, fen)"]
"""Money. Never a float."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool."""

    name: str
    kind: Kind
    description: str = ""
    required: bool = True
    nullable: bool = False
    default: Any = None
    choices: tuple[str | int, ...] = ()
    bounds: Within = Within()
    pattern: str | None = None
    length: Length = Length()
    item: Argument | None = None  # of a list
    parts: tuple[Argument, ...] = ()  # of an object
    made: Callable[..., Any] | None = None  # what the parts of an object become

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the argument."""
        if self.kind == "choice":
            made: dict[str, Any] = {"enum": list(self.choices)}
            kinds = {"string" if isinstance(choice, str) else "integer" for choice in self.choices}
            made = {"type": kinds.pop(), **made} if len(kinds) == 1 else made
        elif self.kind == "list" and self.item is not None:
            made = {"type": "array", "items": self.item.schema(), "maxItems": _ITEM_LIMIT}
        elif self.kind == "object":
            made = object_schema(self.parts)
        else:
            made = dict(_JSON[self.kind])
        if self.kind == "string":
            made |= {"minLength": self.length.low} if self.length.low else {}
            made |= {"maxLength": self.length.high}
            made |= {"pattern": f"^(?:{self.pattern})$"} if self.pattern else {}
        for key, bound in (("minimum", self.bounds.low), ("maximum", self.bounds.high)):
            made |= {key: bound} if bound is not None else {}
        if self.nullable:
            made = {"anyOf": [made, {"type": "null"}]}
        return {**made, "description": self.description} if self.description else made

    def check(self, value: Any) -> Any:
        """``value``, as JSON brought it, as the Python value the function takes.

        Raises:
            BadArguments: it is not allowed.
        """
        if value is None:
            if self.nullable:
                return None
            raise self._wrong(value, self.words())
        checked = self._typed(value)
        if self.bounds.low is not None and checked < self.bounds.low:
            raise self._wrong(value, self.words())
        if self.bounds.high is not None and checked > self.bounds.high:
            raise self._wrong(value, self.words())
        return checked

    def _typed(self, value: Any) -> Any:
        match self.kind:
            case "string":
                if not isinstance(value, str) or not self.length.low <= len(value) <= self.length.high:
                    raise self._wrong(value, self.words())
                if self.pattern and not re.fullmatch(self.pattern, value):
                    raise self._wrong(value, self.words())
                return value
            case "boolean":
                if isinstance(value, bool):
                    return value
            case "integer":
                if isinstance(value, int) and not isinstance(value, bool):
                    return value
                if isinstance(value, float) and value.is_integer():  # JSON knows one kind of number
                    return int(value)
            case "number":
                if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != float("inf"):
                    return float(value)
            case "date" | "datetime":
                return self._time(value)
            case "choice":
                if not isinstance(value, bool) and value in self.choices:
                    return next(choice for choice in self.choices if choice == value)
            case "list":
                if isinstance(value, list | tuple) and self.item is not None and len(value) <= _ITEM_LIMIT:
                    return [replace(self.item, name=f"{self.name}[{i}]").check(v) for i, v in enumerate(value)]
            case "object":
                if self.made is not None and isinstance(value, self.made):  # type: ignore[arg-type]  # a class
                    return value
                if isinstance(value, Mapping) and self.made is not None:
                    return self._object(value)
        raise self._wrong(value, self.words())

    def _object(self, value: Mapping[str, Any]) -> Any:
        try:
            found = checked(self.parts, value, tool=self.name)
        except BadArguments as error:
            inner = f"{self.name}.{error.params['name']}"
            raise BadArguments(**{**error.params, "reason": error.reason, "name": inner}) from error
        return self.made(**found) if self.made else found

    def _time(self, value: Any) -> date | datetime:
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value) if self.kind == "datetime" else date.fromisoformat(value)
            except ValueError as error:
                raise self._wrong(value, self.words()) from error
        if isinstance(value, datetime if self.kind == "datetime" else date):
            return value
        raise self._wrong(value, self.words())

    def words(self) -> str:
        """What is allowed, in a form both languages read."""
        match self.kind:
            case "choice":
                said = ", ".join(map(str, self.choices))
            case "list":
                said = f"[{self.item.words()}, …]" if self.item else "[…]"
            case "object":
                said = f"{{{', '.join(part.name for part in self.parts)}}}"
            case "date":
                said = "YYYY-MM-DD"
            case "datetime":
                said = "YYYY-MM-DDTHH:MM"
            case "string":
                said = self.pattern or f"string, {self.length.low}–{self.length.high}"
            case _:
                low, high = (("" if b is None else f"{b:g}") for b in (self.bounds.low, self.bounds.high))
                said = f"{self.kind} {low}…{high}" if low or high else self.kind
        return f"{said} | null" if self.nullable else said

    def _wrong(self, value: Any, allowed: str) -> BadArguments:
        shown = json.dumps(value, ensure_ascii=False, default=str)
        return BadArguments(reason="value", name=self.name, value=shown[:120], allowed=allowed)


def arguments_of(function: Callable[..., Any], *, given: Sequence[type] = ()) -> tuple[Argument, ...]:
    """The arguments of ``function`` in the order of its signature; those whose type is in ``given`` are left out.

    Raises:
        TypeError: an argument has no type, or one that no JSON value becomes. A mistake in the program.
    """
    hints = get_type_hints(function, include_extras=True)
    described = _described(inspect.getdoc(function) or "")
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in hints or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{function.__qualname__}: '{name}' needs a type")
        if _bare(hints[name]) in given:
            continue
        argument = _argument(name, hints[name], f"{function.__qualname__}: '{name}'")
        if not argument.description:
            argument = replace(argument, description=described.get(name, ""))
        if parameter.default is not parameter.empty:
            argument = replace(argument, required=False, default=parameter.default)
        found.append(argument)
    return tuple(found)


def object_schema(arguments: Sequence[Argument]) -> dict[str, Any]:
    """The JSON Schema of a call's arguments. Nothing beside them is allowed."""
    return {
        "type": "object",
        "properties": {argument.name: argument.schema() for argument in arguments},
        "required": [argument.name for argument in arguments if argument.required],
        "additionalProperties": False,
    }


def checked(arguments: Sequence[Argument], given: Mapping[str, Any] | str, *, tool: str) -> dict[str, Any]:
    """``given`` (a mapping, or the JSON text of one as a model writes it) as keyword arguments, defaults left out.

    Raises:
        BadArguments: not JSON of an object, an argument is missing or unknown, or has a value that is not allowed.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except ValueError as error:
            raise BadArguments(reason="not_json", tool=tool, detail=str(error)) from error
    if not isinstance(given, Mapping):
        raise BadArguments(reason="not_json", tool=tool, detail=type(given).__name__)
    names = [argument.name for argument in arguments]
    if unknown := [str(name) for name in given if name not in names]:
        raise BadArguments(reason="unknown", tool=tool, name=", ".join(unknown), allowed=", ".join(names) or "–")
    missing = [argument.name for argument in arguments if argument.required and argument.name not in given]
    if missing:
        raise BadArguments(reason="missing", tool=tool, name=", ".join(missing), allowed=", ".join(names))
    return {argument.name: argument.check(given[argument.name]) for argument in arguments if argument.name in given}


def _argument(name: str, hint: Any, where: str) -> Argument:
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        marks = tuple(rest)
    if get_origin(hint) in (Union, UnionType):
        inner = [part for part in get_args(hint) if part is not NoneType]
        if len(inner) != 1 or len(inner) == len(get_args(hint)):
            raise TypeError(f"{where} has a type that no JSON value becomes: {hint}")
        return _marked(replace(_argument(name, inner[0], where), nullable=True), marks, where)
    if get_origin(hint) is Annotated:  # Annotated inside of Annotated is flat, but not inside of a union
        return _marked(_argument(name, hint, where), marks, where)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if not all(isinstance(choice, str | int) and not isinstance(choice, bool) for choice in choices):
            raise TypeError(f"{where}: a Literal holds texts or whole numbers")
        return _marked(Argument(name, "choice", choices=choices), marks, where)
    if get_origin(hint) is list and get_args(hint):
        return _marked(Argument(name, "list", item=_argument(name, get_args(hint)[0], where)), marks, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return _marked(Argument(name, "object", parts=_parts(hint, where), made=hint), marks, where)
    if hint not in _PLAIN:
        raise TypeError(f"{where} has a type that no JSON value becomes: {hint}")
    return _marked(Argument(name, _PLAIN[hint]), marks, where)


def _parts(kind: type, where: str) -> tuple[Argument, ...]:
    """The fields of a dataclass as arguments; one with a default may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in fields(kind):
        part = _argument(field.name, hints[field.name], f"{where}, field '{field.name}'")
        if field.default_factory is not MISSING:
            raise TypeError(f"{where}, field '{field.name}': a default here is a value, not a factory")
        if field.default is not MISSING:
            part = replace(part, required=False, default=field.default)
        found.append(part)
    return tuple(found)


def _marked(argument: Argument, marks: Sequence[Any], where: str) -> Argument:
    for mark in marks:
        match mark:
            case str():
                said = f"{argument.description}, {mark}" if argument.description else mark
                argument = replace(argument, description=said)
            case Within() if argument.kind in ("integer", "number"):
                argument = replace(argument, bounds=mark)
            case Matching() if argument.kind == "string":
                argument = replace(argument, pattern=mark.pattern)
            case Length() if argument.kind == "string":
                argument = replace(argument, length=mark)
            case _:
                raise TypeError(f"{where}: {mark!r} says nothing about {argument.kind}")
    return argument


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _described(doc: str) -> dict[str, str]:
    """What the ``Args:`` of a Google docstring says, by name.

    >>> _described("Do it.\\n\\nArgs:\\n    order: its number,\\n        as printed.\\n    days: how many.")
    {'order': 'its number, as printed.', 'days': 'how many.'}
    """
    _, _, rest = doc.partition("Args:\n")
    found: dict[str, str] = {}
    name = None
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        if heading := re.match(r"    (\w+)\s*(?:\([^)]*\))?:\s*(.*)", line):
            name, found[heading[1]] = heading[1], heading[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found
