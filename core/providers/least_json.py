"""The shortest JSON that a schema allows, by estimate: how much room an answer needs to come to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_DEEPEST = 12  # of references and nested values; a schema that needs more of itself has no end


def least(schema: Mapping[str, Any]) -> str:
    """A short text of the schema's form: required properties only, empty strings, as few items as may be.

    Lengths and patterns of strings are counted, not met: the text tells how long an answer is, and is none.

    >>> least({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]})
    '{"a": ""}'
    """
    return _least(schema, schema, 0)


def _least(schema: Any, root: Mapping[str, Any], depth: int) -> str:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return "0"
    if "$ref" in schema:
        return _least(_found(str(schema["$ref"]), root), root, depth + 1)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if schema.get("enum"):
        return min((json.dumps(value, ensure_ascii=False) for value in schema["enum"]), key=len)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return min((_least(choice, root, depth + 1) for choice in schema[word]), key=len)
    if schema.get("allOf"):
        return max((_least(part, root, depth + 1) for part in schema["allOf"]), key=len)
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object" or "properties" in schema:
        known = schema.get("properties", {})
        named = (f"{json.dumps(k)}: {_least(known.get(k, {}), root, depth + 1)}" for k in schema.get("required", ()))
        return "{" + ", ".join(named) + "}"
    if kind == "array":
        one = _least(schema.get("items", {}), root, depth + 1)
        return "[" + ", ".join([one] * int(schema.get("minItems", 0))) + "]"
    if kind == "string":
        return '"' + "x" * int(schema.get("minLength", 0)) + '"'
    return {"boolean": "true", "null": "null"}.get(str(kind), "0")


def _found(reference: str, root: Mapping[str, Any]) -> Any:
    """What ``#/$defs/Name`` points to."""
    at: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        at = at.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(at, Mapping) and part else at
    return at if at is not root else {}
