"""Alerts and the day's brief in words, Chinese and English; what a brief says of a company is quotes, each with its source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from apps.financial_sentiment.alerts import Alert
from apps.financial_sentiment.companies import Dictionary
from apps.pdf import Block, Piece, document
from core.i18n import message

if TYPE_CHECKING:
    from apps.financial_sentiment.brief import Brief
    from apps.financial_sentiment.standings import Standing


_PAGE = """<!doctype html>
<html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 16px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; color: #1c2733; }}
h1 {{ font-size: 1.5rem; border-bottom: 2px solid #b8892b; }} h2 {{ font-size: 1.05rem; margin-top: 1.6rem; }}
small, footer, .at {{ color: #5b6875; }} q {{ quotes: none; }} li {{ margin: .3rem 0; }} footer {{ margin-top: 2rem; font-size: .85rem; }}
h2, li {{ break-inside: avoid; }}
</style>
<body>
{body}
</body></html>
"""


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
    elif alert.when == "change":
        told = {"change": f"{told['change']:+.2f}", "level": f"{told['level']:+.2f}", "days": f"{told['days']:g}"}
    else:
        told = {"mood": f"{told['mood']:+.2f}", "level": f"{told['level']:+.2f}"}
    return message(f"financial_sentiment.reason.{alert.when}", language, **told)


def rule_name(id_: str, language: str) -> str:
    """What a rule is called: one that ships in the language, another as it is written."""
    return message(f"financial_sentiment.rule_names.{id_}", language) if id_ in RULES else id_


RULES = {
    "burst": "burst",
    "mood_drop": "mood_below",
    "mood_rise": "mood_above",
    "risk_event": "event",
}  # data/alerts.yaml: id, when
_ADDRESS = ":/?#[]@!$&'()*+,;=%-._~"  # what stands in a web address as it is
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


def title(brief: Brief, language: str) -> str:
    """What the brief is of: of everything, or of a group by its name."""
    head = message("financial_sentiment.brief", language)
    if not brief.group:
        return head
    return f"{head}{'：' if language == 'zh' else ': '}{group_name(brief.group, language)}"


def _standing(standing: Standing, language: str) -> str:
    """A company's name, mood, change and number of items."""
    return message(
        "financial_sentiment.brief_head", language, name=standing.company.name(language),
        mood=f"{standing.index.mood:+.2f}", change=f"{standing.change:+.2f}", count=standing.last[-1].count,
    )  # fmt: skip


def page(
    brief: Brief, names: Mapping[str, str], language: str, *, licences: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The whole brief as a page of HTML to keep or to print: every quote with its source, its time and, where there is one,
    its address and what was noted of the source's licence. Nothing of the news acts in it."""
    head = title(brief, language)
    lines = [f"<h1>{escape(head)}</h1><p class=at>{_when(brief.at)} UTC</p>"]
    for standing, reported in brief.standings:
        lines.append(f"<h2>{escape(_standing(standing, language))}</h2><ul>")
        for r in reported:
            label = message(f"financial_sentiment.label.{r.mood.label}", language)
            source = escape(f"{r.item.source}, {_when(r.item.published_at)}")
            if r.item.url.startswith(("https://", "http://")):
                source = f'<a href="{escape(r.item.url)}" rel="noreferrer">{source}</a>'
            if noted := licences.get(r.item.source):
                source += f" · {escape(noted)}"
            lines.append(
                f"<li><q>{escape(r.evidence)}</q> <small>{escape(label)} {r.mood.probability:.0%} · {source}</small></li>"
            )
        lines.append("</ul>")
    if brief.alerts:
        listed = "".join(
            f"<li>{escape(names.get(a.subject, a.subject))}: {escape(alert_text(a, language))}</li>"
            for a in brief.alerts
        )
        lines.append(f"<h2>{escape(message('financial_sentiment.brief_alerts', language))}</h2><ul>{listed}</ul>")
    lines.append(f"<footer>{escape(message('financial_sentiment.no_advice', language))}</footer>")
    return _PAGE.format(language=language, title=escape(head), body="\n".join(lines))


_SIGNS = re.compile(r"([\\`*_\[\]<>#~|&]|^[-+]|(?<=^\d)[.)]|(?<=^\d\d)[.)])")


def markdown(
    brief: Brief, names: Mapping[str, str], language: str, *, licences: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The whole brief as Markdown; what the news says stays words: signs are escaped, only web addresses are links."""
    lines = [f"# {_literal(title(brief, language))}", f"{_when(brief.at)} UTC"]
    for standing, reported in brief.standings:
        lines.append(f"## {_literal(_standing(standing, language))}")
        quotes = []
        for r in reported:
            label = message(f"financial_sentiment.label.{r.mood.label}", language)
            source = _literal(f"{r.item.source}, {_when(r.item.published_at)}")
            if r.item.url.startswith(("https://", "http://")):
                source = f"[{source}](<{quote(r.item.url, safe=_ADDRESS)}>)"
            if noted := licences.get(r.item.source):
                source += f" · {_literal(noted)}"
            quotes.append(f"- {_literal(r.evidence)} ({label} {r.mood.probability:.0%}, {source})")
        lines.append("\n".join(quotes))
    if brief.alerts:
        lines.append(f"## {message('financial_sentiment.brief_alerts', language)}")
        listed = (f"{names.get(a.subject, a.subject)}: {alert_text(a, language)}" for a in brief.alerts)
        lines.append("\n".join(f"- {_literal(told)}" for told in listed))
    lines.append(f"*{message('financial_sentiment.no_advice', language)}*")
    return "\n\n".join(lines) + "\n"


def _literal(text: str) -> str:
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def plain(
    brief: Brief, names: Mapping[str, str], language: str, *, licences: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The whole brief as plain text."""
    lines = [title(brief, language) + f" {datetime.fromtimestamp(brief.at, UTC):%Y-%m-%d %H:%M} UTC"]
    for standing, reported in brief.standings:
        lines.append("\n" + _standing(standing, language))
        for r in reported:
            source = ", ".join(part for part in (r.item.source, licences.get(r.item.source)) if part)
            lines.append(f"  - {r.evidence} ({source})")
    if brief.alerts:
        lines.append("")
        lines += [f"! {names.get(a.subject, a.subject)}: {alert_text(a, language)}" for a in brief.alerts]
    lines.append("\n" + message("financial_sentiment.no_advice", language))
    return "\n".join(lines)


def pdf(
    brief: Brief, names: Mapping[str, str], language: str, *, licences: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The whole brief as a PDF file; see :mod:`apps.pdf` for what a reader needs to show Chinese."""
    head = title(brief, language)
    blocks = [Block("title", (Piece(head),)), Block("paragraph", (Piece(f"{_when(brief.at)} UTC", soft=True),))]
    for standing, reported in brief.standings:
        blocks.append(Block("heading", (Piece(_standing(standing, language)),)))
        for r in reported:
            label = message(f"financial_sentiment.label.{r.mood.label}", language)
            link = quote(r.item.url, safe=_ADDRESS) if r.item.url.startswith(("https://", "http://")) else ""
            noted = licences.get(r.item.source)
            blocks.append(
                Block("item", (
                    Piece(f"{r.evidence} "), Piece(f"{label} {r.mood.probability:.0%} · ", soft=True),
                    Piece(f"{r.item.source}, {_when(r.item.published_at)}", soft=True, link=link),
                    Piece(f" · {noted}" if noted else "", soft=True),
                ))
            )  # fmt: skip
    if brief.alerts:
        blocks.append(Block("heading", (Piece(message("financial_sentiment.brief_alerts", language)),)))
        blocks += [
            Block("item", (Piece(f"{names.get(a.subject, a.subject)}: {alert_text(a, language)}"),))
            for a in brief.alerts
        ]
    blocks.append(Block("paragraph", (Piece(message("financial_sentiment.no_advice", language), soft=True),)))
    return document(blocks, title=f"{head} {_when(brief.at)[:10]}", language=language)
