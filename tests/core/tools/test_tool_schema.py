"""A tool's schema and its check say the same: what a validator of JSON Schema takes the check takes, and no more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadArguments, code_of
from core.tools import Cents, Length, Matching, Within, tool
from core.tools.journal import written
from core.tools.schema import Argument, arguments_of, checked, object_schema
from core.types import Caller


@dataclass(frozen=True)
class Parcel:
    code: Annotated[str, Matching(r"P\d+"), "printed on it"]
    grams: Annotated[int, Within(1, 90)] = 5


def everything(
    db: sqlite3.Connection,
    caller: Caller,
    order: Annotated[str, Matching(r"PW\d{8}"), "number of the order"],
    reason: Literal["broken", "other"],
    amount: Cents,
    since: date,
    at: datetime | None = None,
    rating: Annotated[float, Within(0, 5)] = 2.5,
    pieces: Annotated[int, Within(1, 99)] = 1,
    gift: bool = False,
    note: Annotated[str, Length(0, 20)] | None = None,
    tags: list[Annotated[str, Length(1, 5)]] = [],  # noqa: B006  never changed
    level: Literal[1, 2] = 1,
    parcel: Parcel | None = None,
    parcels: list[Parcel] = [],  # noqa: B006
) -> None:
    """Everything a signature may say."""


ARGUMENTS = arguments_of(everything, given=(sqlite3.Connection, Caller))
SCHEMA = object_schema(ARGUMENTS)
VALID = {"order": "PW12345678", "reason": "other", "amount": 5, "since": "2026-11-26"}
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 120)
    | st.floats(-5, 120)
    | st.text(max_size=25)
    | st.sampled_from([{"code": "P1"}, {"code": "P1", "grams": 91}, {"grams": 1}, {"code": "P1", "more": 1}])
    | st.sampled_from(["PW12345678", "PW1234567", "broken", "2026-02-30", "2026-11-26", "2026-11-26T10:00:00", "1"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def test_the_schema_is_valid_and_names_no_given_argument() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["properties"]) == [argument.name for argument in ARGUMENTS]
    assert not {"db", "caller"} & set(SCHEMA["properties"])
    assert SCHEMA["required"] == ["order", "reason", "amount", "since"]
    assert SCHEMA["properties"]["order"]["description"] == "number of the order"
    assert SCHEMA["properties"]["amount"] == {
        "type": "integer",
        "minimum": 0,
        "description": "in the smallest unit of the currency (cents, pence, fen)",
    }
    assert SCHEMA["properties"]["at"]["anyOf"][1] == {"type": "null"}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([argument.name for argument in ARGUMENTS]), VALUES)
def test_schema_and_check_agree_on_every_value(name: str, value: Any) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    offered = {**VALID, name: value}
    try:
        checked(ARGUMENTS, offered, tool="everything")
    except BadArguments as error:
        accepted, told = False, error
    else:
        accepted, told = True, None
    dated = name in ("since", "at") and isinstance(value, str)  # a format is a note to most validators
    if not dated:
        assert accepted == validator.is_valid(offered), (value, told)
    if told is not None:
        assert told.params["name"].startswith(name)
        for language in ("zh", "en"):
            assert told.params["allowed"] in told.text(language)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_nothing_unknown_and_nothing_missing_gets_through(offered: dict[str, Any]) -> None:
    names = {argument.name for argument in ARGUMENTS}
    with pytest.raises(BadArguments) as refused:
        checked(ARGUMENTS, {k: v for k, v in offered.items() if k not in VALID}, tool="everything")
    assert code_of(refused.value) == f"bad_arguments.{'unknown' if set(offered) - names else 'missing'}"


def test_json_text_of_a_model_becomes_values() -> None:
    text = json.dumps({**VALID, "at": "2026-11-26T10:00:00", "rating": 3, "amount": 1200.0, "tags": ["a"]})
    assert checked(ARGUMENTS, text, tool="t") == {
        "order": "PW12345678",
        "reason": "other",
        "amount": 1200,
        "since": date(2026, 11, 26),
        "at": datetime(2026, 11, 26, 10),
        "rating": 3.0,
        "tags": ["a"],
    }
    for broken in ("{", "[]", '"x"', "null"):
        with pytest.raises(BadArguments) as refused:
            checked(ARGUMENTS, broken, tool="t")
        assert code_of(refused.value) == "bad_arguments.not_json"


def test_an_error_names_the_place_in_a_list() -> None:
    with pytest.raises(BadArguments) as refused:
        checked(ARGUMENTS, {**VALID, "tags": ["fine", "much too long"]}, tool="t")
    assert "tags[1]" in refused.value.text("zh")


def test_an_object_becomes_a_dataclass_and_an_error_names_the_field() -> None:
    offered = {**VALID, "parcel": {"code": "P7"}, "parcels": [{"code": "P8", "grams": 9}]}
    values = checked(ARGUMENTS, offered, tool="t")
    assert values["parcel"] == Parcel("P7")
    assert values["parcels"] == [Parcel("P8", 9)]
    assert json.loads(written(values["parcels"])) == [{"code": "P8", "grams": 9}]
    with pytest.raises(BadArguments) as refused:
        checked(ARGUMENTS, {**VALID, "parcels": [{"code": "P8"}, {"code": "8"}]}, tool="t")
    assert "parcels[1].code" in refused.value.text("en")
    with pytest.raises(BadArguments) as refused:
        checked(ARGUMENTS, {**VALID, "parcel": {"grams": 3}}, tool="t")
    assert code_of(refused.value) == "bad_arguments.missing"


def test_descriptions_come_from_the_docstring_where_the_signature_has_none() -> None:
    @tool("read")
    def stock(sku: str, shop: Annotated[str, "in which shop"] = "") -> int:
        """How many pieces
        there are.

        Args:
            sku: code of the product,
                as printed on the box.
            shop: never read, the signature says it.
        """
        return 0

    assert stock.description == "How many pieces there are."
    assert [a.description for a in stock.arguments] == ["code of the product, as printed on the box.", "in which shop"]


def untyped(x) -> None:  # type: ignore[no-untyped-def]
    """d"""


def several(*x: int) -> None:
    """d"""


def union(x: int | str) -> None:
    """d"""


def mapping(x: dict[str, int]) -> None:
    """d"""


@dataclass(frozen=True)
class Loose:
    rows: dict[str, int]


def loose_field(x: Loose) -> None:
    """d"""


def pattern_on_a_number(x: Annotated[int, Matching("a")]) -> None:
    """d"""


def undescribed(x: int) -> None: ...


@pytest.mark.parametrize("wrong", [untyped, several, union, mapping, loose_field, pattern_on_a_number, undescribed])
def test_a_mistake_in_a_signature_shows_when_the_program_starts(wrong: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=wrong.__name__):
        tool("read")(wrong)


def test_true_is_no_number_and_no_choice() -> None:
    for name in ("pieces", "level", "amount"):
        argument: Argument = next(a for a in ARGUMENTS if a.name == name)
        with pytest.raises(BadArguments):
            argument.check(True)
