"""Alerts and the day's brief in words, Chinese and English; what a brief says of a company is quotes, each with its source."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.companies import Dictionary
from core.i18n import message

if TYPE_CHECKING:
    from apps.financial_sentiment.service import Digest


def alert_text(alert: Alert, language: str) -> str:
    """Why a rule spoke, in a sentence."""
    told = dict(alert.figures)
    if alert.when == "event":
        kinds = [message(f"financial_sentiment.event.{kind}", language) for kind in told["kinds"]]
        return message(
            "financial_sentiment.reason.event", language, kinds=("、" if language == "zh" else ", ").join(kinds)
        )
    if alert.when == "burst":
        told = {"count": told["count"], "expected": f"{told['expected']:.1f}"}
    else:
        told = {"mood": f"{told['mood']:+.2f}", "level": f"{told['level']:+.2f}"}
    return message(f"financial_sentiment.reason.{alert.when}", language, **told)


SECTORS = (
    "autos", "consumer", "energy", "finance", "health", "industry", "materials", "property", "technology", "telecom",
)  # fmt: skip


def group_name(id_: str, language: str) -> str:
    """What a group is called: a portfolio by its name, a sector that ships in the language, another as it is written."""
    kind, _, name = id_.partition(":")
    known = kind == "sector" and name in SECTORS
    return message(f"financial_sentiment.sector.{name}", language) if known else name


def subject_name(alert: Alert, dictionary: Dictionary, language: str) -> str:
    """What an alert's company or group is called."""
    if alert.scope == "group":
        return group_name(alert.subject, language)
    company = dictionary.companies.get(alert.subject)
    return company.name(language) if company else alert.subject


def plain(digest: Digest, names: dict[str, str], language: str) -> str:
    """The whole brief as plain text."""
    lines = [
        message("financial_sentiment.brief", language) + f" {datetime.fromtimestamp(digest.at, UTC):%Y-%m-%d %H:%M} UTC"
    ]
    for standing, reported in digest.standings:
        lines.append("\n" + message(
            "financial_sentiment.brief_head", language, name=standing.company.name(language),
            mood=f"{standing.index.mood:+.2f}", change=f"{standing.change:+.2f}", count=standing.last[-1].count,
        ))  # fmt: skip
        lines += [f"  - {r.evidence} ({r.item.source})" for r in reported]
    if digest.alerts:
        lines.append("")
        lines += [f"! {names.get(a.subject, a.subject)}: {alert_text(a, language)}" for a in digest.alerts]
    lines.append("\n" + message("financial_sentiment.no_advice", language))
    return "\n".join(lines)
