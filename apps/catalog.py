"""The apps there are, as rows of data. A new app is one more row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_APPS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class App:
    """A row. ``title`` and ``about`` are keys of the catalogue, ``page`` a path below ``apps``."""

    id: str
    title: str
    about: str
    icon: str
    page: str

    @property
    def path(self) -> Path:
        return _APPS / self.page


APPS: tuple[App, ...] = (
    App("support", "apps.support.title", "apps.support.about", ":material/support_agent:", "customer_service/views/chat.py"),
    App("search", "apps.search.title", "apps.search.about", ":material/search:", "search/views/search.py"),
    App("sentiment", "apps.sentiment.title", "apps.sentiment.about", ":material/monitoring:", "financial_sentiment/views/desk.py"),
    App("recommend", "apps.recommend.title", "apps.recommend.about", ":material/auto_awesome:", "recommendation/views/for_you.py"),
)  # fmt: skip


def installed() -> tuple[App, ...]:
    """The apps whose pages are there, in the order of the home page."""
    return _INSTALLED


_INSTALLED = tuple(app for app in APPS if app.path.is_file())
