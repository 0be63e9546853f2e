"""The retrieval tester: sides, judgments, figures that are those of the command line, and the gate."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.search import evaluate
from apps.search.query import Query
from apps.search.service import SAMPLE, Search
from apps.search.tester import FIGURES
from core.errors import InputError, NotAllowed
from core.evaluation import judged
from core.evaluation.datasets import sample
from core.evaluation.loaders import load_beir
from core.providers.sync import run
from core.settings import Settings
from core.types import Caller
from tests.apps.test_cli import data, touchstone

ROOT = Path(__file__).parents[3]
SCIFACT = next((f for f in (ROOT / "shared/data/scifact", ROOT.parent / "shared/data/scifact") if f.is_dir()), None)
ADMIN = Caller(tenant="one", user="anna", roles=frozenset({"admin"}))
BOB = Caller(tenant="one", user="bob", roles=frozenset())
STRANGER = Caller(tenant="two", user="anna", roles=frozenset())
WORDS, MEANING = Query("", mode="keyword", help=()), Query("", mode="vector", help=())


def document(desk: Search, ending: str) -> str:
    return next(d.id for d in desk.places(ADMIN)[0].index.documents() if d.source.endswith(ending))


def test_two_rankings_stand_side_by_side(desk: Search) -> None:
    left, _ = desk.tester.side_by_side(
        Query("annual leave Leeds", mode="keyword"),
        Query("annual leave Leeds", mode="keyword", languages=("zh",)),
        ADMIN,
    )
    assert [side.rank for side in left] == list(range(1, len(left) + 1))
    assert left[0].other_rank is None, "an English passage is not let through on the right"
    (same, _) = desk.tester.side_by_side(Query("年假"), Query("年假"), ADMIN)
    assert all(side.rank == side.other_rank for side in same)


def test_thumbs_become_judgments_of_the_tenant(desk: Search) -> None:
    desk.prepare()
    leave, travel = document(desk, "zh/leave.md"), document(desk, "travel.md")
    desk.judgments.judge(" 年假  几天 ", leave, 1.0, ADMIN)
    desk.judgments.judge("年假 几天", travel, 0.0, ADMIN)
    desk.judgments.judge("年假 几天", travel, 1.0, BOB)
    assert desk.judgments.own("年假 几天", ADMIN) == {leave: 1.0, travel: 0.0}
    (record,) = desk.tester.judged("judgments", ADMIN).records
    assert dict(record.relevant) == {leave: 1.0, travel: 1.0}, "of two judgments the newer counts"
    assert desk.tester.judged("judgments", STRANGER).records == ()
    desk.judgments.judge("年假 几天", travel, None, BOB)
    (record,) = desk.tester.judged("judgments", ADMIN).records
    assert dict(record.relevant) == {leave: 1.0, travel: 0.0}


def test_judgments_on_uploads_stay_with_those_who_find_them(desk: Search) -> None:
    desk.upload("note.md", b"# Bike shed\n\nThe code of the bike shed is 4711.\n", ADMIN)
    (note,) = desk.documents(ADMIN)
    desk.judgments.judge("bike shed", note.id, 1.0, ADMIN)
    assert len(desk.tester.judged("judgments", ADMIN).records) == 1
    assert desk.tester.judged("judgments", BOB).records == ()
    with pytest.raises(InputError):
        desk.tester.export(BOB)


def test_the_export_is_what_the_command_line_measures(desk: Search, tmp_path: Path) -> None:
    desk.prepare()
    desk.judgments.judge("年假几天", document(desk, "zh/leave.md"), 1.0, ADMIN)
    with zipfile.ZipFile(io.BytesIO(desk.tester.export(ADMIN))) as archive:
        archive.extractall(tmp_path / "out")
    found = load_beir(tmp_path / "out" / "judgments")
    assert dict(found.records[0].relevant) == {"zh/leave.md": 1.0}
    assert {d.id for d in found.documents} == {
        "zh/leave.md",
        "travel.md",
        "en/leave.md",
        "leave-mail.txt",
        "prices.csv",
    }
    assert str(tmp_path) not in json.dumps([d.id for d in found.documents])


def test_an_uploaded_file_is_judged_by_names(desk: Search) -> None:
    desk.prepare()
    found = desk.tester.of_file("mine.csv", "question,document\n住宿标准,travel.md\n".encode(), ADMIN)
    assert dict(found.records[0].relevant) == {document(desk, "travel.md"): 1.0}
    for name, text, reason in (
        ("a.csv", "question,document\nx,gone.md\n", "judged_unknown"),
        ("a.xlsx", "", "bad_value"),
    ):
        with pytest.raises(InputError) as raised:
            desk.tester.of_file(name, text.encode(), ADMIN)
        assert raised.value.reason == reason


def test_a_setting_that_nobody_can_judge_is_stopped(desk: Search) -> None:
    desk.prepare()
    nothing = desk.tester.judged("judgments", ADMIN)
    with pytest.raises(InputError) as raised:
        run(desk.tester.set_default(WORDS, nothing, ADMIN))
    assert raised.value.reason == "setting_unmeasured"
    assert run(desk.tester.set_default(WORDS, nothing, ADMIN, force=True)) is None
    assert desk.defaults.changes(ADMIN)[0].forced
    with pytest.raises(NotAllowed):
        run(desk.tester.set_default(WORDS, nothing, BOB, force=True))


def test_nothing_to_measure_on_is_said(desk: Search) -> None:
    with pytest.raises(InputError) as raised:
        run(desk.tester.compare(WORDS, MEANING, desk.tester.judged("judgments", ADMIN), ADMIN))
    assert raised.value.reason == "nothing_judged"


# --- the shipped corpus: the tester and the command line are one ----------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    from core.settings import load_settings

    home = tmp_path_factory.mktemp("shipped")
    environment = {
        "TOUCHSTONE_HOME": str(home),
        "TOUCHSTONE_CHAT": "scripted:demo",
        "TOUCHSTONE_EMBEDDING": "scripted:hash",
    }
    desk = Search.open(load_settings(home, environment))
    desk.prepare()
    yield desk
    desk.close()


def test_figures_are_those_of_touchstone_evaluate_retrieval(
    shipped: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sample"
    tester = shipped.tester
    judged.write_beir(tester.with_documents(tester.judged("sample")), folder)
    found = run(tester.compare(Query("", mode="keyword", help=()), Query("", help=()), folder))
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    monkeypatch.setenv("TOUCHSTONE_HOME", str(shipped.runtime.settings.home))
    told = data(
        touchstone("evaluate", "retrieval", "--data", str(folder), "--split", "tune", "--mode", "all", "--json")
    )
    for mode, side in (("keyword", found.first), ("hybrid", found.second)):
        assert {name: side.value(name) for name in FIGURES} == {name: told[mode][name] for name in FIGURES}
    assert len(found.second.ids) == len(
        [row for row in evaluate.rows("questions.yaml", "questions", "tune") if row["relevant"]]
    )
    rows = {row.measure: row for row in found.rows}
    assert rows["ndcg@10"].verdict == "worse", "hashed words in place of an embedding model"
    assert found.changed[0].before != found.changed[0].after


@pytest.mark.skipif(SCIFACT is None, reason="the public data sets are not here")
def test_a_slice_of_scifact_has_the_figures_of_the_command_line_and_stops_a_bad_setting(
    shipped: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert SCIFACT is not None
    whole = sample(load_beir(SCIFACT, split="train"), 20)
    wanted = {name for record in whole.records for name in record.relevant}
    others = [document for document in whole.documents if document.id not in wanted][::100]
    kept = tuple(document for document in whole.documents if document.id in wanted or document in others)
    folder = tmp_path / "slice"
    judged.write_beir(replace(whole, documents=kept, split="test", checksum=""), folder)
    bad = Query("", mode="vector", help=())
    found = run(shipped.tester.compare(WORDS, bad, folder))
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    monkeypatch.setenv("TOUCHSTONE_HOME", str(shipped.runtime.settings.home))
    told = data(touchstone("evaluate", "retrieval", "--data", str(folder), "--mode", "all", "--json"))
    for mode, side in (("keyword", found.first), ("vector", found.second)):
        assert {name: side.value(name) for name in FIGURES} == {name: told[mode][name] for name in FIGURES}
    words, hashed = found.first.value("ndcg@10"), found.second.value("ndcg@10")
    assert words > hashed + 0.2
    who = Caller(tenant="scifact", user="anna", roles=frozenset({"admin"}))
    run(shipped.tester.set_default(WORDS, folder, who, force=True))
    with pytest.raises(InputError) as raised:
        run(shipped.tester.set_default(bad, folder, who))
    assert raised.value.reason == "setting_worse"
    assert f"{words:.3f}" in raised.value.text("en")
    assert f"{hashed:.3f}" in raised.value.text("zh")
    assert shipped.defaults.query(who).mode == "keyword"


def test_a_worse_setting_is_stopped_and_can_be_forced(shipped: Search) -> None:
    tester, data_, whole = shipped.tester, shipped.tester.judged("sample", ADMIN), Query("", help=())
    run(tester.set_default(WORDS, data_, ADMIN, force=True))
    assert not shipped.defaults.changes(ADMIN)[0].forced, (
        "it is better than both legs with hashed words: nothing to force"
    )
    with pytest.raises(InputError) as raised:
        run(tester.set_default(whole, data_, ADMIN))
    assert raised.value.reason == "setting_worse"
    for language in ("en", "zh"):
        assert f" {len(data_.records)} " in raised.value.text(language)
        assert "ndcg@10" in raised.value.text(language)
    assert shipped.defaults.query(ADMIN).mode == "keyword", "the setting stays as it is"
    run(tester.set_default(whole, data_, ADMIN, force=True))
    newest = shipped.defaults.changes(ADMIN)[0]
    assert (newest.query.mode, newest.by, newest.forced) == ("hybrid", "anna", True)
    assert newest.figures["ndcg@10"][0] > newest.figures["ndcg@10"][1]
    assert shipped.defaults.query(STRANGER) == Query(""), "another tenant searches as before"


def test_judged_questions_are_measured_where_the_documents_are(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    touchstone("index", str(SAMPLE / "en" / "tables"))
    names = sorted(path.name for path in (SAMPLE / "en" / "tables").glob("*.csv"))
    (tmp_path / "mine.csv").write_text(
        "question,document\n" + "".join(f"{n.removesuffix('.csv')},{n}\n" for n in names), "utf-8"
    )
    told = data(touchstone("evaluate", "retrieval", "--data", "mine.csv", "--mode", "keyword", "--json"))
    assert 0 < told["keyword"]["ndcg@10"] <= 1
    desk = Search.open(settings.with_values(TOUCHSTONE_CHAT="scripted:demo", TOUCHSTONE_EMBEDDING="scripted:hash"))
    try:
        here = desk.tester.of_file("mine.csv", (tmp_path / "mine.csv").read_bytes())
        made = run(desk.tester.measure("A", Query("", mode="keyword", help=(), places=("shared",)), here))
    finally:
        desk.close()
    assert {n: made.value(n) for n in FIGURES} == {n: told["keyword"][n] for n in FIGURES}
    gone = touchstone("evaluate", "retrieval", "--data", "mine.csv", "--collection", "none", "--json")
    assert data(gone)["error"]["code"] == "input.nothing_indexed"
