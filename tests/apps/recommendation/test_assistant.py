"""What a chat model may add, with models that obey, that invent, that are broken, and that like what stands first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from apps.recommendation import assistant, sample
from apps.recommendation.data import read_items
from apps.recommendation.preferences import Titles
from apps.recommendation.service import Recommender
from core.errors import InvalidResponse
from core.providers.decisions import decided
from core.providers.sync import run
from core.runtime import Runtime
from core.settings import Settings, override
from core.types import Decision, Question

TITLES = Titles(read_items(sample.ITEMS)[0])
CONCEPTS, KINDS = ("funny", "scary", "space"), ("book", "film")


@pytest.fixture
def says(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    """A runtime whose chat model answers so: rules of a script, the first that fits."""
    opened: list[Runtime] = []

    def scripted(*rules: Mapping[str, object]) -> Runtime:
        path = tmp_path / "model.yaml"
        path.write_text(json.dumps({"rules": [*rules]}, ensure_ascii=False), "utf-8")
        opened.append(Runtime(override(settings, models__chat=f"scripted:{path}", models__embedding="scripted:none")))
        return opened[-1]

    yield scripted
    for runtime in opened:
        runtime.close()


def answer(
    found: Sequence[Mapping[str, object]] = (), titles: Sequence[Mapping[str, object]] = ()
) -> dict[str, object]:
    return {"reply": json.dumps({"found": [*found], "titles": [*titles]}, ensure_ascii=False)}


def read(runtime: Runtime, sentence: str) -> list[tuple[str, str, bool]]:
    found = run(assistant.read(runtime.chat(), sentence, TITLES, CONCEPTS, KINDS))
    return [(said.kind, said.name, said.wanted) for said in found]


def test_a_model_finds_what_the_rules_do_not(says: Callable[..., Runtime]) -> None:
    sentence = "I am worn out by things that go bump; make me giggle"
    runtime = says(
        answer(
            [
                {"name": "scary", "wanted": False, "words": "things that go bump"},
                {"name": "funny", "wanted": True, "words": "make me giggle"},
            ]
        )
    )
    assert read(runtime, sentence) == [("concept", "scary", False), ("concept", "funny", True)]


def test_what_the_catalogue_or_the_wish_does_not_hold_is_dropped(says: Callable[..., Runtime]) -> None:
    runtime = says(
        answer(
            [
                {"name": "western", "wanted": True, "words": "make me giggle"},  # not a name of the catalogue
                {"name": "funny", "wanted": True, "words": "hilarious"},  # not a word of the wish
                {"name": ["space"], "wanted": True, "words": "make me giggle"},
                {"wanted": True},
            ],
            [{"title": "Interstellar", "wanted": True}, {"title": "make me giggle", "wanted": True}],
        )
    )
    assert read(runtime, "make me giggle") == []


def test_the_rules_check_the_model(says: Callable[..., Runtime]) -> None:
    runtime = says(
        answer([{"name": "scary", "wanted": True, "words": "吓人"}, {"name": "space", "wanted": True, "words": "星星"}])
    )
    assert read(runtime, "不要吓人的，不要星星") == [("concept", "scary", False), ("concept", "space", False)]


def test_titles_must_be_of_the_catalogue(says: Callable[..., Runtime]) -> None:
    runtime = says(answer(titles=[{"title": "星环信使", "wanted": True}]))
    assert ("title", "film-01", True) in read(runtime, "像星环信使那样的")


@pytest.mark.parametrize("reply", ['{"titles": []}', '{"found": 1}', '{"found": [1], "titles": []}'])
def test_an_answer_of_another_form_is_an_error(says: Callable[..., Runtime], reply: str) -> None:
    with pytest.raises(InvalidResponse):
        read(says({"reply": reply}), "funny")


class LikesTheFirst:
    """Prefers what stands first, and a little what it really prefers."""

    name = "test:first"

    def __init__(self, favorite: str) -> None:
        self.favorite, self.orders = favorite, []  # type: ignore[var-annotated]

    async def decide(self, state: str, questions: Sequence[Question]) -> Mapping[str, Decision]:
        (question,) = questions
        self.orders.append(question.choices)
        shares = [8.0 / (place + 1) + 3 * (label == self.favorite) for place, label in enumerate(question.choices)]
        return {question.id: decided(question, shares, self.name)}


def test_two_orders_take_the_first_place_its_advantage() -> None:
    model = LikesTheFirst("b")
    shares = run(assistant.preferred(model, "likes tea", ["a", "b", "c"], "en"))
    assert model.orders == [("a", "b", "c"), ("c", "b", "a")]
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(shares[2])
    assert int(np.argmax(shares)) == 1
    same = run(assistant.preferred(LikesTheFirst(""), "", ["a", "a"], "en"))
    assert same == pytest.approx([0.5, 0.5]), "two things of one title are told apart"


def test_a_list_is_only_reordered() -> None:
    items = np.array([7, 8, 9, 10])
    assert assistant.reordered(items, np.full(4, 0.25)).tolist() == [7, 8, 9, 10]
    moved = assistant.reordered(items, np.array([0.0, 0.0, 0.0, 1.0]))
    assert sorted(moved.tolist()) == items.tolist()
    assert moved.tolist().index(10) < 3


WORDS = ("Gentle jokes", "A comedy about a lost parcel.", ["because of “Tea for Two”", "taken by 40 people"])


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("A comedy about a lost parcel, because of “Tea for Two”.", True),
        ("A comedy about a lost parcel, taken by 4000 people.", False),  # another number
        ("A comedy about a lost parcel, because of “Casablanca” and Bogart.", False),  # another name
        ("Won every prize of the season and sold out quickly.", False),  # nothing of it is given
        ("", False),
        ("A comedy.\nAbout a lost parcel.", False),
    ],
)
def test_a_reason_that_the_signals_do_not_bear_out_is_not_used(
    says: Callable[..., Runtime], written: str, kept: bool
) -> None:
    found = run(assistant.worded(says({"reply": written}).chat(), *WORDS, "en"))
    assert found == (written if kept else None)


def test_a_model_that_fails_is_told_and_the_list_is_made_without_it(says: Callable[..., Runtime]) -> None:
    service = Recommender(says({"reply": '{"found": 1}'}))
    failed, plain = (service.recommend(says="make me giggle", n=5, assisted=assisted) for assisted in (True, False))
    assert isinstance(failed.unassisted, InvalidResponse)
    assert plain.unassisted is None
    assert [pick.item.id for pick in failed.picks] == [pick.item.id for pick in plain.picks]


def test_what_a_model_reads_counts_in_the_list(says: Callable[..., Runtime]) -> None:
    runtime = says({"match": "<wish>", **answer([{"name": "funny", "wanted": True, "words": "giggle"}])})
    service = Recommender(runtime)
    found = service.recommend(says="make me giggle", n=5, assisted=True)
    assert [said.name for said in found.understood] == ["funny"]
    assert any(reason.concept == "funny" for pick in found.picks for reason in pick.reasons)
    asked = len(service.answers)
    service.recommend(says="make me giggle", n=5, assisted=True)
    assert len(service.answers) == asked, "the same is not asked twice"
