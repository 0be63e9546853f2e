"""``.env``: read with line numbers, written without losing what stands in it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import InputError, InvalidSetting, StoreError
from core.i18n import Phrase

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_\-./:@+=,%?&~]*")


def read_env(path: Path) -> dict[str, tuple[str, int]]:
    """Variables of ``path`` with their line; none when it is not there. A line says nothing about values.

    Raises:
        InputError: it cannot be read, or a line is not ``NAME=value``.
    """
    if not path.is_file():
        return {}
    from io import StringIO

    from dotenv.parser import parse_stream

    found: dict[str, tuple[str, int]] = {}
    for binding in parse_stream(StringIO(_text(path))):
        if binding.error:
            raise InputError(reason="bad_env", where=f"{path.name}:{binding.original.line}")
        if binding.key and binding.value is not None:
            found[binding.key] = (binding.value, binding.original.line)
    return found


def save_env(folder: Path, variables: Mapping[str, str | None]) -> Path:
    """Set ``variables`` in ``folder``'s ``.env`` and return its path; ``None`` takes a variable out.

    Comments and other lines stay as they are. The file is replaced in one step and readable by its owner only.

    Raises:
        InvalidSetting: a name is not a variable's, or a value has more than one line.
        InputError: the present file cannot be read; it is left alone.
        StoreError: the file cannot be written.
    """
    for name, value in variables.items():
        if not NAME.fullmatch(name):
            raise InvalidSetting(name=name, value="…", allowed=Phrase("allowed.variable"), where=".env")
        if value is not None and not value.isprintable():
            raise InvalidSetting(name=name, value="…", allowed=Phrase("allowed.one_line"), where=".env")
    path = (folder / ".env").resolve()  # a link stays a link
    text = _changed(_text(path) if path.is_file() else "", variables)
    try:
        _replace(path, text)
    except OSError as error:
        raise StoreError(path=str(path), detail=error.strerror or str(error)) from error
    return path


def _changed(text: str, variables: Mapping[str, str | None]) -> str:
    from io import StringIO

    from dotenv.parser import parse_stream

    bindings = list(parse_stream(StringIO(text)))
    last = {binding.key: number for number, binding in enumerate(bindings) if binding.key in variables}
    lines: list[str] = []
    for number, binding in enumerate(bindings):
        original = binding.original.string
        if binding.key not in last:
            lines.append(original)
        elif number == last[binding.key] and (value := variables[binding.key or ""]) is not None:
            blank = original[: len(original) - len(original.lstrip())]
            lines.append(f"{blank}{binding.key}={_quoted(value)}\n")
    written = "".join(lines)
    added = {name: value for name, value in variables.items() if name not in last and value is not None}
    if added and written and not written.endswith("\n"):
        written += "\n"
    return written + "".join(f"{name}={_quoted(value)}\n" for name, value in added.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(reason="unreadable_file", name=str(path), detail=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(reason="unreadable_file", name=str(path), detail=str(error)) from error


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".env-")  # mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
