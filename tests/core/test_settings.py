"""Where settings come from, what is refused and how it is said, and that keys never show themselves."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from core.env_file import read_env
from core.errors import InputError, InvalidSetting, MissingFile, StoreError, code_of
from core.providers.services import SERVICES, key_of, services
from core.settings import (
    FIELDS,
    OTHER_VARIABLES,
    Secret,
    Settings,
    load_settings,
    override,
    save_env,
    unknown_variables,
)

ROOT = Path(__file__).parents[2]
KEY = "sk-test-0123456789abcdef"


def settings_of(folder: Path, *, yaml: str = "", env: str = "", **environment: str) -> Settings:
    if yaml:
        (folder / "touchstone.yaml").write_text(yaml, "utf-8")
    if env:
        (folder / ".env").write_text(env, "utf-8")
    return load_settings(folder, environment)


# --- order ------------------------------------------------------------------------------------


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    found = settings_of(tmp_path)
    assert {f.path: f.default for f in FIELDS} == dict(found.values)
    assert set(found.sources.values()) == {"default"}


def test_arguments_win_over_environment_over_dotenv_over_yaml(tmp_path: Path) -> None:
    yaml = "models: {chat: 'from:yaml', embedding: 'from:yaml', rerank: 'from:yaml'}\n"
    env = "TOUCHSTONE_CHAT=from:env-file\nTOUCHSTONE_EMBEDDING=from:env-file\n"
    found = settings_of(tmp_path, yaml=yaml, env=env, TOUCHSTONE_CHAT="from:environment")
    assert [found.model(role) for role in ("chat", "embedding", "rerank")] == [
        "from:environment",
        "from:env-file",
        "from:yaml",
    ]
    assert found.sources["models.chat"] == "environment TOUCHSTONE_CHAT"
    assert found.sources["models.embedding"] == ".env:2"
    assert found.sources["models.rerank"] == "touchstone.yaml:1"
    later = found.with_values(TOUCHSTONE_CHAT="from:argument")
    assert (later.model("chat"), later.model("embedding"), found.model("chat")) == (
        "from:argument",
        "from:env-file",
        "from:environment",
    )


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    found = settings_of(tmp_path, yaml="models: {chat: 'a:b'}\n", TOUCHSTONE_CHAT="", OPENAI_API_KEY="  ")
    assert found.model("chat") == "a:b"
    assert found.get("OPENAI_API_KEY") is None
    assert found.with_values(TOUCHSTONE_CHAT="").model("chat") == "embedded:smollm2"
    (tmp_path / ".env").write_text("TOUCHSTONE_CHAT=from:env-file\n", "utf-8")
    assert settings_of(tmp_path, TOUCHSTONE_CHAT="").model("chat") == "from:env-file"


def test_the_judge_is_the_chat_model_unless_it_is_set(tmp_path: Path) -> None:
    found = settings_of(tmp_path, TOUCHSTONE_CHAT="a:b")
    assert found.model("judge") == "a:b"
    assert found.with_values(TOUCHSTONE_JUDGE="c:d").model("judge") == "c:d"


def test_values_have_their_kind(tmp_path: Path) -> None:
    found = settings_of(tmp_path, yaml="deadlines: {connect_s: 2}\nretries: {attempts: 5}\n", TOUCHSTONE_IDLE_S="1.5")
    assert (found.deadlines.connect_s, found.deadlines.idle_s, found.values["retries.attempts"]) == (2.0, 1.5, 5)


def test_the_workspace_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_of(tmp_path, TOUCHSTONE_HOME="here").home == tmp_path / "here"
    assert settings_of(tmp_path).home == Path.home() / ".touchstone"


def test_config_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("language: zh\n", "utf-8")
    assert settings_of(tmp_path, TOUCHSTONE_CONFIG="other.yaml").language == "zh"
    with pytest.raises(MissingFile, match=r"none\.yaml"):
        settings_of(tmp_path, TOUCHSTONE_CONFIG="none.yaml")


def test_windows_editors_may_save_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("\ufeffTOUCHSTONE_CHAT=a:b\r\n".encode())
    (tmp_path / "touchstone.yaml").write_bytes("\ufefflanguage: zh\r\n".encode())
    found = load_settings(tmp_path, {})
    assert (found.model("chat"), found.language) == ("a:b", "zh")


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TOUCHSTONE_LANG", "fr", ["language", "'fr'", "zh, en"]),
        ("TOUCHSTONE_ATTEMPTS", "many", ["'many'", "1", "10"]),
        ("TOUCHSTONE_ATTEMPTS", "11", ["'11'", "1", "10"]),
        ("TOUCHSTONE_ATTEMPTS", "2.5", ["'2.5'"]),
        ("TOUCHSTONE_CONNECT_S", "0", ["'0'", "0.1", "600"]),
        ("TOUCHSTONE_CONNECT_S", "nan", ["'nan'"]),
        ("TOUCHSTONE_CONNECT_S", "inf", ["'inf'"]),
    ],
)
def test_a_value_that_is_not_allowed_says_where_and_what_is(
    tmp_path: Path, variable: str, value: str, words: list[str]
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings_of(tmp_path, **{variable: value})
    assert all(word in str(caught.value) for word in [f"environment {variable}", *words])
    assert all(word.strip("'") in caught.value.text("zh") for word in words)
    with pytest.raises(InvalidSetting, match=r"\.env:2:"):
        settings_of(tmp_path, env=f"# a comment\n{variable}={value}\n")


@pytest.mark.parametrize(
    ("yaml", "code", "words"),
    [
        ("language: zh\nmodles:\n  chat: a:b\n", "invalid_setting.unknown_near", ["touchstone.yaml:2", "'modles'", "'models'"]),
        ("models:\n  caht: a:b\n", "invalid_setting.unknown_near", ["touchstone.yaml:2", "'models.caht'", "'models.chat'"]),
        ("chat: a:b\n", "invalid_setting.unknown_near", ["touchstone.yaml:1", "'chat'", "'models.chat'"]),
        ("zzz: 1\n", "invalid_setting.unknown", ["touchstone.yaml:1", "home, language, models, deadlines", "providers"]),
        ("models: a:b\n", "invalid_setting", ["touchstone.yaml:1", "'models'", "mapping"]),
        ("- a\n", "invalid_setting", ["touchstone.yaml:1", "mapping"]),
        ("models:\n  chat: 3\n", "invalid_setting", ["touchstone.yaml:2", "'models.chat'", "'3'", "text"]),
        ("retries: {attempts: 2.5}\n", "invalid_setting", ["touchstone.yaml:1", "'2.5'"]),
        ("retries: {attempts: yes}\n", "invalid_setting", ["touchstone.yaml:1", "'True'"]),
        ("language: [zh]\n", "invalid_setting", ["touchstone.yaml:1", "'language'", "zh, en"]),
        ("a: b: c\n", "input.bad_yaml", ["touchstone.yaml:1"]),
        ("models:\n\tchat: a:b\n", "input.bad_yaml", ["touchstone.yaml:2"]),
        ("providers:\n  m: {bse_url: 'http://x/v1'}\n", "invalid_setting.unknown_near", ["touchstone.yaml:2", "providers.m.base_url"]),
        ("providers:\n  m: {base_url: 'x:8000/v1'}\n", "invalid_setting", ["touchstone.yaml:2", "'x:8000/v1'", "http://"]),
        ("providers:\n  m: {models: qwen}\n", "invalid_setting", ["touchstone.yaml:2", "list"]),
        ("providers:\n  m: {label: 5}\n", "invalid_setting", ["touchstone.yaml:2", "label"]),
        ("providers: [m]\n", "invalid_setting", ["touchstone.yaml:1", "providers"]),
    ],
)  # fmt: skip
def test_errors_in_touchstone_yaml_name_the_line(tmp_path: Path, yaml: str, code: str, words: list[str]) -> None:
    with pytest.raises((InvalidSetting, InputError)) as caught:
        settings_of(tmp_path, yaml=yaml)
    assert code_of(caught.value) == code
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert words[0] in caught.value.text("zh")


def test_a_key_written_into_touchstone_yaml_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings_of(tmp_path, yaml=f"providers:\n  m: {{key_variable: {KEY}}}\n")
    assert KEY not in f"{caught.value!s}{caught.value.text('zh')}{caught.value!r}"
    assert "touchstone.yaml:2" in str(caught.value)


def test_files_that_are_not_text_are_errors(tmp_path: Path) -> None:
    (tmp_path / "touchstone.yaml").write_bytes(b"\x80\x81\xff")
    with pytest.raises(InputError, match=r"touchstone\.yaml"):
        load_settings(tmp_path, {})
    (tmp_path / "touchstone.yaml").unlink()
    (tmp_path / ".env").write_bytes(b"\x80\x81\xff")
    with pytest.raises(InputError, match=r"\.env"):
        load_settings(tmp_path, {})


def test_a_broken_line_of_dotenv_is_an_error_without_its_content(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        settings_of(tmp_path, env=f"A=1\n'{KEY}\n")
    assert code_of(caught.value) == "input.bad_env"
    assert ".env:2" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_misspelt_variable_is_found_with_the_nearest_name(tmp_path: Path) -> None:
    found = unknown_variables(settings_of(tmp_path, TOUCHSTONE_CAHT="a:b", TOUCHSTONE_QQ="1", TOUCHSTONE_CHAT="a:b"))
    assert found["TOUCHSTONE_CAHT"] == "TOUCHSTONE_CHAT"
    assert set(found) == {"TOUCHSTONE_CAHT", "TOUCHSTONE_QQ"}


def test_override_checks_too(settings: Settings) -> None:
    assert override(settings, models__chat="a:b").model("chat") == "a:b"
    with pytest.raises(InvalidSetting):
        override(settings, language="fr")


# --- services ---------------------------------------------------------------------------------


def test_a_service_row_of_touchstone_yaml(tmp_path: Path) -> None:
    yaml = "providers:\n  mybox: {base_url: 'http://box:8000/v1', key_variable: MYBOX_API_KEY, models: [m]}\n  deepseek: {base_url: 'http://proxy/v1'}\n"
    rows = services(settings_of(tmp_path, yaml=yaml, MYBOX_BASE_URL="http://other:1/v1"))
    assert (rows["mybox"].base_url, rows["mybox"].models) == ("http://other:1/v1", ("m",))
    assert rows["deepseek"].base_url == "http://proxy/v1"
    assert rows["deepseek"].key_variable == "DEEPSEEK_API_KEY"


def test_a_new_service_without_base_url_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"providers\.mybox\.base_url"):
        services(settings_of(tmp_path, yaml="providers:\n  mybox: {label: Box}\n"))


@pytest.mark.parametrize("key", ["sk-ключ-0123456789", "sk-a b-0123456789", "“sk-0123456789”"])
def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(tmp_path: Path, key: str) -> None:
    found = settings_of(tmp_path, OPENAI_API_KEY=key)
    with pytest.raises(InvalidSetting) as caught:
        key_of(services(found)["openai"], found)
    assert "OPENAI_API_KEY" in str(caught.value)
    assert key not in str(caught.value)


# --- secrets ----------------------------------------------------------------------------------


def test_keys_never_show_themselves(tmp_path: Path) -> None:
    found = settings_of(tmp_path, env=f"DEEPSEEK_API_KEY='{KEY}'\n", TOUCHSTONE_SERVER="http://me:hidden@box:1/")
    key = found.get("DEEPSEEK_API_KEY")
    assert key == KEY
    assert isinstance(key, Secret)
    wrong = InvalidSetting(name="x", value=f"is {KEY}", allowed="y", where="z")
    for shown in (repr(found), str(found), repr(found.environment), repr(key), str(wrong), wrong.text("zh")):
        assert KEY not in shown
        assert "hidden" not in shown
    assert "DEEPSEEK" not in repr(found)


# --- .env -------------------------------------------------------------------------------------


def test_save_env_creates_the_file_for_its_owner_only(tmp_path: Path) -> None:
    path = save_env(tmp_path, {"OPENAI_API_KEY": KEY})
    assert path == tmp_path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"OPENAI_API_KEY={KEY}\n"


def test_save_env_keeps_everything_else(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\n\nexport A='x\ny'  # two lines\nB=old\nC = 3 # note\nB=older", "utf-8")
    save_env(tmp_path, {"B": "new", "D": "4"})
    assert (tmp_path / ".env").read_text() == "# mine\n\nexport A='x\ny'  # two lines\nC = 3 # note\nB=new\nD=4\n"
    save_env(tmp_path, {"B": None, "Z": None})
    assert (tmp_path / ".env").read_text() == "# mine\n\nexport A='x\ny'  # two lines\nC = 3 # note\nD=4\n"


@pytest.mark.parametrize(
    "value", ["", "a b", "it's", 'say "hi"', "back\\slash", "#no", "$HOME ${X}", "密钥", "a=b", "'", "\\'"]
)
def test_what_is_saved_is_read_back(tmp_path: Path, value: str) -> None:
    save_env(tmp_path, {"A_VALUE": value, "NEXT": "1"})
    assert {name: found for name, (found, _) in read_env(tmp_path / ".env").items()} == {"A_VALUE": value, "NEXT": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "x\ny"), ("A", "x\rOPENAI_BASE_URL=http://evil"), ("A", "x\0"), ("A", "x\u2028y"), ("A B", "x"), ("A=B", "x"), ("", "x")],
)  # fmt: skip
def test_save_env_refuses_what_would_write_another_line(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / ".env").write_text("B=1\n")
    with pytest.raises(InvalidSetting):
        save_env(tmp_path, {"C": "2", name: value})
    assert (tmp_path / ".env").read_text() == "B=1\n"


def test_save_env_leaves_the_old_file_when_the_new_one_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("B=1\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        save_env(tmp_path, {"B": "2"})
    assert [p.name for p in tmp_path.iterdir()] == [".env"]
    assert (tmp_path / ".env").read_text() == "B=1\n"


def test_save_env_says_when_the_folder_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        save_env(tmp_path / "nowhere", {"A": "1"})


# --- .env.example -----------------------------------------------------------------------------


def test_env_example_has_every_variable_and_no_other() -> None:
    wanted = {f.variable for f in FIELDS} | set(OTHER_VARIABLES)
    wanted |= {row.url_variable for row in SERVICES} | {row.key_variable for row in SERVICES if row.key_variable}
    text = (ROOT / ".env.example").read_text("utf-8")
    assert sorted(re.findall(r"^# ([A-Z_]+)=", text, re.MULTILINE)) == sorted(wanted)
    assert not [line for line in text.splitlines() if line and not line.startswith("# ")]


def test_env_example_uncommented_is_the_defaults(tmp_path: Path) -> None:
    """What stands there can be taken as it is: it parses and changes nothing."""
    text = re.sub(r"^# ([A-Z_]+=)", r"\1", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE)
    found = settings_of(tmp_path, env=text)
    assert dict(found.values) == {f.path: f.default for f in FIELDS}
    assert services(found) == {row.name: row for row in SERVICES}
