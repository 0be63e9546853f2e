"""touchstone.yaml: the same settings by path, and rows of further services.

    models:
      chat: deepseek:deepseek-chat
    providers:
      mybox: {base_url: "http://192.168.1.20:8000/v1", key_variable: MYBOX_API_KEY, models: [qwen3-8b]}

Every value keeps ``file:line``, which the errors name. Keys never stand in this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, InvalidSetting
from core.i18n import Phrase

if TYPE_CHECKING:
    from yaml import Node

SERVICE_KEYS = ("base_url", "key_variable", "label", "models", "lacks")
CAPABILITIES = ("tools", "schema", "images", "logprobs")  # what a service may lack
URL = re.compile(r"https?://[^\s/]+\S*")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def read_yaml(path: Path, paths: Sequence[str]) -> tuple[dict[str, tuple[Any, str]], dict[str, dict[str, Any]]]:
    """The settings of ``path`` by their dotted path, with ``file:line``, and its ``providers`` rows.

    ``paths`` are the settings there are. A file that is not there has none.

    Raises:
        InputError: it cannot be read or is not YAML.
        InvalidSetting: an unknown setting, with the nearest known one, or a row that is not valid.
    """
    if not path.is_file():
        return {}, {}
    root = _compose(path)
    if root is None:
        return {}, {}
    values: dict[str, tuple[Any, str]] = {}
    services: dict[str, dict[str, Any]] = {}
    groups = [*dict.fromkeys(p.split(".")[0] for p in paths), "providers"]
    for key, where, node in _entries(root, path, path.name):
        if key == "providers":
            for name, _, row in _entries(node, path, "providers"):
                services[name] = _service(name, row, path)
        elif key in paths:
            values[key] = (_plain(node), where)
        elif key in groups:
            members = [p for p in paths if p.startswith(f"{key}.")]
            for item, at, cell in _entries(node, path, key):
                if f"{key}.{item}" not in members:
                    raise _unknown(at, f"{key}.{item}", members)
                values[f"{key}.{item}"] = (_plain(cell), at)
        else:
            raise _unknown(where, key, groups, also=paths)
    return values, services


def _compose(path: Path) -> Node | None:
    import yaml

    try:
        return yaml.compose(path.read_text("utf-8-sig"), Loader=yaml.SafeLoader)
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


def _service(name: str, row: Node, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item, where, cell in _entries(row, path, f"providers.{name}"):
        at = f"providers.{name}.{item}"
        if item not in SERVICE_KEYS:
            raise _unknown(where, at, [f"providers.{name}.{key}" for key in SERVICE_KEYS])
        value = _plain(cell)
        if item == "base_url" and not (isinstance(value, str) and URL.fullmatch(value)):
            raise InvalidSetting(name=at, value=value, allowed=Phrase("allowed.url"), where=where)
        if item == "key_variable" and not (isinstance(value, str) and VARIABLE.fullmatch(value)):
            # Whoever writes a key here must not read it in a log: the value is not repeated.
            raise InvalidSetting(name=at, value="…", allowed=Phrase("allowed.variable"), where=where)
        if item == "label" and not isinstance(value, str):
            raise InvalidSetting(name=at, value=value, allowed=Phrase("allowed.str"), where=where)
        if item == "models" and not (isinstance(value, list) and all(isinstance(model, str) for model in value)):
            raise InvalidSetting(name=at, value=value, allowed=Phrase("allowed.names"), where=where)
        if item == "lacks" and not (isinstance(value, list) and all(feature in CAPABILITIES for feature in value)):
            raise InvalidSetting(name=at, value=value, allowed=f"[{', '.join(CAPABILITIES)}]", where=where)
        found[item] = value
    return found


def _entries(node: Node, path: Path, name: str) -> Iterator[tuple[str, str, Node]]:
    """Key, ``file:line`` and value of a mapping."""
    from yaml import MappingNode

    if not isinstance(node, MappingNode):
        where = f"{path.name}:{node.start_mark.line + 1}"
        raise InvalidSetting(name=name, value=_plain(node), allowed=Phrase("allowed.mapping"), where=where)
    for key, value in node.value:
        yield str(key.value), f"{path.name}:{key.start_mark.line + 1}", value


def _unknown(where: str, name: str, allowed: Iterable[str], also: Iterable[str] = ()) -> InvalidSetting:
    allowed = list(allowed)
    short = {candidate.rpartition(".")[2]: candidate for candidate in [*also, *allowed]}
    near = get_close_matches(name, allowed, 1) or [
        short[n] for n in get_close_matches(name.rpartition(".")[2], short, 1)
    ]
    if near:
        return InvalidSetting(
            reason="unknown_near", name=name, where=where, allowed=", ".join(allowed), nearest=near[0]
        )
    return InvalidSetting(reason="unknown", name=name, where=where, allowed=", ".join(allowed))


def _plain(node: Node) -> Any:
    import yaml

    return yaml.safe_load(yaml.serialize(node))
