"""The error tree: every class has its texts, every text fills in, and the drawing in the docstring is true."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from core import errors
from core.errors import (
    ConnectFailed,
    InputError,
    MissingKey,
    ProviderError,
    RateLimited,
    StreamInterrupted,
    TouchstoneError,
    code_of,
)
from core.i18n import LANGUAGES, catalogue


def tree(root: type[TouchstoneError] = TouchstoneError) -> Iterator[type[TouchstoneError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == "core.errors":
            yield from tree(child)


CLASSES = list(tree())
ABSTRACT = {"error"}  # the root is never raised
WITH_REASON = {"input", "prompt", "bad_arguments"}  # always raised with one


def test_the_docstring_draws_the_tree() -> None:
    drawn = re.findall(r"^ {4}[│├└─ ]*(\w+)", errors.__doc__ or "", re.MULTILINE)
    assert [name for name in drawn if name[0].isupper()] == [c.__name__ for c in CLASSES]


def test_codes_are_different() -> None:
    codes = [c.code for c in CLASSES]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted({c.code for c in CLASSES} - ABSTRACT - WITH_REASON))
def test_every_error_has_a_text(code: str, language: str) -> None:
    assert f"error.{code}" in catalogue(language)


@pytest.mark.parametrize("code", sorted(WITH_REASON))
def test_errors_that_need_a_reason_have_texts_for_reasons_only(code: str) -> None:
    assert f"error.{code}" not in catalogue("en")
    assert [key for key in catalogue("en") if key.startswith(f"error.{code}.")]


def test_every_text_belongs_to_a_class() -> None:
    codes = {c.code for c in CLASSES}
    assert {key.split(".")[1] for key in catalogue("en") if key.startswith("error.")} <= codes


@pytest.mark.parametrize("kind", [c for c in CLASSES if c.__doc__ and "params:" in c.__doc__], ids=lambda c: c.__name__)
def test_the_parameters_in_the_docstring_fill_the_text(kind: type[TouchstoneError]) -> None:
    named = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", (kind.__doc__ or "").partition("params:")[2]))
    given = {name: f"<{name}>" for name in named}
    if issubclass(kind, ProviderError):
        given |= {"provider": "<provider>", "model": "<model>", "status": 418, "retry_after_s": 1.0}
    error = kind(**given)
    for language in LANGUAGES:
        assert "?" not in error.text(language), error.text(language)


def test_a_provider_error_keeps_what_the_server_said() -> None:
    error = RateLimited(provider="p", model="m", status=429, request_id="r-1", retry_after_s=2.5)
    assert (error.provider, error.model, error.status, error.request_id, error.retry_after_s) == (
        "p",
        "m",
        429,
        "r-1",
        2.5,
    )
    assert error.retryable
    assert "429" in str(error)
    assert "2.5" in error.text("zh")


def test_an_interrupted_stream_keeps_the_text_that_came() -> None:
    error = StreamInterrupted(partial="half an ans", provider="p", model="m", detail="no end")
    assert error.partial == "half an ans"
    assert not error.retryable
    assert "11" in str(error)


def test_the_error_as_data() -> None:
    error = MissingKey(provider="DeepSeek", variable="DEEPSEEK_API_KEY")
    assert error.as_dict("zh") == {"code": "missing_key", "message": error.text("zh")}
    assert InputError(reason="empty_question").as_dict()["code"] == "input.empty_question"
    assert code_of(InputError(reason="empty_question")) == "input.empty_question"


def test_secrets_are_masked_in_every_text() -> None:
    error = ConnectFailed(provider="p", url="http://me:hidden-word@box/", detail="Bearer sk-0123456789abcdefgh")
    for text in (str(error), error.text("zh"), error.as_dict()["message"]):
        assert "hidden-word" not in text
        assert "0123456789" not in text
    assert "0123456789" not in repr(error)
