"""The file of a scripted model: rules that say what is answered to what.

A file is a list of rules, or a mapping with ``capabilities`` and ``rules``. The first rule that fits answers::

    - match: 退款|refund (?P<product>\\w+)   # a regular expression, searched in the last user message, any case
      reply: "{product}: 7 days. [1]"       # {question}, {tool_result} and named groups are filled in
      delay_s: 0.02                         # pause between pieces of `chunk` characters
    - fault: {kind: rate_limited, retry_after_s: 1}
      times: 2                              # only for the first two calls it fits
    - reply: Hello!

``RULE`` lists every key. A wrong key or value is an error that names file, line and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from core.errors import InputError, InvalidSetting, MissingFile
from core.i18n import Phrase
from core.types import Capabilities, FinishReason, Usage

if TYPE_CHECKING:
    from yaml import Node

FAULTS = (
    "authentication_failed",
    "bad_request",
    "connect_failed",
    "content_filtered",
    "context_too_long",
    "engine_busy",
    "invalid_response",
    "model_not_found",
    "rate_limited",
    "server_failed",
    "stall",  # goes silent until a deadline passes or the caller gives up
    "stream_interrupted",
    "timed_out",
)
CAPABILITIES = Capabilities(tools=True, schema=True, images=True, usage=True, reasoning=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong. ``after`` characters of the reply come first (stream_interrupted and stall only)."""

    kind: str
    after: int = 0
    retry_after_s: float | None = None
    status: int | None = None
    detail: str = "scripted"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; ``arguments`` may hold placeholders."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; all conditions given must hold. ``line`` is its place in the file."""

    line: int
    match: re.Pattern[str] | None = None
    contains: str | None = None
    last_role: str | None = None
    times: int | None = None
    reply: str = ""
    json: Any = None
    reasoning: str | None = None
    tool_calls: tuple[Call, ...] = ()
    chunk: int = 6
    delay_s: float = 0.0
    first_delay_s: float = 0.0
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    rules: tuple[Rule, ...]
    capabilities: Capabilities = CAPABILITIES


