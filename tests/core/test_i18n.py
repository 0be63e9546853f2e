"""The two catalogues say the same, fill in alike, and secrets are masked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from core import i18n
from core.i18n import (
    Phrase,
    catalogue,
    detect_language,
    masked,
    message,
    preferred_language,
    remember_secret,
    secret_free,
)

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "core" / "locales", *sorted((ROOT / "apps").rglob("locales"))]


def flat(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    i18n._flatten(yaml.safe_load(path.read_text("utf-8")), "", texts)
    return texts


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_both_languages_have_the_same_keys_and_the_same_blanks(folder: Path) -> None:
    chinese, english = flat(folder / "zh.yaml"), flat(folder / "en.yaml")
    assert set(chinese) == set(english)
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)", text)) == set(re.findall(r"{(\w+)", chinese[key])), key
        assert text.strip(), key
        assert chinese[key].strip(), key


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: str(p.relative_to(ROOT)))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_key_stands_twice(folder: Path, language: str) -> None:
    """YAML takes the later of two equal keys without a word."""

    def walk(node: yaml.Node, prefix: str) -> list[str]:
        if not isinstance(node, yaml.MappingNode):
            return []
        keys = [key.value for key, _ in node.value]
        twice = [f"{prefix}{key}" for key in set(keys) if keys.count(key) > 1]
        return twice + [name for key, value in node.value for name in walk(value, f"{prefix}{key.value}.")]

    assert walk(yaml.compose((folder / f"{language}.yaml").read_text("utf-8")), "") == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_key_is_a_text(folder: Path) -> None:
    """YAML reads ``yes``, ``no``, ``on`` and ``off`` as truth values; without quotes their texts are never found."""

    def walk(node: yaml.Node) -> list[str]:
        if not isinstance(node, yaml.MappingNode):
            return []
        wrong = [key.value for key, _ in node.value if not key.tag.endswith(":str")]
        return wrong + [name for _, value in node.value for name in walk(value)]

    assert walk(yaml.compose((folder / "en.yaml").read_text("utf-8"))) == []


def test_the_chinese_texts_are_chinese() -> None:
    only_signs = [
        key for key, text in catalogue("zh").items() if key.startswith("error.") and not re.search("[一-鿿]", text)
    ]
    assert not only_signs


def test_message_fills_in_and_shows_what_is_missing() -> None:
    assert message("error.not_found", "en", kind="document", value="a.md") == "There is no document 'a.md'."
    assert message("error.not_found", "fr", kind="document", value="a.md").startswith("There is no")
    assert "?" in message("error.not_found", "en", kind="document")
    assert message("no.such.key", "en", a=1) == "no.such.key {'a': 1}"


def test_a_value_is_not_filled_in_again() -> None:
    assert message("error.not_found", "en", kind="{value}", value="{kind}") == "There is no {value} '{kind}'."


def test_parameters_may_have_any_name() -> None:
    assert message("error.not_found", "en", key="k", language="l", kind="x", value="y") == "There is no x 'y'."


def test_a_phrase_speaks_the_language_it_is_put_into() -> None:
    phrase = Phrase("error.not_found", kind=Phrase("word.prompt"), value="p")
    assert message("error.configuration", "en", detail=phrase).endswith("There is no prompt 'p'.")
    assert message("error.configuration", "zh", detail=phrase).endswith("没有提示词“p”。")
    assert str(phrase) == phrase.text("en")


def test_an_app_adds_its_catalogue_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_folders", list(i18n._folders))
    for language, text in (("zh", "你好"), ("en", "Hello")):
        (tmp_path / f"{language}.yaml").write_text(f"greeting: {text}\n", "utf-8")
    i18n.add_catalogue(tmp_path)
    i18n.add_catalogue(tmp_path)
    try:
        assert (message("greeting", "zh"), message("greeting", "en")) == ("你好", "Hello")
        assert i18n._folders.count(tmp_path) == 1
    finally:
        catalogue.cache_clear()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("怎么退货", "zh"),
        ("KT-210 怎么退货", "zh"),
        ("How do I return it?", "en"),
        ("", "en"),
        ("123 ?!", "en"),
        ("退", "zh"),
        ("What does 保修 cover in this warranty", "en"),
        ("iPhone 15 保修", "zh"),
    ],
)
def test_detect_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_detect_language_takes_the_default_where_nothing_is_said() -> None:
    assert detect_language("42", default="zh") == "zh"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"TOUCHSTONE_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"TOUCHSTONE_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_preferred_language(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], language: str) -> None:
    for name in ("TOUCHSTONE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert preferred_language() == language


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("the key sk-abcdefghijklmnop1234 is wrong", "abcdefghijklmnop"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123"),
        ('{"api_key": "0123456789abcdef"}', "0123456789ab"),
        ("api-key=0123456789abcdef", "0123456789ab"),
        ("http://user:hunter2222@host:80/v1", "hunter2222"),
        ("ghp_0123456789abcdefghij", "0123456789"),
        ("hf_0123456789abcdefghij", "0123456789"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in secret_free(text)
    assert "…" in secret_free(text)


@pytest.mark.parametrize(
    "text",
    [
        "the task-force",
        "see https://host:8000/v1/models",
        "mail me@host",
        "risk-free",
        "ask-me-anything",
        "set HF_ENDPOINT",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert secret_free(text) == text


def test_a_known_secret_is_masked_whole_even_when_another_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_known_secrets", set())
    remember_secret("abcdef")
    remember_secret("abcdefghijklmnop")
    assert secret_free("x abcdefghijklmnop y abcdef") == "x …mnop y …"


@pytest.mark.parametrize("stand_in", ["ollama", "lm-studio", "none", "EMPTY", "x"])
def test_a_stand_in_for_a_key_is_a_word_and_stays(monkeypatch: pytest.MonkeyPatch, stand_in: str) -> None:
    monkeypatch.setattr(i18n, "_known_secrets", set())
    remember_secret(stand_in)
    assert secret_free(f"use {stand_in}") == f"use {stand_in}"


def test_masked_keeps_four_characters_of_long_secrets_only() -> None:
    assert (masked("sk-0123456789"), masked("short")) == ("…6789", "…")
