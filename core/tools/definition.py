"""A function becomes a tool: ``@tool("read")`` or ``@tool("write")``.

    @tool("write")
    def open_ticket(db: sqlite3.Connection, caller: Caller, subject: Annotated[str, Length(1, 200)]) -> dict:
        \"\"\"Open a ticket for a person to look at.\"\"\"

What a model must not choose is given by type: the connection of the transaction, the caller, the idempotency key.
Everything else is an argument. A tool returns what ``json`` can write. It refuses with
:class:`~core.errors.ToolRefused`; any other exception counts as a failure of the tool.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NewType, get_type_hints

from core.tools.schema import Argument, arguments_of, checked, object_schema
from core.types import Caller, Tool

Permission = Literal["read", "write"]
Idempotency = NewType("Idempotency", str)
"""The idempotency key of a write, for a tool that hands it to a system of its own."""

_GIVEN = (sqlite3.Connection, Caller, Idempotency)


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A function with what its signature says."""

    name: str
    description: str
    permission: Permission
    arguments: tuple[Argument, ...]
    function: Callable[..., Any]
    given: Mapping[str, Any]  # the arguments that come by type: name → type

    @property
    def in_transaction(self) -> bool:
        """Whether it writes through the connection it is given, so that journal and effect are one transaction."""
        return sqlite3.Connection in self.given.values()

    def offered(self) -> Tool:
        """As a chat model is told of it (``Options.tools``)."""
        return Tool(self.name, self.description, object_schema(self.arguments))

    def checked(self, given: Mapping[str, Any] | str) -> dict[str, Any]:
        """``given`` as keyword arguments; ``BadArguments`` says what is wrong with them."""
        return checked(self.arguments, given, tool=self.name)

    def run(self, arguments: Mapping[str, Any], *, db: sqlite3.Connection, caller: Caller, key: str) -> Any:
        values: dict[Any, Any] = {sqlite3.Connection: db, Caller: caller, Idempotency: Idempotency(key)}
        return self.function(**{name: values[kind] for name, kind in self.given.items()}, **arguments)


def tool(permission: Permission) -> Callable[[Callable[..., Any]], ToolDefinition]:
    """Make a tool of the function below; its name and the first paragraph of its docstring are the tool's.

    Raises:
        TypeError: no docstring, or an argument that no JSON value becomes. A mistake in the program.
    """

    def made(function: Callable[..., Any]) -> ToolDefinition:
        doc = inspect.getdoc(function) or ""
        description = " ".join(doc.partition("\n\n")[0].split())
        if not description:
            raise TypeError(f"{function.__qualname__}: a tool needs a docstring, which tells a model what it is for")
        hints = get_type_hints(function)
        given = {name: kind for name, kind in hints.items() if kind in _GIVEN and name != "return"}
        return ToolDefinition(
            function.__name__, description, permission, arguments_of(function, given=_GIVEN), function, given
        )

    return made
