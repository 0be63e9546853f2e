"""Answers beside retrieval alone and LangChain: the question set, the guidelines as documents, the figures by hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from apps.customer_service import evaluate, evaluate_answers
from apps.customer_service.evaluate import Case
from apps.customer_service.evaluate_answers import QUESTIONS, Asked, Said, documents, evaluation
from core.errors import InputError, MissingFile
from core.runtime import Runtime
from core.settings import Settings, override

ABCD = Path(__file__).parents[3].parent / "shared" / "data" / "abcd"
FLOWS = {
    "Returns": {
        "description": "",
        "subflows": {
            "Late": {
                "instructions": ["The customer is late."],
                "actions": [
                    {"button": "Ask", "text": "Ask when it was bought", "subtext": ["Within 40 days it is fine"]}
                ],
            }
        },
    }
}


def case(name: str, *, expect: tuple[str, ...] = (), trap: str = "") -> Case:
    return Case(name, "en", name, bool(expect), frozenset(["a.md", "b.md"] if expect else []), expect, trap, "test")


def test_a_third_of_the_questions_has_no_answer_in_both_languages() -> None:
    shop, guidelines = evaluate.cases(), evaluate.cases(QUESTIONS)
    assert len(shop) >= 200
    for language in ("zh", "en"):
        asked = [c for c in shop if c.language == language]
        assert 0.33 <= sum(not c.answerable for c in asked) / len(asked) <= 0.36
        abroad = [c for c in guidelines if c.language == language]
        assert sum(not c.answerable for c in abroad) / len(abroad) > 0.33
    assert len({c.question for c in (*shop, *guidelines)}) == len(shop) + len(guidelines)


@pytest.mark.skipif(not ABCD.is_dir(), reason="public data are not there")
def test_what_a_right_answer_holds_stands_in_its_documents() -> None:
    texts = documents(ABCD)
    for asked in evaluate.cases(QUESTIONS):
        for name in (n for n in asked.documents if n):
            assert all(words.casefold() in texts[name].casefold() for words in asked.expect), asked.id


def test_guidelines_become_markdown(tmp_path: Path) -> None:
    (tmp_path / "guidelines.json").write_text(json.dumps(FLOWS), "utf-8")
    expected = (
        "# Returns: Late\n\nThe customer is late.\n\n## Ask\nAsk when it was bought\n\n- Within 40 days it is fine\n"
    )
    assert documents(tmp_path) == {"Returns/Late.md": expected}


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        documents(tmp_path)
    for text in ("[", '{"Returns": {"subflows": {"Late": {}}}}', "[1]"):
        (tmp_path / "guidelines.json").write_text(text, "utf-8")
        with pytest.raises(InputError) as caught:
            documents(tmp_path)
        assert "guidelines.json" in str(caught.value)


def test_figures_by_hand() -> None:
    asked = [
        case("right", expect=("40 days",)),
        case("wrong", expect=("50 days",)),
        case("refused", expect=("60 days",)),
        case("near", trap="unanswerable-near"),
        case("far", trap="unanswerable-far"),
    ]
    said = [
        Said("It is 40 DAYS.", ("a.md", "c.md"), False, 0.9, ("It is 40 DAYS.", "40 days there")),
        Said("It is 40 days.", ("b.md",), False, 0.8, ("It is 40 days.",)),
        Said("The documents do not say. 60 days", ("a.md",), True, 0.1, ("60 days",)),
        Said("Perhaps.", ("a.md",), False, 0.5, ("Perhaps.",)),
        Said("The documents do not say.", (), True, 0.0),
    ]
    found = {
        name: figure.value for name, figure in evaluation("x", Asked("x", "test", asked, {}), said).figures.items()
    }
    assert found["right"] == pytest.approx(1 / 3), "what was refused is not answered, whatever it quotes"
    assert found["false_refusals"] == pytest.approx(1 / 3)
    assert (found["refused_near"], found["refused_far"]) == (0.0, 1.0)
    assert found["citation_precision"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert found["cited_holds"] == pytest.approx((0.5 + 0.0 + 0.0) / 3), "the right document with other words is not it"
    assert found["risk_at_50%"] == pytest.approx(2 / 3), "of the three surest, one is right"


def test_an_introduction_counts_as_right_and_has_no_place_among_the_surest() -> None:
    asked = [case(name, expect=("kettle",)) for name in ("introduced", "sure", "unsure")]
    said = [
        Said("It is a kettle.", ("a.md",), False, None, ("It is a kettle.",)),
        Said("It is a pan.", ("a.md",), False, 0.9, ("It is a pan.",)),
        Said("It is a kettle.", ("a.md",), False, 0.2, ("It is a kettle.",)),
    ]
    found = evaluation("x", Asked("x", "test", asked, {}), said).figures
    assert (found["right"].value, found["right"].records) == (pytest.approx(2 / 3), 3)
    assert (found["risk_at_50%"].value, found["risk_at_50%"].records) == (1.0, 2)
    assert (found["aurc"].value, found["aurc"].records) == (0.75, 2)


def test_langchains_chain_answers_from_what_it_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    script, kept = Path(settings.folder) / "script.yaml", Path(settings.folder) / "kept.jsonl"
    script.write_text(
        "rules:\n  - match: 'Question: parcel'\n    reply: I don't know.\n"
        "  - match: '(?s)Context: .*(?P<found>40 days)'\n    reply: 'Within {found}.'\n",
        "utf-8",
    )
    texts = {"Returns/Late.md": "Within 40 days it is fine.", "Orders/Fee.md": "A gold member pays no fee."}
    asked = [case("late return", expect=("40 days",)), case("parcel", trap="unanswerable-near")]

    def said() -> list[Said]:
        with Runtime(override(settings, models__embedding="embedded:e5")) as runtime:
            return asyncio.run(
                evaluate_answers.langchain(runtime, texts, asked, chat="scripted:script.yaml", kept=kept)
            )

    found = said()
    assert found[0].text == "Within 40 days."
    assert set(found[0].sources) == set(texts)
    assert found[0].confidence
    assert found[0].confidence > 0.5
    assert found[1] == Said("I don't know.", (), True, 0.0)

    script.write_text("rules:\n  - match: '.'\n    reply: Never.\n", "utf-8")
    assert said() == found, "what is kept is not asked again"
    monkeypatch.setattr(evaluate_answers, "NEAREST", 1)
    assert [one.text for one in said()] == ["Never.", "Never."], "unless the chain is given something else"
