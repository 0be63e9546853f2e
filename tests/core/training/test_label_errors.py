"""Examples that look mislabeled are found, texts with two labels first; what is right, or alone of its label, is left."""

from __future__ import annotations

import asyncio
import doctest
from dataclasses import replace

from core.providers.registry import open_model
from core.settings import Settings
from core.training import label_errors
from core.training.label_errors import suspects
from core.types import Example
from tests.core.training.conftest import rows


def test_examples_in_the_docstrings_are_true() -> None:
    found = doctest.testmod(label_errors)
    assert (found.attempted > 0, found.failed) == (True, 0)


def test_exchanged_labels_are_listed_and_others_are_not(settings: Settings) -> None:
    right = [Example(text, label) for text, label in rows()]
    other = {"good": "bad", "bad": "flat", "flat": "good"}
    exchanged = (3, 40, 77)
    given = [replace(e, label=other[e.label]) if n in exchanged else e for n, e in enumerate(right)]
    twin = Example(right[10].text.upper(), other[right[10].label])
    examples = [*given, twin, Example("nobody else says this", "alone")]
    found = asyncio.run(suspects(examples, open_model("embedding", "scripted:hash", settings)))
    assert {one.place for one in found[:2]} == {10, len(given)}, "a text with two labels, both places"
    assert found[0].twin in (twin.text, right[10].text)
    assert {one.place for one in found[2:]} == set(exchanged)
    assert [one.other for one in found[2:]] == [right[one.place].label for one in found[2:]]
    times = [one.probability / one.own for one in found[2:]]
    assert times == sorted(times, reverse=True)
    assert min(times) >= label_errors.TIMES
    assert asyncio.run(suspects(right[:1], open_model("embedding", "scripted:hash", settings))) == []
