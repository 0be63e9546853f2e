"""Products that a message means, in other words than the catalogue's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.customer_service.catalogues import Catalogues, shipped
from apps.customer_service.evaluate_entities import catalogues
from apps.customer_service.meant import likeliest, surely
from apps.customer_service.shop.tools import list_products
from core.types import LOCAL


@pytest.fixture(scope="module")
def known() -> Iterator[Catalogues]:
    with catalogues() as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "filled", "asked"),
    [
        ("吸尘的那个小机器人我要退掉", "RV-8", []),
        ("do you have a toaster", None, []),
        ("any earbuds left?", None, ["TW-5", "TW-5 Pro", "HP-70"]),
    ],
)
def test_a_product_is_filled_asked_about_or_left(
    known: Catalogues, text: str, filled: str | None, asked: list[str]
) -> None:
    guesses = known.guesses(list_products, LOCAL, text)
    assert surely(guesses) == filled
    assert filled or [guess["value"] for guess in likeliest(guesses)] == asked


def test_vectors_of_the_sample_ship() -> None:
    texts = [text for item in list_products.function() for text in item["about"]]
    assert {*texts} <= {*shipped()}
