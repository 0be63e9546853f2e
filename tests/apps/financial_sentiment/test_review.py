"""What corrections say of the head, and the queue of what is worth a look: by hand-computed values, nothing from later."""

from __future__ import annotations

import pytest

from apps.financial_sentiment import Desk, NewsItem, review
from apps.financial_sentiment.review import Bin
from core.types import LOCAL

DAY = 86_400.0
NOW = 1_772_323_200.0


@pytest.fixture
def told(desk: Desk) -> Desk:
    desk.add(
        [
            NewsItem("比亚迪销量大增，股价创新高", source="w", published_at=NOW, seen_at=NOW),
            NewsItem("Boeing shares plunge after recall", source="w", published_at=NOW + 60, seen_at=NOW + 60),
            NewsItem(
                "Tesla to hold its annual meeting on Friday", source="w", published_at=NOW + 120, seen_at=NOW + 120
            ),
        ]
    )
    return desk


def test_corrections_are_compared_with_what_the_head_says_by_itself(told: Desk) -> None:
    byd = told.reported("byd", at=NOW + DAY)[0]
    boeing = told.reported("boeing", at=NOW + DAY)[0]
    assert (byd.mood.label, boeing.mood.label) == ("positive", "negative")
    told.items.relabel(LOCAL, byd.item.id, "byd", "neutral", NOW + 200)
    told.items.relabel(LOCAL, byd.item.id, "byd", "negative", NOW + 300)
    told.items.relabel(LOCAL, boeing.item.id, "boeing", "negative", NOW + 400)
    assert review.checked(told, at=NOW + 150) == []
    (first,) = review.checked(told, at=NOW + 250)
    assert first.label == "neutral", "the last word of then"
    found = review.checked(told, at=NOW + DAY)
    assert [(c.mood.company, c.mood.label, c.label, c.right) for c in found] == [
        ("byd", "positive", "negative", False),
        ("boeing", "negative", "negative", True),
    ]
    assert found[0].mood.probability == pytest.approx(byd.mood.probability), "not the person's certainty"


def test_bins_by_hand() -> None:
    found = review.bins([(0.4, False), (0.55, True), (0.59, False), (1.0, True)])
    assert found == [
        Bin(0.0, 1, 0.4, 0.0),
        Bin(0.5, 2, pytest.approx(0.57), 0.5),
        Bin(0.9, 1, 1.0, 1.0),
    ]


def test_the_least_sure_wait_first_until_a_person_has_looked(told: Desk) -> None:
    queue = review.waiting(told, at=NOW + DAY)
    assert [w.mood.probability for w in queue] == sorted(w.mood.probability for w in queue)
    assert {w.mood.company for w in queue} == {"byd", "boeing", "tesla"}
    assert len(review.waiting(told, at=NOW + 30)) == 1, "only what had been seen"
    assert review.waiting(told, at=NOW + 20 * DAY) == [], "older than fourteen days"
    first = queue[0]
    told.items.relabel(LOCAL, first.item.id, first.mood.company, "neutral", NOW + 200)
    left = review.waiting(told, at=NOW + DAY)
    assert [w.item.id for w in left] == [w.item.id for w in queue[1:]]
    assert len(review.waiting(told, at=NOW + 150)) == 3, "before the person looked"
    assert len(review.waiting(told, at=NOW + DAY, limit=1)) == 1
