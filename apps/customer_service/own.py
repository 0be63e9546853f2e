"""The shop of your own that the settings name: a Python package with ``TOOLS``, ``POLICY`` and ``INTENTS``.

``touchstone new support NAME`` makes one from :mod:`apps.customer_service.starter`.
"""

from __future__ import annotations

import importlib
import keyword
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from core.errors import InputError, InvalidSetting
from core.i18n import Phrase
from core.settings import Settings

SETTING = "support.shop"
STARTER = Path(__file__).parent / "starter"
_MODULE = "apps.customer_service.starter"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def own_shop(settings: Settings) -> dict[str, Any]:
    """What ``CustomerService`` takes of one's own shop; nothing when the settings name none.

    The package is looked for in the settings' folder first.

    Raises:
        InvalidSetting: there is no such package, or it has no ``TOOLS`` or ``POLICY``.
    """
    name = settings.values[SETTING]
    if not name:
        return {}
    package = _imported(name, settings)
    missing = [part for part in ("TOOLS", "POLICY") if not hasattr(package, part)]
    if missing:
        raise _wrong(name, settings, Phrase("support.shop_lacks", parts=", ".join(missing)))
    return {"tools": package.TOOLS, "policy": Path(package.POLICY), "intents": getattr(package, "INTENTS", None)}


def _imported(name: str, settings: Settings) -> ModuleType:
    folder = str(settings.folder.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the package itself needs
        raise _wrong(name, settings, Phrase("support.shop_missing", folder=folder)) from error


def _wrong(name: str, settings: Settings, allowed: Phrase) -> InvalidSetting:
    return InvalidSetting(name=SETTING, value=name, allowed=allowed, where=settings.sources.get(SETTING, SETTING))


def scaffold(name: str, into: Path) -> list[Path]:
    """Make the package ``name`` in the folder ``into``, from the starter; the files written.

    Where there is no ``touchstone.yaml``, one that names the new shop is written beside the package.

    Raises:
        InputError: ``name`` is no name for a package, is taken by an installed one, or stands there already.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(reason="bad_value", name="NAME", value=name, allowed="my_shop")
    target = into / name
    if target.exists():
        raise InputError(reason="file_exists", name=str(target))
    if find_spec(name) is not None:
        raise InputError(reason="name_taken", name=name)
    shutil.copytree(STARTER, target, ignore=shutil.ignore_patterns("__pycache__", "model"))
    for path in sorted(target.rglob("*")):
        if path.is_file():
            path.write_text(path.read_text("utf-8").replace(_MODULE, name), "utf-8")
    written = [path for path in sorted(target.rglob("*")) if path.is_file()]
    settings = into / "touchstone.yaml"
    if not settings.exists():
        settings.write_text(f"support:\n  shop: {name}\n", "utf-8")
        written.append(settings)
    return written
