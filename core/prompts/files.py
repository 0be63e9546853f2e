"""Reads a prompt file and checks it; every error names file, line and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from core.errors import InputError, PromptError
from core.i18n import LANGUAGES, Phrase
from core.prompts.prompt import KINDS, FewShot, MessageTemplate, Prompt, Variable, used_variables
from core.types import Role

if TYPE_CHECKING:
    from yaml import Node

KEYS = ("id", "description", "variables", *LANGUAGES, "examples")
NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("language", "loop", "self")


def read_prompt(path: Path) -> Prompt:
    """The prompt in ``path``.

    Raises:
        InputError: the file cannot be read or is not YAML.
        PromptError: it is not a valid prompt.
    """
    import yaml

    try:
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise InputError(reason="unreadable_file", name=str(path), detail=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(reason="bad_yaml", where=path.name, detail=str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        raise InputError(
            reason="bad_yaml", where=where, detail=getattr(error, "problem", None) or str(error)
        ) from error
    return _Reader(path).prompt(root)


class _Reader:
    """The walk over one file's YAML nodes, which carry the line numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prompt(self, root: Node | None) -> Prompt:
        if root is None:
            raise self.wrong(None, "prompt_not_mapping", name=self.path.name)
        parts = self.mapping(root, self.path.name, KEYS)
        for key in ("id", "description", *LANGUAGES):
            if key not in parts:
                raise self.wrong(root, "prompt_missing_key", name=key, allowed=", ".join(KEYS))
        id = self.text(parts["id"], "id")
        if id != self.path.stem or not NAME.fullmatch(id):
            raise self.wrong(parts["id"], "prompt_bad_id", value=id, allowed=self.path.stem)
        variables = self.variables(parts["variables"]) if "variables" in parts else {}
        variants = {language: self.messages(parts[language], language) for language in LANGUAGES}
        for language, templates in variants.items():
            self.same_variables(parts[language], language, templates, variables)
        examples: dict[str, tuple[FewShot, ...]] = {}
        if "examples" in parts:
            for language, node in self.mapping(parts["examples"], "examples", LANGUAGES).items():
                examples[language] = tuple(self.example(item, variables) for item in self.items(node, "examples"))
        return Prompt(id, self.text(parts["description"], "description"), variables, variants, examples)

    def variables(self, node: Node) -> dict[str, Variable]:
        from yaml import ScalarNode

        found: dict[str, Variable] = {}
        for name, cell in self.mapping(node, "variables").items():
            if name in RESERVED or not NAME.fullmatch(name):
                raise self.wrong(
                    cell, "prompt_bad_variable", name=name, allowed=f"[a-z][a-z0-9_]*, != {', '.join(RESERVED)}"
                )
            row = {"type": cell} if isinstance(cell, ScalarNode) else self.mapping(cell, name, ("type", "default"))
            kind = self.text(row["type"], "type") if "type" in row else "str"
            if kind not in KINDS:
                raise self.wrong(
                    cell, "prompt_bad_value", name=f"variables.{name}.type", value=kind, allowed=", ".join(KINDS)
                )
            found[name] = Variable(name, kind, _plain(row["default"])) if "default" in row else Variable(name, kind)
            if "default" in row and not found[name].accepts(found[name].default):
                raise self.wrong(
                    row["default"],
                    "prompt_bad_value",
                    name=f"variables.{name}.default",
                    value=found[name].default,
                    allowed=kind,
                )
        return found

    def messages(self, node: Node, language: str) -> tuple[MessageTemplate, ...]:
        found: list[MessageTemplate] = []
        roles = [role for role in get_args(Role) if role != "tool"]
        for item in self.items(node, language):
            row = self.mapping(item, language, ("role", "content"))
            for key in ("role", "content"):
                if key not in row:
                    raise self.wrong(item, "prompt_missing_key", name=f"{language}.{key}", allowed="role, content")
            role = self.text(row["role"], "role")
            if role not in roles:
                raise self.wrong(
                    row["role"], "prompt_bad_value", name=f"{language}.role", value=role, allowed=", ".join(roles)
                )
            found.append(MessageTemplate(role, self.text(row["content"], "content")))  # type: ignore[arg-type]  # checked
        if not found or found[-1].role != "user":
            raise self.wrong(node, "prompt_last_user", name=language)
        return tuple(found)

    def same_variables(
        self, node: Node, language: str, templates: tuple[MessageTemplate, ...], variables: Mapping[str, Variable]
    ) -> None:
        from jinja2 import TemplateSyntaxError

        try:
            used = used_variables(templates)
        except TemplateSyntaxError as error:
            raise self.wrong(node, "prompt_bad_template", name=language, detail=error.message) from error
        if used - set(variables):
            names = ", ".join(sorted(used - set(variables)))
            raise self.wrong(node, "prompt_undeclared", name=language, value=names, allowed=", ".join(variables) or "-")
        if set(variables) - used:
            raise self.wrong(node, "prompt_unused", name=language, value=", ".join(sorted(set(variables) - used)))

    def example(self, node: Node, variables: Mapping[str, Variable]) -> FewShot:
        row = self.mapping(node, "examples", ("values", "answer"))
        for key in ("values", "answer"):
            if key not in row:
                raise self.wrong(node, "prompt_missing_key", name=f"examples.{key}", allowed="values, answer")
        values: dict[str, Any] = {}
        for name, cell in self.mapping(row["values"], "values", tuple(variables)).items():
            values[name] = _plain(cell)
            if not variables[name].accepts(values[name]):
                raise self.wrong(cell, "prompt_bad_value", name=name, value=values[name], allowed=variables[name].kind)
        for name, variable in variables.items():
            if variable.required and name not in values:
                raise self.wrong(row["values"], "prompt_missing_key", name=name, allowed=", ".join(variables))
        return FewShot(values, self.text(row["answer"], "answer"))

    def mapping(self, node: Node, name: str, allowed: Iterable[str] = ()) -> dict[str, Node]:
        from yaml import MappingNode

        if not isinstance(node, MappingNode):
            raise self.wrong(node, "prompt_not_mapping", name=name)
        allowed = tuple(allowed)
        found: dict[str, Node] = {}
        for key, value in node.value:
            if allowed and key.value not in allowed:
                raise self.wrong(key, "prompt_unknown_key", value=key.value, allowed=", ".join(allowed))
            if key.value in found:
                raise self.wrong(key, "prompt_twice", name=key.value)
            found[key.value] = value
        return found

    def items(self, node: Node, name: str) -> list[Node]:
        from yaml import SequenceNode

        if not isinstance(node, SequenceNode):
            raise self.wrong(node, "prompt_not_list", name=name)
        return list(node.value)

    def text(self, node: Node, name: str) -> str:
        value = _plain(node)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(node, "prompt_bad_value", name=name, value=value, allowed=Phrase("word.text"))
        return value

    def wrong(self, node: Node | None, phrase: str, **params: Any) -> PromptError:
        where = f"{self.path.name}:{node.start_mark.line + 1}" if node is not None else self.path.name
        return PromptError(reason="bad_file", where=where, detail=Phrase(f"detail.{phrase}", **params))


def _plain(node: Node) -> Any:
    import yaml

    return yaml.safe_load(yaml.serialize(node))
