"""A prompt: a YAML file of typed variables and Chinese and English message templates.

    id: greeting
    description: Says hello.
    variables:
      name: str                                  # required
      tone: {type: str, default: friendly}       # optional
    zh:
      - {role: system, content: "语气：{{ tone }}"}
      - {role: user, content: "{{ name }} 来了"}
    en:
      - {role: system, content: "Tone: {{ tone }}"}
      - {role: user, content: "{{ name }} is here"}
    examples:                                    # few-shot, optional
      zh: [{values: {name: 小李}, answer: 你好，小李！}]
      en: [{values: {name: Ann}, answer: "Hello, Ann!"}]

Strict: a missing, unknown or wrongly typed variable is an error, and so is a template that uses a variable
the file does not declare. Templates run in Jinja's immutable sandbox. Roles are structure: a variable fills
the content of one message, so it can never become a role or another message; control tokens of chat formats
(``<|im_start|>``) that a value carries are broken up, because a local engine would read them as roles.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import PromptError, UnknownName
from core.i18n import LANGUAGES
from core.types import Message, Role

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list, tuple),
}
_REQUIRED: Any = object()
_CONTROL_TOKEN = re.compile(
    r"<(?=[|｜][^<>\n]{1,40}[|｜]>)"  # <|im_start|>, <｜User｜>
    r"|<(?=/?s>|(?:start|end)_of_turn>|<SYS>>|</SYS>>)"
    r"|\[(?=/?INST\])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: ``kind`` is a key of ``KINDS``; without a default it is required."""

    name: str
    kind: str
    default: Any = _REQUIRED

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED

    def accepts(self, value: Any) -> bool:
        if isinstance(value, bool) and self.kind != "bool":
            return False
        return isinstance(value, KINDS[self.kind])


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class FewShot:
    """An example: ``values`` fill the last user message as the real values do, ``answer`` is the reply."""

    values: Mapping[str, Any]
    answer: str


@dataclass(frozen=True)
class Prompt:
    """A checked prompt. ``variants`` and ``examples`` are by language."""

    id: str
    description: str
    variables: Mapping[str, Variable]
    variants: Mapping[str, tuple[MessageTemplate, ...]]
    examples: Mapping[str, tuple[FewShot, ...]]

    @cached_property
    def version(self) -> str:
        """First 12 hex digits of the SHA-256 of everything that shapes the messages; not of the description."""
        content = {
            "id": self.id,
            "variables": {v.name: [v.kind] if v.required else [v.kind, v.default] for v in self.variables.values()},
            "variants": {k: [[m.role, m.content] for m in self.variants[k]] for k in sorted(self.variants)},
            "examples": {k: [[dict(e.values), e.answer] for e in self.examples[k]] for k in sorted(self.examples)},
        }
        canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def ref(self) -> str:
        """``id@version``, as traces, ledger rows and scores carry it."""
        return f"{self.id}@{self.version}"

    def render(self, /, *, language: str, **values: Any) -> tuple[Message, ...]:
        """The messages in ``language``, examples as user and assistant messages before the last user message.

        Raises:
            PromptError: a variable is missing, unknown or of the wrong type, or the template cannot be filled.
            UnknownName: no such language.
        """
        if language not in self.variants:
            raise UnknownName(kind="language", value=language, allowed=", ".join(self.variants))
        filled = self._filled(values)
        *before, last = self._compiled[language]
        messages = [Message(role, self._content(template, filled)) for role, template in before]
        for example in self.examples.get(language, ()):
            messages.append(Message("user", self._content(last[1], self._filled(example.values))))
            messages.append(Message("assistant", example.answer))
        messages.append(Message(last[0], self._content(last[1], filled)))
        return tuple(messages)

    @cached_property
    def _compiled(self) -> Mapping[str, tuple[tuple[Role, Template], ...]]:
        environment = sandbox()
        return {
            language: tuple((m.role, environment.from_string(m.content)) for m in templates)
            for language, templates in self.variants.items()
        }

    def _filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(values) - set(self.variables))
        if unknown:
            raise PromptError(
                reason="unknown_variable",
                prompt=self.ref,
                names=", ".join(unknown),
                allowed=", ".join(self.variables) or "-",
            )
        filled = {v.name: v.default for v in self.variables.values() if not v.required} | dict(values)
        missing = [name for name in self.variables if name not in filled]
        if missing:
            raise PromptError(reason="missing_variable", prompt=self.ref, names=", ".join(missing))
        for name, value in filled.items():
            if not self.variables[name].accepts(value):
                kind = self.variables[name].kind
                raise PromptError(
                    reason="wrong_type", prompt=self.ref, name=name, allowed=kind, value=type(value).__name__
                )
        return filled

    def _content(self, template: Template, filled: Mapping[str, Any]) -> str:
        from jinja2.exceptions import SecurityError, TemplateError, UndefinedError

        try:
            text = template.render(filled)
        except SecurityError as error:
            raise PromptError(reason="unsafe", prompt=self.ref, detail=str(error)) from error
        except UndefinedError as error:
            raise PromptError(reason="missing_variable", prompt=self.ref, names=str(error)) from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise PromptError(reason="not_rendered", prompt=self.ref, detail=str(error)) from error
        return without_control_tokens(text)


def without_control_tokens(text: str) -> str:
    """``text`` with the control tokens of chat formats broken by a space: ``< |im_start|>``."""
    return _CONTROL_TOKEN.sub(lambda found: found[0] + " ", text)


def fenced(text: str, tag: str, **attributes: object) -> str:
    """``text`` between ``<tag …>`` and ``</tag>``; the text cannot close the fence or open another.

    The Jinja filter for everything that is data and not instruction:
    ``{{ source.text | fenced("source", n=1, title=source.title) }}``.
    """
    inside = re.sub(rf"<(?=\s*/?\s*{re.escape(tag)}\b)", "< ", str(text), flags=re.IGNORECASE)
    given = "".join(f' {name}="{_attribute(value)}"' for name, value in attributes.items() if value not in (None, ""))
    return f"<{tag}{given}>\n{inside.strip()}\n</{tag}>"


def _attribute(value: object) -> str:
    return re.sub(r"\s+", " ", str(value)).replace('"', "'").replace("<", "(").replace(">", ")").strip()


@lru_cache(maxsize=1)
def sandbox() -> ImmutableSandboxedEnvironment:
    """The one Jinja environment of all prompts: strict, sandboxed, no globals, no loader."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.clear()
    environment.filters["fenced"] = fenced
    return environment


def used_variables(templates: Sequence[MessageTemplate]) -> set[str]:
    """The names that ``templates`` take from outside.

    Raises:
        jinja2.TemplateSyntaxError: a template is not valid, or includes another one.
    """
    from jinja2 import TemplateSyntaxError, meta, nodes

    names: set[str] = set()
    for template in templates:
        tree = sandbox().parse(template.content)
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise TemplateSyntaxError("include, import and extends are not allowed", node.lineno)
        names |= meta.find_undeclared_variables(tree)
    return names


def parity_problems(prompt: Prompt) -> list[str]:
    """How the language variants differ in roles, variables or number of examples; empty when they agree."""
    first, *others = LANGUAGES
    problems = []
    for other in others:
        for what, of in (
            ("roles", lambda k: [m.role for m in prompt.variants[k]]),
            ("variables", lambda k: sorted(used_variables(prompt.variants[k]))),
            ("examples", lambda k: len(prompt.examples.get(k, ()))),
        ):
            if of(first) != of(other):
                problems.append(f"{prompt.id}: {what} differ: {first} {of(first)}, {other} {of(other)}")
    return problems
