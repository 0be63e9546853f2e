"""Touchstone's core: models, retrieval, prompts, evaluation behind small typed contracts.

>>> import core
>>> core.__version__
'0.1.0'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from core.runtime import Runtime, open_runtime
    from core.settings import Settings, load_settings

_LAZY = {
    "Runtime": "core.runtime",
    "open_runtime": "core.runtime",
    "Settings": "core.settings",
    "load_settings": "core.settings",
}
__all__ = ["Runtime", "Settings", "__version__", "load_settings", "open_runtime"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'core' has no attribute {name!r}")
