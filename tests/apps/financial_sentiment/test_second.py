"""Second opinions: asked for, kept, compared with the head's, and never part of a figure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pytest

from apps.financial_sentiment import Desk, NewsItem
from apps.financial_sentiment.second import SecondOpinions, agreement, decide
from core.errors import ConnectFailed
from core.providers.decisions import decided
from core.providers.sync import run
from core.types import LOCAL, Caller, Decision, Question
from tests.apps.financial_sentiment.conftest import NOW


class Judge:
    """A decision model that answers by a word of the state, and remembers what it was asked."""

    name = "test:judge"

    def __init__(self) -> None:
        self.asked: list[tuple[str, Question]] = []

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        (question,) = questions
        self.asked.append((state, question))
        if "down" in state:
            raise ConnectFailed(provider="test", url="x", detail="gone")
        place = question.choices.index("正面" if "正面" in question.choices else "positive")
        shares = [0.1] * 3
        shares[place if "soars" in state or "大增" in state else (place + 1) % 3] = 0.8
        return {question.id: decided(question, shares, self.name)}


@pytest.fixture
def desk_with_news(desk: Desk) -> Desk:
    titles = ("Tesla profit soars to record", "Nvidia shares plunge on probe", "比亚迪销量大增，股价创新高")
    desk.add([NewsItem(title, seen_at=NOW - 60, published_at=NOW - 60) for title in titles])
    return desk


def test_the_question_speaks_the_language_and_the_answer_is_a_label() -> None:
    judge = Judge()
    said = run(decide(judge, "比亚迪销量大增", "比亚迪", "zh"))
    assert (said.answer, said.probability) == ("positive", pytest.approx(0.8))
    assert set(said.probabilities) == {"negative", "neutral", "positive"}
    run(decide(judge, "宁德时代大增", "宁德时代", "zh"))
    assert judge.asked[0][1] == judge.asked[1][1], "one question, calibrated once"
    assert "宁德时代" in judge.asked[1][0]


def test_answers_are_kept_compared_and_change_no_figure(desk_with_news: Desk) -> None:
    desk, judge = desk_with_news, Judge()
    seconds = SecondOpinions(desk)
    before = (desk.companies(at=NOW), desk.alerts(at=NOW))
    listed = [r for company in ("tesla", "nvidia", "byd") for r in desk.reported(company, at=NOW)]
    found = seconds.ask(listed, model=judge)
    assert [(s.company, s.first, s.agrees) for s in found] == [
        ("tesla", "positive", True), ("nvidia", "negative", found[1].label == "negative"), ("byd", "positive", True),
    ]  # fmt: skip
    assert seconds.ask(listed, model=judge) == found
    assert len(judge.asked) == 3, "nobody is asked twice"
    told, apart = seconds.agreement()
    assert [(a.language, a.count) for a in told] == [("en", 2), ("zh", 1)]
    assert [s.company for s in apart] == [s.company for s in found if not s.agrees]
    ids = [r.item.id for r in listed]
    assert set(seconds.of(ids)) == {(s.item_id, s.company) for s in found}
    assert seconds.of(ids, at=time.time() - 3600) == {}, "it was not asked for then"
    assert seconds.of(ids, Caller(tenant="other")) == {}
    assert (desk.companies(at=NOW), desk.alerts(at=NOW)) == before


def test_a_model_that_fails_says_so_and_what_it_said_is_kept(desk_with_news: Desk) -> None:
    desk, judge = desk_with_news, Judge()
    desk.add([NewsItem("Boeing is down", seen_at=NOW, published_at=NOW)])
    listed = [*desk.reported("tesla", at=NOW), *desk.reported("boeing", at=NOW)]
    with pytest.raises(ConnectFailed):
        SecondOpinions(desk).ask(listed, model=judge)
    assert [company for _, company in SecondOpinions(desk).of([r.item.id for r in listed])] == ["tesla"]


def test_agreement_beyond_chance() -> None:
    same = [("a", "a"), ("b", "b")]
    assert agreement("en", same).kappa == 1
    assert agreement("en", [("a", "b"), ("b", "a")]).kappa == -1
    assert agreement("en", [("a", "a")] * 5).kappa == 0, "who always says the same agrees by chance"
    assert agreement("en", []).count == 0


def test_versions_judged_again_keep_their_second_opinion(desk_with_news: Desk) -> None:
    desk = desk_with_news
    seconds = SecondOpinions(desk)
    (made,) = seconds.ask(desk.reported("tesla", at=NOW), model=Judge())
    desk.items.forget_judgments(LOCAL)
    desk.judge()
    assert seconds.of([made.item_id])[made.item_id, "tesla"] == made
