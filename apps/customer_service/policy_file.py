"""Reads ``policy.yaml``. Every mistake names file, line and what is allowed; what a tool needs is checked against it.

The sample's own, ``sample/policy.yaml``, shows every key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.customer_service.hours import DAYS, Hours, Span
from apps.customer_service.policy import Calling, Do, Identity, IntentRule, Need, Policy, SlotKind, SlotRule, Texts
from core.errors import InputError, InvalidSetting
from core.i18n import LANGUAGES, Phrase
from core.tools import ToolDefinition

if TYPE_CHECKING:
    from yaml import Node

TOP = ("hours", "hand_off", "identity", "thresholds", "ticket", "unsure", "bare", "slots", "intents", "canned", "tools")
SLOT = ("kind", "ask", "pattern", "asked", "after", "least", "words", "labels", "catalogue", "gaps", "stands_for")
INTENT = ("do", "title", "tool", "preview", "slots", "identity", "confirm", "done", "none", "instead", "options", "say", "asked")  # fmt: skip
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_FIELD = re.compile(r"\w+")


def read_policy(path: Path, tools: Iterable[ToolDefinition]) -> Policy:
    """The policy in ``path`` for a shop with these ``tools``.

    Raises:
        InputError: the file cannot be read or is not YAML.
        InvalidSetting: something in it is not allowed; ``where`` is ``file:line``.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(reason="unreadable_file", name=str(path), detail=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(reason="bad_yaml", where=path.name, detail=str(error)) from error
    return parse_policy(text, path.name, tools)


def parse_policy(text: str, file: str, tools: Iterable[ToolDefinition]) -> Policy:
    """The policy that ``text`` says, of a file that mistakes call ``file``. Errors as in :func:`read_policy`."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        detail = getattr(error, "problem", None) or str(error)
        raise InputError(reason="bad_yaml", where=where, detail=detail) from error
    return _Reader(file, {tool.name: tool for tool in tools}).policy(root)


class _Reader:
    """The walk over the file's nodes, which carry the line numbers."""

    def __init__(self, file: str, tools: Mapping[str, ToolDefinition]) -> None:
        self.file = file
        self.tools = tools

    def policy(self, root: Node | None) -> Policy:
        if root is None:
            raise InvalidSetting(name=self.file, value="", allowed=", ".join(TOP), where=self.file)
        parts = self.mapping(root, self.file, TOP)
        if "intents" not in parts:
            raise self.wrong(root, "intents", Phrase("policy.nothing"), ", ".join(INTENT))
        slots = {name: self.slot(name, node) for name, node in self.mapping(parts.get("slots"), "slots").items()}
        names = tuple(self.mapping(parts["intents"], "intents"))
        intents = {
            name: self.intent(name, node, slots, names)
            for name, node in self.mapping(parts["intents"], "intents").items()
        }
        hand_off = self.mapping(parts.get("hand_off"), "hand_off", ("misses", "frustration"))
        thresholds = self.mapping(parts.get("thresholds"), "thresholds", ("sure", "likely"))
        calling: Calling = self.of(parts["tools"], "tools", get_args(Calling)) if "tools" in parts else "auto"  # type: ignore[assignment]
        made = Policy(
            intents=intents,
            slots=slots,
            hours=self.hours(parts["hours"]) if "hours" in parts else Hours(),
            identity=self.identity(parts["identity"], slots) if "identity" in parts else None,
            misses=int(self.number(hand_off.get("misses"), "hand_off.misses", 2, 1, 9)),
            frustration=self.flag(hand_off.get("frustration"), "hand_off.frustration", True),
            sure=self.number(thresholds.get("sure"), "thresholds.sure", 0.6, 0, 1),
            likely=self.number(thresholds.get("likely"), "thresholds.likely", 0.4, 0, 1),
            ticket=self.of(parts["ticket"], "ticket", self.ticketing()) if "ticket" in parts else "",
            unsure=tuple(self.of(node, "unsure", names) for node in self.items(parts.get("unsure"), "unsure")),
            bare={
                self.known(key, "bare", slots, node): self.of(node, f"bare.{key}", names)
                for key, node in self.mapping(parts.get("bare"), "bare").items()
            },
            canned=tuple(self.texts(node, "canned") for node in self.items(parts.get("canned"), "canned")),
            tools=calling,
        )
        if made.identity is None:
            for name, rule in intents.items():
                if rule.identity:
                    raise self.wrong(root, f"intents.{name}.identity", rule.identity, Phrase("policy.needs_identity"))
        return made

    # --- parts --------------------------------------------------------------------------------

    def slot(self, name: str, node: Node) -> SlotRule:
        at = f"slots.{name}"
        row = self.mapping(node, at, SLOT)
        kind = self.required(row, "kind", node, at)
        words = self.mapping(row.get("words"), f"{at}.words")
        made = SlotRule(
            name=name,
            kind=self.of(kind, f"{at}.kind", get_args(SlotKind)),  # type: ignore[arg-type]  # one of them
            ask=self.texts(self.required(row, "ask", node, at), f"{at}.ask"),
            pattern=self.regex(row.get("pattern"), f"{at}.pattern"),
            asked=self.regex(row.get("asked"), f"{at}.asked"),
            after=tuple(self.text(item, f"{at}.after") for item in self.items(row.get("after"), f"{at}.after")),
            least=int(self.number(row.get("least"), f"{at}.least", 1, 1, 1000)),
            words={
                value: tuple(self.text(item, f"{at}.words") for item in self.items(cell, f"{at}.words.{value}"))
                for value, cell in words.items()
            },
            labels={
                value: self.texts(cell, f"{at}.labels.{value}")
                for value, cell in self.mapping(row.get("labels"), f"{at}.labels", tuple(words)).items()
            },
            catalogue=self.of(row["catalogue"], f"{at}.catalogue", self.listing()) if "catalogue" in row else "",
            gaps=self.flag(row.get("gaps"), f"{at}.gaps", False),
            stands_for=self.texts(row["stands_for"], f"{at}.stands_for") if "stands_for" in row else {},
        )
        for key in ("gaps", "stands_for"):
            if getattr(made, key) and not made.pattern:
                raise self.wrong(row[key], f"{at}.pattern", Phrase("policy.nothing"), Phrase("policy.regex"))
        if made.kind == "pattern" and not (made.pattern or made.asked):
            raise self.wrong(node, f"{at}.pattern", Phrase("policy.nothing"), Phrase("policy.regex"))
        if made.catalogue and made.kind != "choice":
            raise self.wrong(row["catalogue"], f"{at}.kind", made.kind, "choice")
        if made.kind == "choice" and not (made.words or made.catalogue):
            raise self.wrong(node, f"{at}.words", Phrase("policy.nothing"), Phrase("policy.words"))
        return made

    def intent(self, name: str, node: Node, slots: Mapping[str, SlotRule], names: Sequence[str]) -> IntentRule:
        at = f"intents.{name}"
        row = self.mapping(node, at, INTENT)
        do: Do = self.of(self.required(row, "do", node, at), f"{at}.do", get_args(Do))  # type: ignore[assignment]
        title = self.texts(self.required(row, "title", node, at), f"{at}.title")
        options = tuple(
            self.of(item, f"{at}.options", names) for item in self.items(row.get("options"), f"{at}.options")
        )
        if do == "clarify" and not options:
            raise self.wrong(node, f"{at}.options", Phrase("policy.nothing"), ", ".join(names))
        if do != "tool":
            for key in ("tool", "preview", "slots", "identity", "confirm", "done", "none", "instead"):
                if key in row:
                    raise self.wrong(row[key], f"{at}.{key}", f"do: {do}", "do: tool")
            said = self.texts(row["say"], f"{at}.say") if "say" in row else {}
            asked = self.flag(row.get("asked"), f"{at}.asked", False)
            return IntentRule(name, do, title, options=options, say=said, asked=asked)
        tool = self.tools[self.of(self.required(row, "tool", node, at), f"{at}.tool", tuple(self.tools))]
        needs = tuple(
            self.need(argument, cell, tool, slots, at)
            for argument, cell in self.mapping(
                row.get("slots"), f"{at}.slots", tuple(a.name for a in tool.arguments)
            ).items()
        )
        filled = {need.argument for need in needs if not need.optional}
        if missing := [a.name for a in tool.arguments if a.required and a.name not in filled]:
            raise self.wrong(node, f"{at}.slots", ", ".join(filled) or "–", ", ".join(missing))
        if tool.permission == "write" and "confirm" not in row:
            raise self.wrong(node, f"{at}.confirm", Phrase("policy.nothing"), Phrase("policy.confirm_writes"))
        identity = self.of(row["identity"], f"{at}.identity", [n.slot for n in needs]) if "identity" in row else ""
        preview = self.of(row["preview"], f"{at}.preview", self.reading()) if "preview" in row else ""
        if preview and (
            extra := [a.name for a in self.tools[preview].arguments if a.required and a.name not in filled]
        ):
            raise self.wrong(row["preview"], f"{at}.preview", ", ".join(extra), ", ".join(filled) or "–")
        for key in ("none", "instead"):
            if key in row and not any(need.options for need in needs):
                raise self.wrong(row[key], f"{at}.slots", Phrase("policy.nothing"), "options")
        if "instead" in row and "none" not in row:
            raise self.wrong(row["instead"], f"{at}.none", Phrase("policy.nothing"), "{zh: …, en: …}")
        return IntentRule(
            name=name,
            do=do,
            title=title,
            tool=tool.name,
            preview=preview,
            needs=needs,
            identity=identity,
            confirm=self.template(row.get("confirm"), f"{at}.confirm"),
            done=self.template(self.required(row, "done", node, at), f"{at}.done"),
            none=self.template(row.get("none"), f"{at}.none"),
            instead=self.of(row["instead"], f"{at}.instead", names) if "instead" in row else "",
        )

    def need(self, argument: str, node: Node, tool: ToolDefinition, slots: Mapping[str, SlotRule], at: str) -> Need:
        from yaml import ScalarNode

        where = f"{at}.slots.{argument}"
        required = next(a.required for a in tool.arguments if a.name == argument)
        if isinstance(node, ScalarNode):
            return Need(argument, self.known(str(node.value), where, slots, node), optional=not required)
        row = self.mapping(node, where, ("slot", "options", "optional"))
        slot = self.required(row, "slot", node, where)
        return Need(
            argument,
            self.known(str(_plain(slot)), where, slots, slot),
            self.of(row["options"], f"{where}.options", self.reading()) if "options" in row else None,
            self.flag(row.get("optional"), f"{where}.optional", not required),
        )

    def identity(self, node: Node, slots: Mapping[str, SlotRule]) -> Identity:
        row = self.mapping(node, "identity", ("tool", "proof", "tries"))
        tool = self.of(self.required(row, "tool", node, "identity"), "identity.tool", self.reading())
        proof = self.of(self.required(row, "proof", node, "identity"), "identity.proof", tuple(slots))
        if len(self.tools[tool].arguments) != 2 or "proof" not in {a.name for a in self.tools[tool].arguments}:
            raise self.wrong(row["tool"], "identity.tool", tool, "f(…, proof)")
        return Identity(tool, proof, int(self.number(row.get("tries"), "identity.tries", 3, 1, 9)))

    def hours(self, node: Node) -> Hours:
        row = self.mapping(node, "hours", ("zone", "closed", "daily", "weekdays", *DAYS))
        zone = self.text(self.required(row, "zone", node, "hours"), "hours.zone")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise self.wrong(row["zone"], "hours.zone", zone, "Asia/Shanghai, Europe/London, …") from error
        week: dict[int, tuple[Span, ...]] = {}
        for key, days in (("daily", range(7)), ("weekdays", range(5)), *((d, (i,)) for i, d in enumerate(DAYS))):
            if key in row:
                spans = tuple(self.span(item, f"hours.{key}") for item in self.items(row[key], f"hours.{key}"))
                week |= dict.fromkeys(days, spans)
        if not any(week.values()):
            raise self.wrong(node, "hours", Phrase("policy.nothing"), f"daily, weekdays, {', '.join(DAYS)}")
        closed = frozenset(self.day(item) for item in self.items(row.get("closed"), "hours.closed"))
        return Hours(zone, week, closed)

    def span(self, node: Node, name: str) -> Span:
        found = _SPAN.fullmatch(str(_plain(node)))
        if found is None or (found[3] == "24" and found[4] != "00"):
            raise self.wrong(node, name, _plain(node), '["09:00-18:00"]')
        return time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))

    def day(self, node: Node) -> date:
        value = _plain(node)
        if not isinstance(value, date):
            raise self.wrong(node, "hours.closed", value, "YYYY-MM-DD")
        return value

    # --- values -------------------------------------------------------------------------------

    def reading(self) -> tuple[str, ...]:
        return tuple(name for name, tool in self.tools.items() if tool.permission == "read")

    def listing(self) -> tuple[str, ...]:
        """Reading tools that need nothing."""
        return tuple(name for name in self.reading() if not any(a.required for a in self.tools[name].arguments))

    def writing(self) -> tuple[str, ...]:
        return tuple(name for name, tool in self.tools.items() if tool.permission == "write")

    def ticketing(self) -> tuple[str, ...]:
        """Writing tools that need a ``subject`` and nothing else."""
        return tuple(
            name for name in self.writing() if [a.name for a in self.tools[name].arguments if a.required] == ["subject"]
        )

    def mapping(self, node: Node | None, name: str, allowed: Sequence[str] | None = None) -> dict[str, Node]:
        from yaml import MappingNode

        if node is None:
            return {}
        if not isinstance(node, MappingNode):
            raise self.wrong(node, name, _plain(node), Phrase("allowed.mapping"))
        found: dict[str, Node] = {}
        for key, value in node.value:
            word = str(key.value)
            if allowed is not None and word not in allowed:
                near = get_close_matches(word, allowed, 1)
                reason = "unknown_near" if near else "unknown"
                more = {"nearest": near[0]} if near else {}
                raise InvalidSetting(
                    reason=reason, name=f"{name}.{word}", allowed=", ".join(allowed) or "–", where=self.at(key), **more
                )
            if word in found:
                raise InputError(reason="data_duplicate", where=self.at(key), value=word)
            found[word] = value
        return found

    def items(self, node: Node | None, name: str) -> list[Node]:
        from yaml import SequenceNode

        if node is None:
            return []
        if not isinstance(node, SequenceNode):
            raise self.wrong(node, name, _plain(node), "[…]")
        return list(node.value)

    def required(self, row: Mapping[str, Node], key: str, node: Node, name: str) -> Node:
        if key not in row:
            raise self.wrong(node, f"{name}.{key}", Phrase("policy.nothing"), Phrase("policy.required"))
        return row[key]

    def of(self, node: Node, name: str, allowed: Sequence[str]) -> str:
        value = _plain(node)
        if value not in allowed:
            raise self.wrong(node, name, value, ", ".join(allowed) or "–")
        return str(value)

    def known(self, slot: str, name: str, slots: Mapping[str, SlotRule], node: Node) -> str:
        if slot not in slots:
            raise self.wrong(node, name, slot, ", ".join(slots) or "–")
        return slot

    def text(self, node: Node, name: str) -> str:
        value = _plain(node)
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            raise self.wrong(node, name, value, Phrase("word.text"))
        return str(value)

    def texts(self, node: Node, name: str) -> Texts:
        row = self.mapping(node, name, LANGUAGES)
        if not row:
            raise self.wrong(node, name, _plain(node), "{zh: …, en: …}")
        return {language: self.text(cell, f"{name}.{language}") for language, cell in row.items()}

    def template(self, node: Node | None, name: str) -> Texts:
        """Texts whose braces hold plain names."""
        if node is None:
            return {}
        texts = self.texts(node, name)
        for text in texts.values():
            try:
                fields = [field for _, field, spec, _ in Formatter().parse(text) if field is not None or spec]
            except ValueError as error:
                raise self.wrong(node, name, text, "{name}") from error
            if any(not field or not _FIELD.fullmatch(field) for field in fields):
                raise self.wrong(node, name, text, "{name}")
        return texts

    def regex(self, node: Node | None, name: str) -> str:
        if node is None:
            return ""
        value = self.text(node, name)
        try:
            re.compile(value)
        except re.error as error:
            raise self.wrong(node, name, value, Phrase("policy.regex")) from error
        return value

    def number(self, node: Node | None, name: str, default: float, low: float, high: float) -> float:
        if node is None:
            return default
        value = _plain(node)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(node, name, value, f"{low:g} … {high:g}")
        return value

    def flag(self, node: Node | None, name: str, default: bool) -> bool:
        if node is None:
            return default
        value = _plain(node)
        if not isinstance(value, bool):
            raise self.wrong(node, name, value, "true, false")
        return value

    def at(self, node: Node) -> str:
        return f"{self.file}:{node.start_mark.line + 1}"

    def wrong(self, node: Node, name: str, value: Any, allowed: Any) -> InvalidSetting:
        return InvalidSetting(name=name, value=value, allowed=allowed, where=self.at(node))


def _plain(node: Node) -> Any:
    import yaml

    return yaml.safe_load(yaml.serialize(node))
