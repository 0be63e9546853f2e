"""``touchstone new support``: the skeleton answers, acts, learns its own intents, and is what the settings name."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.customer_service import CustomerService
from apps.customer_service.own import own_shop, scaffold
from core.errors import InputError, InvalidSetting
from core.providers.sync import run
from core.retrieval.library import Library
from core.settings import Settings, load_settings, override
from core.types import LOCAL

NAME = "teahouse"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the skeleton in it, as the command makes it."""
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    done = CliRunner().invoke(app, ["new", "support", NAME])
    assert done.exit_code == 0, done.output
    yield tmp_path
    sys.path[:] = before
    for module in [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]:
        del sys.modules[module]


@pytest.fixture
def own(folder: Path) -> Settings:
    found = load_settings(folder, {"TOUCHSTONE_HOME": str(folder / "home"), "TOUCHSTONE_LANG": "en"})
    assert found.values["support.shop"] == NAME, "the command wrote touchstone.yaml"
    return found


def test_nothing_of_the_template_is_left_in_the_skeleton(folder: Path) -> None:
    files = [path for path in (folder / NAME).rglob("*") if path.is_file()]
    assert {"tools.py", "policy.yaml", "intents.csv", "train.py", "README.md"} <= {path.name for path in files}
    assert not [path for path in files if "starter" in path.read_text("utf-8")]


def test_a_shop_that_is_there_is_not_written_over(folder: Path) -> None:
    (folder / "touchstone.yaml").write_text("support:\n  shop: other\n", "utf-8")
    shutil.rmtree(folder / NAME)
    scaffold(NAME, folder)
    assert "other" in (folder / "touchstone.yaml").read_text("utf-8"), "settings that are there stay"
    with pytest.raises(InputError) as caught:
        scaffold(NAME, folder)
    assert NAME in str(caught.value)


@pytest.mark.parametrize("name", ["My-Shop", "2shops", "class", "", "../away", "core", "json"])
def test_names_that_cannot_be_a_package_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        scaffold(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_answers_acts_asks_for_confirmation_and_says_its_own_refusals(own: Settings) -> None:
    shop = CustomerService.open(own)
    try:
        library = Library.of(shop.runtime)
        run(library.collection("default").sync([own.folder / NAME / "documents"]))
        library.close()
        conversation = shop.conversations.create(LOCAL)

        def said(text: str) -> str:
            return shop.ask(text, conversation_id=conversation.id).text

        assert "20 days" in said("How long do I have to return a teapot?")
        assert "20 天" in said("茶壶几天内可以退货？")
        assert "refuse" not in shop.ask("KT-210 几天内可以退货？").text
        assert "KT-210" not in "".join(c.quote for c in shop.ask("KT-210 几天内可以退货？").citations), "no sample"
        assert "正在打包" in said("订单 A1001 到哪了？尾号 1234")
        assert "last four digits" in said("track order A1003")
        assert "There is no order A1003" in said("1111")
    finally:
        shop.close()


def test_it_learns_its_own_intent_and_its_own_refusal_is_said(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    for name, value in (("TOUCHSTONE_HOME", str(own.home)), ("TOUCHSTONE_LANG", "en")):
        monkeypatch.setenv(name, value)
    own_shop(own)
    from importlib import import_module

    teacher = import_module(f"{NAME}.train")
    few, asked = teacher.rows("desk_train.csv")[::3], teacher.asked()[::6]  # a third of the time, and the same lesson
    monkeypatch.setattr(teacher, "rows", lambda _: few)
    monkeypatch.setattr(teacher, "asked", lambda: asked)
    teacher.train()
    del sys.modules[NAME]  # the next start
    shop = CustomerService.open(own)
    try:
        for number, expected in (("A1001", "A card goes into order A1001."), ("A1002", "A1002 is packed already")):
            conversation = shop.conversations.create(LOCAL)
            for text in (f"please put a gift card into {number}, phone ending 1234", "Happy birthday!"):
                reply = shop.ask(text, conversation_id=conversation.id).text
            assert reply == f"Please confirm: Put a card into order {number} that says: Happy birthday!"
            assert expected in shop.ask("yes", conversation_id=conversation.id).text
    finally:
        shop.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere", "touchstone new support"), ("json", "TOOLS, POLICY"), ("teahouse.nowhere", "new support")],
)
def test_a_setting_that_names_no_shop_is_told(own: Settings, name: str, words: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        own_shop(override(own, support__shop=name))
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_what_the_shop_itself_cannot_import_is_not_hidden(own: Settings) -> None:
    (own.folder / NAME / "tools.py").write_text("import no_such_module_of_mine\n", "utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_mine"):
        own_shop(own)