def read_script(path: Path, *, needed_for: str) -> Script:
    """Read and check ``path``.

    Raises:
        MissingFile: it is not there.
        InputError: ``bad_yaml``, ``bad_encoding``.
        InvalidSetting: a key or value that is not allowed, with file and line.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        raise MissingFile(path=str(path), needed_for=needed_for) from error
    except UnicodeDecodeError as error:
        raise InputError(reason="bad_encoding", name=path.name) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        raise InputError(
            reason="bad_yaml", where=where, detail=getattr(error, "problem", None) or str(error)
        ) from error
    reader = _Reader(path.name)
    if isinstance(root, yaml.MappingNode):
        given = reader.mapping(root, "script", {"capabilities": reader.capabilities, "rules": reader.rules})
    else:
        given = {"rules": reader.rules(root, "rules")}
    if not given.get("rules"):
        raise reader.wrong(root, "rules", Phrase("script.some_rules"))
    return Script(path.stem, given["rules"], given.get("capabilities", CAPABILITIES))


Parser = Callable[["Node | None", str], Any]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns YAML nodes into records; nodes know their lines."""

    file: str

    def wrong(self, node: Node | None, name: str, allowed: Phrase | str, value: Phrase | None = None) -> InvalidSetting:
        line = node.start_mark.line + 1 if node is not None else 1
        return InvalidSetting(name=name, value=value or shown(node), allowed=allowed, where=f"{self.file}:{line}")

    # values

    def text(self, node: Node | None, name: str) -> str:
        if node is None or not isinstance(node.value, str) or node.tag.endswith(":null"):
            raise self.wrong(node, name, Phrase("script.text"))
        return node.value

    def plain(self, node: Node | None, name: str) -> Any:
        import yaml

        try:
            return yaml.constructor.SafeConstructor().construct_document(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self.wrong(node, name, Phrase("script.plain")) from error

    def number(self, node: Node | None, name: str) -> float:
        value = self.plain(node, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise self.wrong(node, name, Phrase("script.number"))
        return float(value)

    def whole(self, node: Node | None, name: str, low: int = 0) -> int:
        value = self.plain(node, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise self.wrong(node, name, Phrase("script.whole", low=low))
        return value

    def count(self, node: Node | None, name: str) -> int:
        return self.whole(node, name, 1)

    def flag(self, node: Node | None, name: str) -> bool:
        value = self.plain(node, name)
        if not isinstance(value, bool):
            raise self.wrong(node, name, Phrase("allowed.bool"))
        return value

    def pattern(self, node: Node | None, name: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(node, name), re.IGNORECASE)
        except re.error as error:
            raise self.wrong(node, name, Phrase("script.pattern", detail=error)) from error

    def one_of(self, *allowed: str) -> Parser:
        def parse(node: Node | None, name: str) -> str:
            value = self.text(node, name)
            if value not in allowed:
                raise self.wrong(node, name, ", ".join(allowed))
            return value

        return parse

    # structures

    def mapping(self, node: Node | None, name: str, keys: Mapping[str, Parser]) -> dict[str, Any]:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, name, Phrase("script.mapping", keys=", ".join(keys)))
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key.value, str) or key.value not in keys:
                raise self.wrong(key, f"{name}.{shown(key)}", ", ".join(keys), Phrase("script.unknown_key"))
            if key.value in found:
                raise self.wrong(key, f"{name}.{key.value}", Phrase("script.once"), Phrase("script.second"))
            found[key.value] = keys[key.value](value, f"{name}.{key.value}")
        return found

    def items(self, node: Node | None, name: str) -> list[tuple[Node, str]]:
        import yaml

        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, name, Phrase("script.list"))
        return [(item, f"{name}[{n}]") for n, item in enumerate(node.value, 1)]

    def capabilities(self, node: Node | None, name: str) -> Capabilities:
        from dataclasses import replace

        keys: dict[str, Parser] = {f.name: self.flag for f in fields(Capabilities)}
        return replace(CAPABILITIES, **self.mapping(node, name, {**keys, "context_tokens": self.count}))

    def rules(self, node: Node | None, name: str) -> tuple[Rule, ...]:
        return tuple(
            Rule(item.start_mark.line + 1, **self.mapping(item, at, self._rule_keys()))
            for item, at in self.items(node, name)
        )

    def _rule_keys(self) -> dict[str, Parser]:
        return {
            "match": self.pattern,
            "contains": self.text,
            "last_role": self.one_of("user", "tool"),
            "times": self.count,
            "reply": self.text,
            "json": self.plain,
            "reasoning": self.text,
            "tool_calls": self.calls,
            "chunk": self.count,
            "delay_s": self.number,
            "first_delay_s": self.number,
            "usage": self.usage,
            "finish_reason": self.one_of(*get_args(FinishReason)),
            "fault": self.fault,
        }

    def calls(self, node: Node | None, name: str) -> tuple[Call, ...]:
        return tuple(self._call(item, at) for item, at in self.items(node, name))

    def _call(self, node: Node, name: str) -> Call:
        given = self.mapping(node, name, {"name": self.text, "arguments": self.plain})
        if "name" not in given:
            raise self.wrong(node, f"{name}.name", Phrase("script.tool_name"), Phrase("script.missing"))
        if not isinstance(given.get("arguments", {}), dict):
            raise self.wrong(node, f"{name}.arguments", Phrase("allowed.mapping"))
        return Call(**given)

    def usage(self, node: Node | None, name: str) -> Usage:
        return Usage(**self.mapping(node, name, {f.name: self.whole for f in fields(Usage)}))

    def fault(self, node: Node | None, name: str) -> Fault:
        kind = self.one_of(*FAULTS)
        if node is not None and isinstance(node.value, str):
            return Fault(kind(node, name))
        keys: dict[str, Parser] = {
            "kind": kind,
            "after": self.whole,
            "retry_after_s": self.number,
            "status": self.count,
            "detail": self.text,
        }
        given = self.mapping(node, name, keys)
        if "kind" not in given:
            raise self.wrong(node, f"{name}.kind", ", ".join(FAULTS), Phrase("script.missing"))
        return Fault(**given)


def shown(node: Node | None) -> Phrase | str:
    """A node's value, for a message."""
    if node is None or node.value == "":
        return Phrase("script.empty")
    if isinstance(node.value, str):
        return node.value
    return Phrase("script.a_mapping" if node.tag.endswith(":map") else "script.a_list")


RULE = tuple(_Reader("")._rule_keys())
