"""The texts of the apps: importing this module adds ``apps/locales`` to the catalogue of ``core.i18n``."""

from __future__ import annotations

from pathlib import Path

from core.i18n import add_catalogue

LOCALES = Path(__file__).parent / "locales"

add_catalogue(LOCALES)
