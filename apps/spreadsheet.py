"""Tables that people make and open in a spreadsheet."""

from __future__ import annotations

from core.errors import InputError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def harmless(cell: object) -> object:
    """``cell`` so that no spreadsheet takes it for a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def as_typed(cell: str) -> str:
    """What :func:`harmless` was given.

    >>> as_typed("'=1+1"), as_typed("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def decoded(data: bytes, name: str) -> str:
    """
    Raises:
        InputError: neither UTF-8 nor GB18030.
    """
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(reason="bad_encoding", name=name)
