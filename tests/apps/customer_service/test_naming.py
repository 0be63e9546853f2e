"""Messages that name an order: what each is taken for, with the number read as "my order" where no wish is sure."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from apps.customer_service import CustomerService
from core.providers.sync import run
from core.types import LOCAL
from tests.apps.customer_service.conftest import OpenShop

MESSAGES = yaml.safe_load((Path(__file__).parent / "naming.yaml").read_text("utf-8"))


@pytest.fixture
def shop(open_shop: OpenShop) -> CustomerService:
    return open_shop(embedding="embedded:e5")


def taken(shop: CustomerService, text: str) -> str:
    heard = run(shop.assistant.hear(text, "en", LOCAL))
    return heard.intent if heard.intent and heard.probability >= shop.assistant.policy.sure else "question"


def test_messages_with_an_order_in_them(shop: CustomerService) -> None:
    found = [(taken(shop, row["text"]), row["wants"]) for row in MESSAGES]
    assert sum(said == wanted for said, wanted in found) >= 36
    assert [said for said, wanted in found if said not in ("question", wanted)] == []


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("PW26110001 到哪了？", "track_order"),
        ("PW26110001 什么时候到？", "track_order"),
        ("pw26110001 还能改地址吗？", "change_address"),
        ("When will PW26110001 arrive?", "track_order"),
        ("Can I cancel PW-2611-0001?", "cancel_order"),
        ("PW26110001 能开发票吗？", "question"),
        ("Is PW26110001 still under warranty?", "question"),
    ],
)
def test_a_number_is_read_as_what_it_stands_for(shop: CustomerService, text: str, wish: str) -> None:
    assert taken(shop, text) == wish
