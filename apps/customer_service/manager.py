"""The manager's figures as plain Python: how much was asked, what became of it, what it cost, what the documents lack.

Every call needs the role ``admin``; figures are those of the caller's tenant. A conversation was *resolved* when no
person was needed and its last message was not left without an answer.
"""

from __future__ import annotations

import statistics
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from apps.customer_service.assistant import Assistant
from apps.customer_service.handover import Case
from apps.customer_service.intents import EMBEDDING, rows
from apps.customer_service.spoken import language_of
from apps.customer_service.turns import Outcome, Turn, Turns
from core.errors import NotAllowed
from core.i18n import Phrase
from core.providers.sync import run
from core.runtime import Runtime
from core.types import Caller

if TYPE_CHECKING:
    import numpy as np

LEFT: tuple[Outcome, ...] = ("refused", "failed", "stopped")  # a last message that ended so was left without an answer
ALIKE = 0.28  # cosine from which questions ask the same; chosen on 44 questions of ours about 11 things
USUAL = 12  # every so manieth shipped sentence makes the middle of its language
MOST_ASKED = 400  # unanswered questions that are grouped, newest first
_REMEMBERED = 2 * MOST_ASKED  # vectors in memory
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Day:
    """What was asked and wished on one day in the shop's zone."""

    day: date
    outcomes: Mapping[Outcome, int]
    intents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Overview:
    """Figures from ``since`` to ``until``. Shares are 0 to 1, ``None`` where there is nothing to divide by.

    ``first_s`` are median and 95th percentile of the assistant's first words, ``person_s`` the median of the wait for
    a person. ``missed`` is the share of questions to the documents that they did not answer; ``turns`` are messages, of which
    one may ask several.
    """

    since: float
    until: float
    turns: int
    conversations: int
    customers: int
    resolved: float | None
    handed_over: float | None
    left: float | None
    missed: float | None
    first_s: tuple[float, float] | None
    person_s: float | None
    waiting: int
    thumbs: tuple[int, int]
    causes: Mapping[str, int]
    languages: Mapping[str, int]
    intents: Mapping[str, int]
    days: Sequence[Day]


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions that ask the same and had no good answer. ``question`` is the one in the middle of them.

    ``people``: conversations that went to a person after one of them; ``person_s`` the time they took there.
    """

    question: str
    questions: Sequence[str]
    asked: int
    disliked: int
    people: int
    person_s: float
    newest: float


class Manager:
    """The figures over one assistant."""

    def __init__(self, assistant: Assistant, runtime: Runtime) -> None:
        self._assistant = assistant
        self._runtime = runtime

    def overview(self, caller: Caller, *, since: float, until: float) -> Overview:
        must_be_admin(caller)
        turns = Turns(self._runtime.workspace).between(caller.tenant, since, until)
        cases = self._assistant.cases.between(caller, since, until)
        said = [turn for turn in turns if turn.part == 0]
        talks = {turn.conversation_id: turn.question_id for turn in said}  # the last message of each
        escalated = {case.conversation_id for case in cases} & set(talks)
        last = set(talks.values())
        left = {turn.conversation_id for turn in turns if turn.question_id in last and turn.outcome in LEFT} - escalated
        asked = [turn for turn in turns if turn.outcome in ("answered", "refused")]
        thumbs = Counter(turn.thumb for turn in said)
        waits = [case.taken_at - case.created_at for case in cases if case.taken_at is not None]
        return Overview(
            since=since,
            until=until,
            turns=len(said),
            conversations=len(talks),
            customers=len({turn.user for turn in turns}),
            resolved=_share(len(talks) - len(escalated) - len(left), len(talks)),
            handed_over=_share(len(escalated), len(talks)),
            left=_share(len(left), len(talks)),
            missed=_share(sum(turn.outcome == "refused" for turn in asked), len(asked)),
            first_s=_typical([turn.first_s for turn in said if turn.first_s is not None]),
            person_s=statistics.median(waits) if waits else None,
            waiting=sum(case.state == "waiting" for case in cases),
            thumbs=(thumbs[True], thumbs[False]),
            causes=dict(Counter(case.cause for case in cases).most_common()),
            languages=dict(Counter(turn.language for turn in said).most_common()),
            intents=dict(Counter(turn.intent for turn in turns if turn.intent).most_common()),
            days=self._days(turns, since, until),
        )

    def _days(self, turns: Sequence[Turn], since: float, until: float) -> list[Day]:
        """Every day of the period, also those without a message."""
        zone = ZoneInfo(self._assistant.policy.hours.zone)
        outcomes: dict[date, Counter[Outcome]] = defaultdict(Counter)
        intents: dict[date, Counter[str]] = defaultdict(Counter)
        for turn in turns:
            day = datetime.fromtimestamp(turn.at, zone).date()
            outcomes[day][turn.outcome] += 1
            if turn.intent:
                intents[day][turn.intent] += 1
        first, last = (datetime.fromtimestamp(at, zone).date() for at in (since, max(since, until - 1e-3)))
        every = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [Day(day, dict(outcomes[day]), dict(intents[day])) for day in every]

    def gaps(self, caller: Caller, *, since: float, until: float) -> list[Gap]:
        """Questions without a good answer, those that ask the same together, in order of cost.

        Cost is first how many conversations they brought to a person, then how often they were asked.
        """
        must_be_admin(caller)
        turns = Turns(self._runtime.workspace).between(caller.tenant, since, until, texts=True)
        wanted = [t for t in turns if t.outcome == "refused" or (t.outcome == "answered" and t.thumb is False)]
        wanted = wanted[-MOST_ASKED:]
        if not wanted:
            return []
        cases = defaultdict(list)
        for case in self._assistant.cases.between(caller, since, until):
            cases[case.conversation_id].append(case)
        texts = list(dict.fromkeys(turn.text for turn in wanted))
        groups = alike(self._vectors(texts), ALIKE)
        by_text = defaultdict(list)
        for turn in wanted:
            by_text[turn.text].append(turn)
        found = [_gap([texts[i] for i in group], by_text, cases) for group in groups]
        return sorted(found, key=lambda gap: (-gap.people, -gap.asked, -gap.newest))

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """What sets each text apart from others in its language, of norm 1.

        Texts in one language are nearer to one another than to the same said in another; without the middle of each
        language only what is asked counts.
        """
        import numpy as np

        from core.training.heads import centered

        usual = [row.text for row in rows("desk_train.csv")[::USUAL]]
        vectors, others = self._embedded(texts), self._embedded(usual)
        told = np.array([language_of(text, "en") == "zh" for text in texts])
        spoken = np.array([language_of(text, "en") == "zh" for text in usual])
        zh, en = (others[spoken == chinese].mean(axis=0) for chinese in (True, False))
        return centered(vectors, np.where(told[:, None], zh, en))

    def _embedded(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the embedded model; those of before are remembered."""
        import numpy as np

        with _lock:
            found = {text: _known[text] for text in texts if text in _known}
        missing = [text for text in texts if text not in found]
        if missing:
            made = run(self._runtime.embedding(EMBEDDING).embed(missing, kind="query"))
            found.update(zip(missing, made, strict=True))
        with _lock:
            _known.update(found)
            while len(_known) > _REMEMBERED:
                _known.popitem(last=False)
        return np.stack([found[text] for text in texts]).astype(np.float32)


