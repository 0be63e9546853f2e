"""The sentiment desk as plain Python: add news, ask how companies stand; no page and no HTTP.

>>> from apps.financial_sentiment import Desk                        # doctest: +SKIP
>>> desk = Desk.open()                                               # doctest: +SKIP
>>> desk.add([NewsItem("比亚迪上调全年销量目标")])                    # doctest: +SKIP
>>> [(row.company.zh, row.index.mood) for row in desk.companies()]   # doctest: +SKIP

Every figure takes ``at``: what was known at that time, and nothing that was seen later.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apps.i18n  # noqa: F401  (its import registers the catalogue)
from apps.financial_sentiment import alerts as rules
from apps.financial_sentiment import analysis, companies, groups, novelty, own, prices, series, sources
from apps.financial_sentiment.alerts import Alert, Rule
from apps.financial_sentiment.analysis import Analyzer, Opinion
from apps.financial_sentiment.archives import home
from apps.financial_sentiment.choices import Choices
from apps.financial_sentiment.companies import Company, Dictionaries, Dictionary
from apps.financial_sentiment.groups import Group, Portfolios
from apps.financial_sentiment.head import Head
from apps.financial_sentiment.items import TEXT_LIMIT, Added, Items, Mood, NewsItem, Stored
from apps.financial_sentiment.journal import Action, Journal
from apps.financial_sentiment.own import Trained
from apps.financial_sentiment.prices import PriceColumns, Prices
from apps.financial_sentiment.public import LABELS
from apps.financial_sentiment.series import DAY, Day
from apps.financial_sentiment.sources import COLUMNS, Columns, Reading, Refused
from apps.financial_sentiment.standings import GroupStanding, Standing, group_standing, standing
from apps.financial_sentiment.troubles import Troubles
from apps.financial_sentiment.vectors import Vectors
from core.errors import InputError, NotFound
from core.providers.sync import run
from core.runtime import Runtime, open_runtime
from core.settings import Settings
from core.types import LOCAL, Caller

SAMPLE = Path(__file__).parent / "sample"
ALERT_DAYS = 30
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Import:
    """What came of reading and adding: counts, and each thing that was refused, or noticed, with its reason."""

    added: Added
    refused: tuple[Refused, ...] = ()
    noticed: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """An item as it concerns one company; places are those of ``item.body``."""

    item: Stored
    mood: Mood
    copies: tuple[Stored, ...] = ()

    @property
    def evidence(self) -> str:
        return self.item.body[slice(*self.mood.evidence)]


class Desk:
    """News in, moods and alerts out."""

    def __init__(self, runtime: Runtime, head: Head | None = None) -> None:
        self.runtime = runtime
        self.items = Items(runtime.workspace, self._named)
        self.choices = Choices(runtime.workspace)
        self.troubles = Troubles(runtime.workspace)
        self.journal = Journal(runtime.workspace)
        self.prices = Prices(runtime.workspace)
        self._portfolios = Portfolios(runtime.workspace)
        self._given = head
        self.heads = runtime.workspace.folder / "heads" / "sentiment"
        self._own: tuple[str, Head | None] | None = None  # what is in use, and the head
        self._dictionaries = Dictionaries(runtime.workspace)

    @classmethod
    def open(cls, settings: Settings | None = None, *, folder: Path | None = None) -> Desk:
        """A desk over its own runtime, in the workspace of the settings."""
        return cls(open_runtime(settings, folder=folder))

    def close(self) -> None:
        self.runtime.close()

    # --- companies ----------------------------------------------------------------------------

    def dictionary(self, caller: Caller = LOCAL) -> Dictionary:
        """The shipped companies, those of the sample once it is loaded, and the tenant's own."""
        return self._dictionaries.of(home(caller))

    def add_companies(self, listed: Iterable[Company], caller: Caller = LOCAL) -> None:
        """Add companies of the tenant's own; one of the same id is replaced. All items are judged again."""
        self._dictionaries.add(caller, listed)
        self.items.forget_judgments(caller)
        self.judge(caller)

    def _named(self, caller: Caller, text: str) -> list[str]:
        return [mention.company.id for mention in self.dictionary(caller).find(text)]

    def company(self, id_: str, caller: Caller = LOCAL) -> Company:
        """
        Raises:
            NotFound: no company has this id.
        """
        found = self.dictionary(caller).companies.get(id_)
        if found is None:
            raise NotFound(kind="company", value=id_)
        return found

    # --- groups -------------------------------------------------------------------------------

    def groups(self, caller: Caller = LOCAL) -> list[Group]:
        """The tenant's portfolios by name, then the sectors of the dictionary."""
        dictionary = self.dictionary(caller)
        return [*self._portfolios.all(home(caller), dictionary), *groups.sectors(dictionary)]

    def group(self, id_: str, caller: Caller = LOCAL) -> Group:
        """
        Raises:
            NotFound: no group has this id.
        """
        for group in self.groups(caller):
            if group.id == id_:
                return group
        raise NotFound(kind="group", value=id_)

    def save_portfolio(self, name: str, weights: Mapping[str, float], caller: Caller = LOCAL) -> Group:
        """Keep a portfolio; one of the same name is replaced.

        Raises:
            InputError: (``bad_value``) no name, no company, a weight that is not positive.
            NotFound: a company is not in the dictionary.
        """
        made = groups.portfolio(name, weights, self.dictionary(caller))
        self._portfolios.save(caller, [made])
        return made

    def delete_portfolio(self, name: str, caller: Caller = LOCAL) -> None:
        """
        Raises:
            NotFound: there is none of this name.
        """
        self._portfolios.delete(caller, name)

    def add_portfolios(self, text: str, where: str, caller: Caller = LOCAL) -> tuple[list[Group], list[Refused]]:
        """Keep the portfolios of a CSV text; see :func:`apps.financial_sentiment.groups.parse`."""
        made, refused = groups.parse(text, where, self.dictionary(caller))
        self._portfolios.save(caller, made)
        return made, refused

    # --- news ---------------------------------------------------------------------------------

    def head(self) -> Head:
        """The workspace's own when one is in use; else ``full`` when the embedding model is the one that it was trained
        with, else ``words``."""
        if self._given is not None:
            return self._given
        named = own.current(self.heads)
        if self._own is None or self._own[0] != named:
            self._own = (named, own.in_use(self.heads))
        if self._own[1] is not None:
            return self._own[1]
        return analysis.fitting(self.runtime.settings.model("embedding"))

    def analyzer(self, caller: Caller = LOCAL) -> Analyzer:
        head = self.head()
        return Analyzer(self.dictionary(caller), head, self.runtime.embedding() if head.embedding else None)

    def analyze(self, text: str, caller: Caller = LOCAL) -> list[Opinion]:
        """What ``text`` says of each company in it; nothing is stored.

        Raises:
            InputError: (``empty_question``) there is no text.
        """
        if not text.strip():
            raise InputError(reason="empty_question")
        return run(self.analyzer(caller).analyze([text]))[0]

    def add(
        self, items: Iterable[NewsItem], caller: Caller = LOCAL, *, progress: Callable[[int], None] | None = None
    ) -> Added:
        """Store and judge items; what is stored already is left alone, so that adding twice changes nothing.

        Of a longer text the first ``TEXT_LIMIT`` characters are kept, and its source has a record of it.
        """
        items = list(items)
        added = self.items.add(caller, items, time.time())
        self.troubles.note(caller, (sources.cut(item) for item in items if len(item.text) > TEXT_LIMIT))
        self.judge(caller, progress=progress)
        return added

    def judge(self, caller: Caller = LOCAL, *, progress: Callable[[int], None] | None = None) -> int:
        """Judge what is stored and not judged; a killed run goes on here. Returns how many items were judged."""
        analyzer, done = self.analyzer(caller), 0
        analyzer.store = Vectors(self.runtime.workspace)
        version = str(analyzer.head.about.get("version", "own"))
        while waiting := self.items.pending(caller, version, _BATCH):
            opinions = run(analyzer.analyze([item.body for item in waiting]))
            self.items.save_opinions({item.id: found for item, found in zip(waiting, opinions, strict=True)}, version)
            done += len(waiting)
            if progress:
                progress(done)
        return done

    def add_reading(self, reading: Reading, caller: Caller = LOCAL, *, archive: bool = False) -> Import:
        """Add what a reader of :mod:`apps.financial_sentiment.sources` gave.

        Args:
            archive: items count as seen when they were published, for a replay of the past.
        """
        reading = sources.as_if_live(reading) if archive else reading
        self.troubles.note(caller, (*reading.refused, *reading.noticed))
        return Import(self.add(reading.items, caller), reading.refused, reading.noticed)

    def add_path(
        self, path: Path, caller: Caller = LOCAL, *, columns: Columns = COLUMNS, archive: bool = False
    ) -> Import:
        """Add a file or folder; reading it again adds only what is new.

        Raises:
            MissingFile: nothing is there.
        """
        return self.add_reading(sources.read(path, columns), caller, archive=archive)

    def prepare(self, caller: Caller = LOCAL) -> None:
        """Load the sample, unless the desk has news: sixty days that end now, of companies that do not exist."""
        if self.items.latest(caller) is None:
            self.load_sample(caller, now=time.time())

    def load_sample(self, caller: Caller = LOCAL, *, now: float) -> Added:
        from apps.financial_sentiment.sample import sample_items, sample_prices

        self.add_companies(companies.read(SAMPLE / "companies.csv"), caller)
        self.prices.save(caller, sample_prices(now), now)
        return self.add(sample_items(now), caller)

    # --- what is known at a time --------------------------------------------------------------

    def companies(
        self, caller: Caller = LOCAL, *, at: float | None = None, days: int = 14, change_days: int = 7
    ) -> list[Standing]:
        """Every company named in the last ``days``, the most spoken of first."""
        at = time.time() if at is None else at
        by_company = self._by_company(caller, at, (days + series.BASELINE_DAYS) * DAY)
        known = self.dictionary(caller).companies
        found = [
            standing(known[id_], moods, at, days=days, change_days=change_days)
            for id_, moods in by_company.items()
            if id_ in known and any(m.moment > at - days * DAY for m in moods)
        ]
        return sorted(found, key=lambda s: (-s.items, s.company.id))

    def timeline(self, company: str, caller: Caller = LOCAL, *, at: float | None = None, days: int = 60) -> list[Day]:
        """The company's index, volume and novelty, a row per day, oldest first."""
        at = time.time() if at is None else at
        moods = self.items.moods(caller, at, company=company)
        return series.days(moods, at, days, novelty=self._novelty(caller, moods, at, days))

    def group_standings(
        self, caller: Caller = LOCAL, *, at: float | None = None, days: int = 14, change_days: int = 7
    ) -> list[GroupStanding]:
        """Every portfolio, and every sector that was named in the last ``days``."""
        at = time.time() if at is None else at
        by_company = self._by_company(caller, at, (days + series.BASELINE_DAYS) * DAY)
        dictionary = self.dictionary(caller)
        found = [
            group_standing(group, by_company, dictionary, at, days=days, change_days=change_days)
            for group in self.groups(caller)
            if group.kind == "portfolio" or any(id_ in by_company for id_ in group.weights)
        ]
        return [s for s in found if s.items or s.group.kind == "portfolio"]

    def group_timeline(
        self, group: str, caller: Caller = LOCAL, *, at: float | None = None, days: int = 60
    ) -> list[Day]:
        """A group's index, mentions and novelty, a row per day, oldest first.

        Raises:
            NotFound: no group has this id.
        """
        at = time.time() if at is None else at
        weights = self.group(group, caller).weights
        by_company = self._by_company(caller, at, (days + series.BASELINE_DAYS) * DAY)
        moods = [mood for company in weights for mood in by_company.get(company, ())]
        return series.days(moods, at, days, weights=weights, novelty=self._novelty(caller, moods, at, days))

    def reported(
        self, company: str, caller: Caller = LOCAL, *, at: float | None = None, since: float = 0.0, limit: int = 50
    ) -> list[Reported]:
        """The items that speak of a company, newest first, each with its copies."""
        at = time.time() if at is None else at
        moods = self.items.moods(caller, at, company=company, since=since)[::-1][:limit]
        items = self.items.get(caller, [m.item_id for m in moods])
        return [Reported(items[m.item_id], m, tuple(self.items.copies(caller, m.item_id, at))) for m in moods]

    def add_prices(
        self, text: str, where: str, caller: Caller = LOCAL, *, columns: PriceColumns | None = None, company: str = ""
    ) -> tuple[int, list[Refused]]:
        """Keep the closing prices of a CSV text: how many, and the rows that were refused.

        Args:
            columns: by default what the names of the columns say.
            company: the company that the file is about, when no column says so.

        Raises:
            InputError: (``data_column``) a column is missing.
        """
        chosen = columns or prices.guessed(prices.columns(text))
        listed, refused = prices.parse(text, where, self.dictionary(caller), chosen, company=company)
        return self.prices.save(caller, listed, time.time()), refused

    def feed(
        self,
        caller: Caller = LOCAL,
        *,
        at: float | None = None,
        labels: Iterable[str] = (),
        companies: Iterable[str] = (),
        events_only: bool = False,
        limit: int = 50,
        back_s: float = 14 * DAY,
    ) -> list[tuple[Stored, tuple[Mood, ...]]]:
        """The items of all companies, newest first, each with what it says of them; without ``labels`` or ``companies`` any.

        An item is in it when one of its moods is asked for; the moods given are those that are.
        """
        at = time.time() if at is None else at
        wanted, named = set(labels), set(companies)
        found: dict[int, list[Mood]] = {}
        for mood in reversed(self.items.moods(caller, at, since=at - back_s)):
            if (
                (wanted and mood.label not in wanted)
                or (named and mood.company not in named)
                or (events_only and not mood.events)
            ):
                continue
            if mood.item_id not in found and len(found) == limit:
                break
            found.setdefault(mood.item_id, []).append(mood)
        items = self.items.get(caller, found)
        return [(items[id_], tuple(moods)) for id_, moods in found.items()]

    def alerts(
        self,
        caller: Caller = LOCAL,
        *,
        at: float | None = None,
        since: float | None = None,
        using: Sequence[Rule] | None = None,
        company: str | None = None,
    ) -> list[Alert]:
        """The alerts of the last thirty days by the tenant's rules, newest first.

        Args:
            using: other rules, to see how often they would have fired.
            company: only those about this one.
        """
        at = time.time() if at is None else at
        since = at - ALERT_DAYS * DAY if since is None else since
        begin = since - (series.BASELINE_DAYS + ALERT_DAYS) * DAY
        moods = self.items.moods(caller, at, since=begin, history=True, company=company)
        chosen = self.rules(caller) if using is None else using
        found = rules.replay(moods, chosen, since=since, until=at, groups=self.groups(caller))[::-1]
        return [a for a in found if a.scope == "company"] if company else found

    def rules(self, caller: Caller = LOCAL) -> list[Rule]:
        """The tenant's alert rules; until it has some, those that ship."""
        return self.choices.rules(home(caller))

    def save_rules(self, listed: Sequence[Rule] | None, caller: Caller = LOCAL) -> None:
        """Use these rules, ``None`` for those that ship. The past is told by them, too: alerts are always a replay.

        Raises:
            InputError: a value that is not allowed, or an id that comes twice.
        """
        before = {rule.id: rule for rule in self.rules(caller)}
        self.choices.save_rules(caller, listed)
        after = {rule.id: rule for rule in self.rules(caller)}
        changed = [id_ for id_ in dict.fromkeys((*before, *after)) if before.get(id_) != after.get(id_)]
        if changed:
            action: Action = "rules_shipped" if listed is None else "rules"
            self.journal.note(caller, action, time.time(), ", ".join(changed))

    def preview(
        self, rule: Rule, caller: Caller = LOCAL, *, at: float | None = None, days: int = 60
    ) -> tuple[list[Alert], list[Alert]]:
        """What ``rule`` would have said in the last ``days``, and what the rule of the same id in use says; newest first.

        Raises:
            InputError: a value of the rule is not allowed.
        """
        at = time.time() if at is None else at
        (checked,) = rules.read(rules.written([rule]))
        before = [known for known in self.rules(caller) if known.id == rule.id]
        since = at - days * DAY
        tried = self.alerts(caller, at=at, since=since, using=[checked])
        return tried, self.alerts(caller, at=at, since=since, using=before) if before else []

    # --- a head of one's own ------------------------------------------------------------------

    def train(self, path: Path, caller: Caller = LOCAL, *, force: bool = False) -> Trained:
        """Train a head on a file of labels and use it when it is better; the news is judged again by the next ``judge``.

        Raises:
            MissingFile, InputError: see :func:`apps.financial_sentiment.own.read`.
            MissingPackage: scikit-learn is not installed.
        """
        rows = own.read(path, self.dictionary(caller))
        shipped = analysis.fitting(self.runtime.settings.model("embedding"))
        embedding = self.runtime.embedding() if shipped.embedding else None
        vectors = run(Analyzer(self.dictionary(caller), shipped, embedding).vectors([row.masked for row in rows]))
        return own.train(rows, self.heads, self.head(), vectors, embedding=shipped.embedding, force=force)

    # --- corrections --------------------------------------------------------------------------

    def relabel(self, item_id: int, company: str, label: str, caller: Caller = LOCAL) -> None:
        """Keep a person's label; it counts from now on, and is kept to train with (:meth:`labels`).

        Raises:
            InputError: (``bad_value``) no such label.
            NotFound: the item says nothing of that company.
        """
        if label not in LABELS:
            raise InputError(reason="bad_value", name="label", value=label, allowed=", ".join(LABELS))
        self.items.relabel(caller, item_id, company, label, time.time())

    def labels(self, caller: Caller = LOCAL) -> list[tuple[str, str, str]]:
        """``(text, company, label)`` of everything that was corrected."""
        return self.items.labels(caller)

    def _novelty(self, caller: Caller, moods: Sequence[Mood], at: float, days: int) -> dict[int, float]:
        begin = at - (days + series.BASELINE_DAYS) * DAY
        return novelty.of_moods(self.runtime.workspace, caller, [m for m in moods if m.seen_at > begin])

    def _by_company(self, caller: Caller, at: float, back_s: float) -> dict[str, list[Mood]]:
        found: dict[str, list[Mood]] = defaultdict(list)
        for mood in self.items.moods(caller, at, since=at - back_s):
            found[mood.company].append(mood)
        return found
