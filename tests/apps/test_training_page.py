"""The Training page: upload, check, train, compare, promote, roll back, correct; both languages."""

from __future__ import annotations

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from apps import training_data
from apps.ui import session
from core.evaluation.datasets import Dataset, Record
from core.i18n import LANGUAGES, message
from core.training import entities, judging, preferences
from core.training.corrections import Corrections
from core.training.store import Trained
from core.types import LOCAL
from tests.apps.conftest import Open, words
from tests.core.training.conftest import rows, table

PAGE = "views/training.py"


def trained(at: AppTest, content: bytes, name: str, *, wait_s: float = 60.0) -> AppTest:
    at.file_uploader(key="training_file").set_value(("rows.csv", content, "text/csv")).run()
    at.text_input(key="training_out").set_value(name)
    at.button(key="training_start").click().run()
    assert not at.exception
    end = time.monotonic() + wait_s
    store = Trained(session.runtime().settings.home)
    while not (found := store.versions(name)) or not found[-1].finished:
        assert time.monotonic() < end, words(at)
        time.sleep(0.1)
        at.run()
    return at.run()


def test_from_a_file_to_a_model_that_serves_and_back(open_page: Open, tmp_path: Path) -> None:
    at = open_page(PAGE)
    assert "Nothing is trained yet" in words(at)
    content = table(tmp_path / "rows.csv", rows()).read_bytes()
    at = trained(at, content, "stock")
    assert "Nothing to complain about" in words(at)
    assert at.button(key="training_rollback").disabled
    at.button(key="training_promote").click().run()
    assert "trained:stock is version 1 now" in words(at).replace("\u2060", "")
    store = Trained(session.runtime().settings.home)
    assert store.serving("stock") == 1
    # One whose labels are noise: force lets it pass, a rollback takes it away.
    noisy = table(tmp_path / "noise.csv", rows(noise=True)).read_bytes()
    at = trained(at, noisy, "stock")
    at.selectbox(key="training_version_stock").set_value(2).run()
    at.button(key="training_force").click().run()
    assert store.serving("stock") == 2
    at.button(key="training_rollback").click().run()
    assert store.serving("stock") == 1
    assert "is version 1 again" in words(at)
    at.selectbox(key="training_version_stock").set_value(1).run()
    at.text_input(key="training_text").set_value("Acme stock soars").run()
    at.selectbox(key="training_right").set_value("bad")
    at.button(key="training_correct_save").click().run()
    assert not at.exception
    assert [c.label for c in Corrections(session.runtime().workspace).all(LOCAL, "stock")] == ["bad"]


def test_own_columns_and_settings_are_taken_and_nothing_of_the_upload_stays(open_page: Open, tmp_path: Path) -> None:
    at = open_page(PAGE)
    content = table(tmp_path / "rows.csv", rows(), head="headline,mood").read_bytes()
    at.file_uploader(key="training_file").set_value(("rows.csv", content, "text/csv")).run()
    at.selectbox(key="training_column_text").set_value("headline")
    at.selectbox(key="training_column_label").set_value("mood").run()
    assert not at.error
    at.text_input(key="training_out").set_value("own")
    at.number_input(key="training_set_head_kept").set_value(0.9)
    at.button(key="training_start").click().run()
    assert not at.exception
    home = session.runtime().settings.home
    (version,) = Trained(home).versions("own")
    assert version.run.settings == {"kept": 0.9}
    assert sum(version.run.rows.values()) == len(rows())
    assert list(home.rglob("rows.csv")) == []
    end = time.monotonic() + 60
    while not version.finished:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_broken_data_are_told_in_chinese_and_cannot_be_trained_on(open_page: Open, tmp_path: Path) -> None:
    at = open_page(PAGE, "zh")
    assert "还没有训练过模型" in words(at)
    same = table(tmp_path / "same.csv", [(text, "same") for text, _ in rows()]).read_bytes()
    at.file_uploader(key="training_file").set_value(("same.csv", same, "text/csv")).run()
    assert at.button(key="training_start").disabled
    assert "不能训练" in words(at)
    at.file_uploader(key="training_file").set_value(("wrong.csv", b"a,b\n1,2\n", "text/csv")).run()
    assert not at.exception
    assert at.error
    at.checkbox(key="training_consent").check().run()
    assert training_data.agrees(session.runtime().workspace, LOCAL)


def test_every_figure_has_a_name_in_both_languages() -> None:
    none = Dataset("d", "test", (Record("1", "x", "y", answers=("a", "b"), metadata={"entities": []}),))
    tasks = [
        judging._labels(none), judging._talks(none), judging._text(none, masked=True), judging._text(none, masked=False),
        entities.task(none), preferences.task(none),
    ]  # fmt: skip
    names = {measure.name for task in tasks for measure in task.measures}
    assert {"macro_f1", "perplexity", "bits_per_byte", "preferred", "recall"} <= names
    for language in LANGUAGES:
        for name in names:
            assert not message(f"training_page.figures.{name}", language).startswith("training_page"), name
