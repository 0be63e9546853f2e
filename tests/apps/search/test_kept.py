"""Saved searches with what is new in them, history, and folders kept in step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.background import Background
from apps.search import saved as saving
from apps.search.query import Query
from apps.search.service import Search
from core.errors import InputError, MissingFile, NotAllowed, NotFound
from core.providers.sync import run
from core.retrieval.records import Progress
from core.types import Caller

ANNA = Caller(tenant="one", user="anna", roles=frozenset({"admin"}))
BOB = Caller(tenant="one", user="bob", roles=frozenset())
OTHER = Caller(tenant="two", user="anna", roles=frozenset({"admin"}))


def until(done: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end, "it never came to an end"
        time.sleep(0.01)


# --- saved searches -------------------------------------------------------------------------------


def test_what_matches_when_it_is_saved_is_not_new(desk: Search) -> None:
    kept = desk.saved.save("  Leave  in Leeds ", Query("annual leave Leeds", languages=("en",)), ANNA)
    assert (kept.name, kept.query.languages, kept.new) == ("Leave in Leeds", ("en",), ())
    assert desk.saved.check_all(ANNA) == 0, "no collection has changed"


def test_a_document_that_matches_is_new_until_its_owner_has_looked(desk: Search) -> None:
    desk.saved.save("sheds", Query("bicycle shed code"), ANNA)
    desk.saved.save("sheds", Query("bicycle shed code"), BOB)
    desk.upload("note.md", b"# Bicycle shed\n\nThe code of the bicycle shed is 4711.\n", ANNA)
    desk.upload("lunch.md", b"# Menu\n\nSoup on Fridays.\n", ANNA)
    (kept,) = desk.saved.all(ANNA)
    assert [new.title for new in kept.new] == ["Bicycle shed"], "after the upload, without anybody looking"
    desk.saved.check_tenant("one")
    assert desk.saved.all(BOB)[0].new == (), "uploads are their owner's alone"
    desk.saved.seen("sheds", ANNA)
    assert desk.saved.all(ANNA)[0].new == ()
    desk.upload("note.md", b"# Bicycle shed\n\nThe code of the bicycle shed is 9999 now.\n", ANNA)
    assert [new.title for new in desk.saved.all(ANNA)[0].new] == ["Bicycle shed"], "a new version is new"
    desk.remove(desk.saved.all(ANNA)[0].new[0].document_id, ANNA)
    assert desk.saved.all(ANNA)[0].new == (), "what is gone is no news"


def test_a_document_of_another_process_is_found_at_the_next_look(desk: Search) -> None:
    desk.saved.save("sheds", Query("bicycle shed code"), BOB)
    run(desk.folders.index(ANNA).add_text("# Bicycle shed\n\nThe code of the bicycle shed is 4711.\n", "shed.md"))
    assert desk.saved.all(BOB)[0].new == ()
    assert desk.saved.check_all(BOB) == 1
    assert [new.source for new in desk.saved.all(BOB)[0].new] == ["shed.md"]


def test_an_old_document_that_moves_up_is_no_news(desk: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "TOP", 1)
    for name, text in (("a.md", "shed shed shed code"), ("b.md", "The shed has a code and a door and a window.")):
        desk.upload(name, f"# {name}\n\n{text}\n".encode(), ANNA)
    until(lambda: desk.embedding(ANNA) is None)
    desk.saved.save("sheds", Query("shed code", mode="keyword", places=("mine",)), ANNA)
    desk.remove(desk.find(Query("shed code", mode="keyword", places=("mine",)), ANNA).hits[0].passage.document_id, ANNA)
    assert desk.saved.check_all(ANNA) == 1
    assert desk.saved.all(ANNA)[0].new == ()


def test_the_least_bad_is_no_match(desk: Search) -> None:
    assert saving.matching(desk.find(Query("annual leave Leeds"), ANNA))
    assert saving.matching(desk.find(Query("quarterly zebra revenue"), ANNA)) == []


def test_saved_searches_are_refused_and_removed(desk: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, query in (
        ("", Query("leave")),
        ("x" * 81, Query("leave")),
        ("x", Query("")),
        ("x", Query("leave", where=("year",))),
    ):
        with pytest.raises(InputError):
            desk.saved.save(name, query, ANNA)
    desk.saved.save("a", Query("leave"), ANNA)
    desk.saved.save("a", Query("travel"), ANNA)
    assert [kept.query.text for kept in desk.saved.all(ANNA)] == ["travel"], "one of the same name is replaced"
    monkeypatch.setattr(saving, "MOST", 1)
    with pytest.raises(InputError):
        desk.saved.save("b", Query("leave"), ANNA)
    for caller in (BOB, OTHER):
        assert desk.saved.all(caller) == []
        with pytest.raises(NotFound):
            desk.saved.remove("a", caller)
    desk.saved.remove("a", ANNA)
    assert desk.saved.all(ANNA) == []


# --- history --------------------------------------------------------------------------------------


def test_history_keeps_what_was_meant_and_not_every_letter(desk: Search) -> None:
    for second, text in enumerate(("ann", "annual", "annual leave", "annual lea")):
        desk.history.add(Query(text), 3, ANNA, now=1000.0 + second)
    desk.history.add(Query("annual leave in Leeds"), 5, ANNA, now=2000.0)
    desk.history.add(Query("annual leave in Leeds"), 5, ANNA, now=2001.0)
    desk.history.add(Query("annual leave in Leeds", mode="keyword"), 2, ANNA, now=2100.0)
    assert [(asked.query.text, asked.query.mode, asked.hits) for asked in desk.history.all(ANNA)] == [
        ("annual leave in Leeds", "keyword", 2),
        ("annual leave in Leeds", "hybrid", 5),
        ("annual lea", "hybrid", 3),
    ]
    assert desk.history.all(BOB) == desk.history.all(OTHER) == []


def test_history_can_be_switched_off_and_cleared(desk: Search) -> None:
    desk.history.add(Query("before"), 1, ANNA)
    desk.history.switch(False, ANNA)
    desk.history.add(Query("secret"), 1, ANNA)
    desk.history.add(Query("open"), 1, BOB)
    assert [asked.query.text for asked in desk.history.all(ANNA)] == ["before"]
    assert desk.history.on(BOB)
    desk.history.clear(ANNA)
    assert desk.history.all(ANNA) == []
    assert [asked.query.text for asked in desk.history.all(BOB)] == ["open"]
    desk.history.switch(True, ANNA)
    desk.history.add(Query("again"), 1, ANNA)
    assert len(desk.history.all(ANNA)) == 1


def test_history_ends_somewhere(desk: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.search import history

    monkeypatch.setattr(history, "KEPT", 3)
    for number in range(6):
        desk.history.add(Query(f"{number} leave"), 1, ANNA, now=number * 100.0)
    assert [asked.query.text for asked in desk.history.all(ANNA)] == ["5 leave", "4 leave", "3 leave"]


# --- folders --------------------------------------------------------------------------------------


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    (folder / "rules").mkdir(parents=True)
    (folder / "shed.md").write_text("# Bicycle shed\n\nThe code of the bicycle shed is 4711.\n", "utf-8")
    (folder / "rules" / "lunch.md").write_text("# Lunch\n\nSoup is free on Fridays.\n", "utf-8")
    (folder / "broken.json").write_text("{", "utf-8")
    return folder


def test_a_folder_is_kept_in_step_with_a_reason_for_each_file(desk: Search, handbook: Path) -> None:
    steps: list[Progress] = []
    report = run(desk.folders.sync(str(handbook), ANNA, steps.append))
    assert (report.count("added"), report.count("failed")) == (2, 1)
    assert steps[-1].done == steps[-1].total
    (folder,) = desk.folders.all(ANNA)
    assert (folder.path, folder.by, folder.documents) == (handbook.resolve(), "anna", 2)
    entries = {Path(entry.source).name: entry for entry in desk.folders.journal(ANNA)[0].entries}
    assert entries["shed.md"].status == "added"
    assert "broken.json" in entries["broken.json"].text("zh")
    assert desk.find("bicycle shed code", BOB).hits[0].passage.title == "Bicycle shed", (
        "everybody of the tenant finds it"
    )
    assert "Bicycle shed" not in [hit.passage.title for hit in desk.find("bicycle shed code", OTHER).hits]

    (handbook / "shed.md").unlink()
    (handbook / "rules" / "lunch.md").write_text("# Lunch\n\nStew is free on Fridays.\n", "utf-8")
    report = run(desk.folders.sync(str(handbook), ANNA))
    assert (report.count("removed"), report.count("updated")) == (1, 1)
    old = time.time() - 60
    os.utime(handbook / "rules" / "lunch.md", (old, old))
    assert run(desk.folders.sync(str(handbook), ANNA, verify=True)).count("unchanged") == 1


def test_a_sync_tells_of_new_matches(desk: Search, handbook: Path) -> None:
    desk.saved.save("soup", Query("soup on Fridays"), ANNA)
    run(desk.folders.sync(str(handbook), ANNA))
    assert [new.title for new in desk.saved.all(ANNA)[0].new] == ["Lunch"]


def test_passages_are_shown_and_documents_removed(desk: Search, handbook: Path) -> None:
    run(desk.folders.sync(str(handbook), ANNA))
    lunch = next(document for document in desk.folders.documents(ANNA) if document.title == "Lunch")
    (passage,) = desk.folders.passages(lunch.id, BOB)
    assert "Soup is free" in passage.text
    assert desk.folders.passages(lunch.id, OTHER) == []
    with pytest.raises(NotAllowed):
        run(desk.folders.remove(lunch.id, BOB))
    run(desk.folders.remove(lunch.id, ANNA))
    assert [document.title for document in desk.folders.documents(ANNA)] == ["Bicycle shed"]
    with pytest.raises(NotFound):
        run(desk.folders.forget(str(handbook.resolve()), OTHER))
    assert run(desk.folders.forget(str(handbook.resolve()), ANNA)) == 1
    assert desk.folders.all(ANNA) == desk.folders.documents(ANNA) == []
    assert (handbook / "shed.md").exists()


def test_only_allowed_folders_are_read(desk: Search, handbook: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        desk.folders.allowed(str(handbook), BOB)
    with pytest.raises(MissingFile):
        desk.folders.allowed(str(tmp_path / "nothing"), ANNA)
    desk.runtime.reload(desk.runtime.settings.with_values(TOUCHSTONE_FOLDERS=str(handbook / "rules")))
    (handbook / "link").symlink_to(handbook / "rules")
    assert desk.folders.allowed(str(handbook / "link"), ANNA) == (handbook / "rules").resolve()
    for outside in (handbook, handbook / "rules" / "..", tmp_path):
        with pytest.raises(InputError) as raised:
            desk.folders.allowed(str(outside), ANNA)
        assert raised.value.reason == "folder_not_allowed"


# --- work in the background -----------------------------------------------------------------------


def test_background_work_goes_on_ends_and_fails_in_the_open() -> None:
    background = Background()

    async def good(told: Callable[[Progress], None]) -> int:
        told(Progress("files", 1, 2))
        return 7

    async def refused(told: object) -> None:
        raise NotFound(kind="document", value="x")

    async def broken(told: object) -> None:
        raise ZeroDivisionError

    for key, work in (("good", good), ("refused", refused), ("broken", broken)):
        assert background.start(key, work)
        until(lambda key=key: not background.state(key).under_way)  # type: ignore[union-attr,misc]
    assert background.state("good").result == 7  # type: ignore[union-attr]
    assert background.state("good").progress == Progress("files", 1, 2)  # type: ignore[union-attr]
    assert isinstance(background.state("refused").error, NotFound)  # type: ignore[union-attr]
    assert "ZeroDivisionError" in background.state("broken").error.text("en")  # type: ignore[union-attr]
    background.forget("good")
    assert background.state("good") is None


def test_background_work_is_one_of_a_kind_and_can_be_stopped() -> None:
    import asyncio

    background, ended = Background(), []

    async def endless(told: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    assert background.start("a", endless)
    assert not background.start("a", endless)
    until(lambda: background.state("a") is not None)
    time.sleep(0.05)
    background.forget("a")
    assert ended == [True]
    assert background.start("a", endless)
    background.stop()