_known: OrderedDict[str, np.ndarray] = OrderedDict()  # by text; the embedded model never changes
_lock = threading.Lock()


def alike(vectors: np.ndarray, least: float) -> list[list[int]]:
    """Groups of rows whose mean cosine with the rest of their group is ``least`` or more; the middle one comes first."""
    import numpy as np

    cosines = vectors @ vectors.T
    groups: list[list[int]] = []
    for row in range(len(vectors)):
        scores = [float(cosines[row, group].mean()) for group in groups]
        best = int(np.argmax(scores)) if scores else -1
        if scores and scores[best] >= least:
            groups[best].append(row)
        else:
            groups.append([row])
    return [sorted(group, key=lambda row, group=group: -float(cosines[row, group].sum())) for group in groups]  # type: ignore[misc]  # bound now


def _gap(texts: Sequence[str], by_text: Mapping[str, Sequence[Turn]], cases: Mapping[str, Sequence[Case]]) -> Gap:
    turns = [turn for text in texts for turn in by_text[text]]
    began: dict[str, float] = {}  # when each conversation first asked it
    for turn in turns:
        began[turn.conversation_id] = min(turn.at, began.get(turn.conversation_id, turn.at))
    after = [case for talk, at in began.items() for case in cases.get(talk, ()) if case.created_at >= at]
    spent = sum((case.closed_at or case.taken_at) - case.taken_at for case in after if case.taken_at is not None)
    return Gap(
        question=texts[0],
        questions=texts,
        asked=len(turns),
        disliked=sum(turn.thumb is False for turn in turns),
        people=len({case.conversation_id for case in after}),
        person_s=spent,
        newest=max(turn.at for turn in turns),
    )


def period(days: int, now: float) -> tuple[float, float]:
    """From so many days ago until ``now``."""
    return now - days * _DAY_S, now


def must_be_admin(caller: Caller) -> None:
    """
    Raises:
        NotAllowed: the caller has not the role ``admin``.
    """
    if "admin" not in caller.roles:
        raise NotAllowed(action=Phrase("customer_service.manager.action"), role="admin")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _typical(values: Sequence[float]) -> tuple[float, float] | None:
    """Median and 95th percentile."""
    if not values:
        return None
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
