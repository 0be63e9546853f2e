"""Groups of companies: the sectors of the dictionary, and portfolios with weights of one's own.

A portfolio belongs to a tenant. Changing it changes what is told of the past, too: a group is a way to look at the
news, not a part of it.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apps.financial_sentiment.companies import Dictionary
from apps.financial_sentiment.sources import Refused
from core.errors import InputError, NotFound, TouchstoneError
from core.types import Caller
from core.workspace import Workspace

COLUMNS = ("portfolio", "company", "weight")
Kind = Literal["sector", "portfolio"]


@dataclass(frozen=True, slots=True)
class Group:
    """``weights`` are positive, by company id; only their ratios count."""

    kind: Kind
    name: str
    weights: Mapping[str, float]

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"

    def share(self, company: str) -> float:
        """The company's part of the whole weight."""
        return self.weights[company] / sum(self.weights.values())


def sectors(dictionary: Dictionary) -> list[Group]:
    """The sectors of a dictionary, each company with the same weight."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for company in dictionary.companies.values():
        if company.sector:
            found[company.sector][company.id] = 1.0
    return [Group("sector", name, found[name]) for name in sorted(found)]


def portfolio(name: str, weights: Mapping[str, float], dictionary: Dictionary) -> Group:
    """A portfolio that can be kept.

    Raises:
        InputError: (``bad_value``) no name, no company, a weight that is not positive.
        NotFound: a company is not in the dictionary.
    """
    name = " ".join(name.split())
    if not name or len(name) > 80:
        raise InputError(reason="bad_value", name="portfolio", value=name[:80], allowed="1 … 80")
    if not weights:
        raise InputError(reason="bad_value", name=name, value="", allowed="company, weight")
    for company, weight in weights.items():
        if company not in dictionary.companies:
            raise NotFound(kind="company", value=company)
        if not (math.isfinite(weight) and weight > 0):
            raise InputError(reason="bad_value", name=f"weight ({company})", value=weight, allowed="> 0")
    return Group("portfolio", name, dict(weights))


def parse(text: str, where: str, dictionary: Dictionary) -> tuple[list[Group], list[Refused]]:
    """Portfolios from CSV with the columns ``portfolio``, ``company`` (id, name or code) and ``weight`` (empty: 1).

    A row that cannot be taken is refused with its reason and the others are taken; a company that comes twice in a
    portfolio has the sum of its weights.

    Raises:
        InputError: (``data_column``) a column is missing.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for column in COLUMNS[:2]:
        if column not in (reader.fieldnames or ()):
            allowed = ", ".join(reader.fieldnames or ())
            raise InputError(reason="data_column", where=where, value=column, allowed=allowed)
    ids = ids_of(dictionary)
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    refused: list[Refused] = []
    for number, row in enumerate(reader, 2):
        name, said = ((row.get(column) or "").strip() for column in COLUMNS[:2])
        try:
            id_ = said if said in dictionary.companies else ids.get(said.casefold(), said)
            taken = portfolio(name, {id_: _weight(row.get("weight"))}, dictionary)
        except TouchstoneError as error:
            refused.append(Refused(f"{where}:{number}", error))
            continue
        found[taken.name][id_] += taken.weights[id_]
    return [portfolio(name, weights, dictionary) for name, weights in found.items()], refused


def _weight(said: str | None) -> float:
    text = (said or "").strip()
    try:
        return float(text.rstrip("%")) if text else 1.0
    except ValueError:
        raise InputError(reason="bad_value", name="weight", value=text, allowed="> 0") from None


def ids_of(dictionary: Dictionary) -> dict[str, str]:
    """The company of every name and code; those of more than one company are left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for company in dictionary.companies.values():
        for name, _ in company.names:
            found[name.casefold()].add(company.id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def written(groups: Iterable[Group]) -> str:
    """CSV that :func:`parse` reads."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (group.name, company, f"{weight:g}") for group in groups for company, weight in group.weights.items()
    )
    return out.getvalue()


class Portfolios:
    """The portfolios of a tenant."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def all(self, caller: Caller, dictionary: Dictionary) -> list[Group]:
        """By name; a member that the dictionary no longer has is left out, and a portfolio without members is gone."""
        with self.workspace.read() as db:
            rows = db.execute(
                "SELECT name, company, weight FROM news_portfolios WHERE tenant = ? ORDER BY name, weight DESC, company",
                (caller.tenant,),
            ).fetchall()
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for row in rows:
            if row["company"] in dictionary.companies:
                found[row["name"]][row["company"]] = row["weight"]
        return [Group("portfolio", name, weights) for name, weights in found.items()]

    def save(self, caller: Caller, groups: Sequence[Group]) -> None:
        """Keep portfolios; one of the same name is replaced."""
        with self.workspace.write() as db:
            for group in groups:
                db.execute("DELETE FROM news_portfolios WHERE tenant = ? AND name = ?", (caller.tenant, group.name))
                db.executemany(
                    "INSERT INTO news_portfolios VALUES (?, ?, ?, ?)",
                    [(caller.tenant, group.name, company, weight) for company, weight in group.weights.items()],
                )

    def delete(self, caller: Caller, name: str) -> None:
        """
        Raises:
            NotFound: there is none of this name.
        """
        with self.workspace.write() as db:
            gone = db.execute("DELETE FROM news_portfolios WHERE tenant = ? AND name = ?", (caller.tenant, name))
        if not gone.rowcount:
            raise NotFound(kind="portfolio", value=name)
