"""Options that stand in a model's name, ``model?key=value&key=value``: those that change what comes out."""

from __future__ import annotations

from core.errors import InvalidSetting
from core.i18n import Phrase


def split_options(model: str, allowed: tuple[str, ...], name: str) -> tuple[str, dict[str, str]]:
    """The model and its options; ``name`` is the whole name, for the error.

    >>> split_options("BAAI/bge-m3?dim=256", ("dim",), "sentence-transformers:BAAI/bge-m3?dim=256")
    ('BAAI/bge-m3', {'dim': '256'})

    Raises:
        InvalidSetting: an option that there is not, or one without a value.
    """
    path, _, query = model.partition("?")
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in allowed or not value:
            choices = ", ".join(f"?{known}=…" for known in allowed)
            raise InvalidSetting(
                name=name, value=part, allowed=Phrase("allowed.one_of", choices=choices), where="engine:model"
            )
        options[key] = value
    return path, options


def dimension(options: dict[str, str], name: str) -> int | None:
    """The option ``dim``: to how many numbers a vector is cut.

    Raises:
        InvalidSetting: not a whole number of 1 or more.
    """
    value = options.get("dim")
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        allowed = Phrase("allowed.int_range", low=1, high="…")
        raise InvalidSetting(name="dim", value=value, allowed=allowed, where=name)
    return int(value)
