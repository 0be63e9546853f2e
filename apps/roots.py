"""Folders of this machine that a page or the service may read: those inside the setting ``retrieval.folders``, or any."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import InputError, MissingFile
from core.settings import Settings


def roots(settings: Settings) -> list[Path]:
    """The folders of the setting, in full; none: any."""
    named = settings.values["retrieval.folders"]
    return [Path(part).expanduser().resolve() for part in named.split(os.pathsep) if part.strip()]


def inside(path: str, settings: Settings, *, needed_for: str) -> Path:
    """``path`` in full, when it is a folder that may be read.

    Raises:
        MissingFile: no such folder.
        InputError: folder_not_allowed, it is outside the folders of the setting.
    """
    full = Path(path.strip()).expanduser().resolve()
    if not full.is_dir():
        raise MissingFile(path=path.strip(), needed_for=needed_for)
    allowed = roots(settings)
    if allowed and not any(full.is_relative_to(root) for root in allowed):
        raise InputError(reason="folder_not_allowed", value=path.strip(), allowed=os.pathsep.join(map(str, allowed)))
    return full
