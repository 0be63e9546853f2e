"""What documents carry beside their text: given by the caller, or read from a Markdown file's front matter.

Metadata is flat: a key has a text, a number, true or false, or a list of them; dates are ISO text. A nested
mapping of a front matter becomes keys with dots (``author.name``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from core.errors import InputError
from core.retrieval.filters import iso

MOST_KEYS, MOST_ITEMS, MOST_CHARACTERS = 100, 100, 2000
RESERVED = ("question", "table_header")  # what the splitter says about a passage
_KEY = re.compile(r'[^\x00-\x1f"\\$][^\x00-\x1f"\\]{0,99}')
_FRONT = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", re.DOTALL)
_LONGEST_FRONT = 20_000  # characters


def checked(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """``metadata`` as it is stored.

    Raises:
        InputError: bad_metadata for a key or value that cannot be stored and filtered by.
    """
    if len(metadata) > MOST_KEYS:
        raise _bad(f"{len(metadata)} keys", f"<= {MOST_KEYS}")
    found: dict[str, Any] = {}
    for key, value in metadata.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key) or key in RESERVED or not _encodes(key):
            raise _bad(key, f'a text without " and \\, not {", ".join(RESERVED)}')
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            if len(value) > MOST_ITEMS:
                raise _bad(f"{key}: {len(value)} items", f"<= {MOST_ITEMS}")
            found[key] = [_scalar(key, item) for item in value]
        elif value is not None:
            found[key] = _scalar(key, value)
    return found


def front_matter(text: str) -> dict[str, Any]:
    """The YAML block between two ``---`` at the very top of ``text``.

    What is there is a writer's habit, not an interface: a block that is not YAML, a key that cannot be stored and
    a value that cannot be filtered by are left out, and the document is indexed all the same.
    """
    match = _FRONT.match(text[: _LONGEST_FRONT + 10])
    if not match:
        return {}
    import yaml

    try:
        block = yaml.load(match[1], Loader=_plain_loader())  # noqa: S506  (a SafeLoader that refuses aliases)
        pairs = _flat(block, "", 0)  # a key of thousands of digits is a ValueError, too
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for key, value in pairs:
        try:
            if key not in ("title",) and len(found) < MOST_KEYS:
                found.update(checked({key: value}))
        except InputError:
            continue
    return found


def _flat(value: Any, path: str, depth: int) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and depth < 5:
        return [
            entry
            for key, item in value.items()
            for entry in _flat(item, f"{path}.{key}" if path else str(key), depth + 1)
        ]
    return [(path, value)] if path else []


def _scalar(key: str, value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one, too
        return iso(value)
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS or "\x00" in value or not _encodes(value):
            raise _bad(f"{key}: {value[:40]!r}…", f"<= {MOST_CHARACTERS} characters of text")
        return value
    if isinstance(value, int) and abs(value) >= 2**63:  # not shown: Python refuses to write thousands of digits
        raise _bad(f"{key}: a number of {value.bit_length()} bits", "-2**63 < number < 2**63")
    number = isinstance(value, int | float) and (isinstance(value, bool) or abs(value) < 2**63)  # nan is not
    if not number:
        raise _bad(f"{key}: {value!r}"[:200], "a text, a number, true, false, a date, or a list of them")
    return value


def _encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _bad(value: Any, allowed: str) -> InputError:
    return InputError(reason="bad_metadata", value=str(value)[:200], allowed=allowed)


def _plain_loader() -> Any:
    """A SafeLoader without aliases: ten lines of them can stand for gigabytes."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    return Loader
