"""The keyword leg against a full scan in plain Python: scores, order, frequencies, through any history of changes."""

from __future__ import annotations

import math
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import StoreBusy
from core.retrieval import bm25, keyword, postings, segments
from core.retrieval.segment_views import Live, Term
from core.workspace import Workspace

Passage = tuple[list[str], list[str]]  # terms of context and of body
COLLECTION, OTHER = 1, 2


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    found = Workspace.open(tmp_path)
    with found.write() as db:
        for name in ("one", "two"):
            number = db.execute(
                "INSERT INTO collections (tenant, name, created_at) VALUES ('local', ?, 0)", (name,)
            ).lastrowid
            keyword.create(db, number or 0)
    yield found
    found.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few passages, so that a short history flushes, merges and sweeps."""
    monkeypatch.setattr(segments, "FRESH", 4)
    monkeypatch.setattr(segments, "FANOUT", 2)
    monkeypatch.setattr(segments, "MOST", 64)
    monkeypatch.setattr(postings, "BLOCK_BYTES", 128)


def _passage(db: sqlite3.Connection) -> None:
    """One document of one passage, not indexed yet."""
    db.execute(
        "INSERT INTO documents (id, collection_id, tenant, user, source, title, language, media_type, content_hash,"
        " text, updated_at) VALUES ('d', 1, 'local', 'u', 's', 'Kettle KT-210', 'en', 'text/plain', 'h', '', 0)"
    )
    db.execute(
        'INSERT INTO passages (id, collection_id, document_id, position, start, "end", language, text, text_hash)'
        " VALUES ('d-1', 1, 'd', 0, 0, 9, 'zh', '七天内可以退货', 'x')"
    )


def scanned(passages: dict[int, Passage], terms: Sequence[str]) -> dict[int, float]:
    """BM25 of every passage that holds a term, written down as in the paper."""
    average = max(1.0, sum(len(c) + len(b) for c, b in passages.values()) / max(1, len(passages)))
    holds = {t: sum(t in c or t in b for c, b in passages.values()) for t in terms}
    idf = {t: math.log(1 + (len(passages) - df + 0.5) / (df + 0.5)) for t, df in holds.items()}
    found = {}
    for number, (context, body) in passages.items():
        counts = {t: keyword.CONTEXT_WEIGHT * context.count(t) + body.count(t) for t in terms}
        length = len(context) + len(body)
        score = 0.0
        for term, count in counts.items():
            norm = bm25.K1 * (1 - bm25.B + bm25.B * length / average)
            score += idf[term] * count * (bm25.K1 + 1) / (count + norm)
        if any(counts.values()):
            found[number] = score
    return found


def assert_as_scanned(db: sqlite3.Connection, passages: dict[int, Passage], terms: Sequence[str], limit: int) -> None:
    expected = scanned(passages, terms)
    found = keyword.search(db, COLLECTION, terms, limit)
    assert len(found) == min(limit, len(expected))
    best = sorted(expected.values(), reverse=True)[: len(found)]
    assert [score for _, score in found] == pytest.approx(best, rel=1e-4, abs=2e-3)
    for number, score in found:
        assert score == pytest.approx(expected[number], rel=1e-4, abs=2e-3)
    assert found == sorted(found, key=lambda row: (-row[1], row[0]))
    everything = keyword.scores(db, COLLECTION, terms, passages)
    assert everything == pytest.approx({n: expected.get(n, 0.0) for n in passages}, rel=1e-4, abs=2e-3)
    held, places = (
        keyword.terms_in(db, COLLECTION, terms),
        keyword.view(db, COLLECTION).places(np.array(list(passages))),
    )
    matched = dict(zip(passages, held.matched(places, terms, len(passages)), strict=True))
    assert matched == {n: tuple(t for t in terms if t in c or t in b) for n, (c, b) in passages.items()}
    assert keyword.numbers(db, COLLECTION) == sorted(passages)
    frequency = keyword.document_frequency(db, COLLECTION, terms)
    assert frequency == {t: sum(t in c or t in b for c, b in passages.values()) for t in terms}
    assert keyword.passages(db, COLLECTION) == len(passages)


VOCABULARY = [f"t{i}" for i in range(12)]
TERMS = st.lists(st.sampled_from(VOCABULARY), max_size=12)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), TERMS, TERMS),
        st.tuples(st.just("remove"), st.integers(0, 10**6)),
        st.tuples(st.just("optimize")),
    ),
    max_size=60,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(changes=CHANGES, terms=st.lists(st.sampled_from(VOCABULARY), min_size=1, unique=True), limit=st.integers(1, 9))
def test_any_history_is_searched_as_a_scan_would(
    workspace: Workspace, small: None, changes: list[tuple[object, ...]], terms: list[str], limit: int
) -> None:
    passages: dict[int, Passage] = {}
    with workspace.write() as db:
        for collection in (COLLECTION, OTHER):
            keyword.drop(db, collection)
            keyword.create(db, collection)
        keyword.add(db, OTHER, 10**7, ["t0"], ["t1"] * 5)  # must not be seen
        for step, (kind, *rest) in enumerate(changes):
            if kind == "add":
                number = max(passages, default=0) + 1  # the number of a deleted last passage comes again
                passages[number] = (list(rest[0]), list(rest[1]))
                keyword.add(db, COLLECTION, number, *passages[number])
            elif kind == "remove" and passages:
                number = sorted(passages)[rest[0] % len(passages)]
                del passages[number]
                keyword.remove(db, COLLECTION, number)
            elif kind == "optimize":
                segments.optimize(db, COLLECTION)
            if step % 10 == 0:
                assert_as_scanned(db, passages, terms, limit)
    with workspace.read() as db:
        assert_as_scanned(db, passages, terms, limit)


def zipf(rng: random.Random, count: int) -> list[str]:
    return [f"w{min(int(rng.paretovariate(0.6)), 3000)}" for _ in range(count)]


@pytest.fixture
def large(workspace: Workspace) -> dict[int, Passage]:
    rng = random.Random(7)
    passages = {n: (zipf(rng, 3), zipf(rng, rng.randint(5, 60))) for n in range(1, 3001)}
    with workspace.write() as db:
        for number, (context, body) in passages.items():
            keyword.add(db, COLLECTION, number, context, body)
    return passages


@pytest.mark.parametrize("resident", [True, False])
def test_pruning_leaves_out_nothing(
    workspace: Workspace, large: dict[int, Passage], resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "RESIDENT", 10**6 if resident else 0)
    rng = random.Random(8)
    with workspace.read() as db:
        view = segments.view(db, COLLECTION)
        assert 1 < len(view.parts) < 12
        assert (view.parts[-1].segment.postings is not None) == resident
        for limit in (1, 10, 60):
            assert_as_scanned(db, large, list(dict.fromkeys(zipf(rng, 12))), limit)


def test_common_terms_are_not_read_to_the_end_when_rare_ones_decide(
    workspace: Workspace, large: dict[int, Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    summed: Counter[str] = Counter()
    added = bm25._added
    monkeypatch.setattr(bm25, "_added", lambda w, f, n: (summed.update({"postings": np.size(f)}), added(w, f, n))[1])
    rare = [t for t, n in Counter(t for c, b in large.values() for t in {*c, *b}).items() if n == 15][:3]
    with workspace.read() as db:
        everywhere = keyword.document_frequency(db, COLLECTION, ["w1", "w2", "w3"])
        keyword.search(db, COLLECTION, [*rare, *everywhere], 3)
    assert 0 < summed["postings"] < sum(everywhere.values()) / 2


def test_only_allowed_passages_and_as_many_as_asked(workspace: Workspace, large: dict[int, Passage]) -> None:
    terms, allowed = ["w1", "w2", "w40"], list(range(1, 3001, 7))
    with workspace.read() as db:
        everything = keyword.search(db, COLLECTION, terms, 3000)
        expected = [row for row in everything if row[0] in set(allowed)][:20]
        assert keyword.search(db, COLLECTION, terms, 20, allowed=allowed) == expected
        assert keyword.search(db, COLLECTION, terms, 20, allowed=[]) == []


def test_nothing_asked_nothing_found(workspace: Workspace) -> None:
    with workspace.read() as db:
        assert keyword.search(db, COLLECTION, [], 5) == []
        assert keyword.search(db, COLLECTION, ["nowhere"], 5) == []
        assert keyword.search(db, 99, ["nowhere"], 5) == []
        assert keyword.scores(db, COLLECTION, ["a"], []) == {}
        assert keyword.scores(db, COLLECTION, [], [3]) == {3: 0.0}
        assert keyword.document_frequency(db, 99, ["a"]) == {"a": 0}


def test_what_is_rolled_back_was_never_there(workspace: Workspace) -> None:
    def dies() -> None:
        with workspace.write() as db:
            for number in range(1, 200):
                keyword.add(db, COLLECTION, number, [], ["gone"])
            assert len(keyword.search(db, COLLECTION, ["gone"], 500)) == 199
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dies()
    with workspace.read() as db:
        assert keyword.search(db, COLLECTION, ["gone"], 500) == []
        assert keyword.passages(db, COLLECTION) == 0


def test_an_index_of_the_first_format_is_made_anew_from_the_stored_text(workspace: Workspace) -> None:
    with workspace.write() as db:
        db.execute("DELETE FROM keyword_indexes")
        db.execute(f"CREATE VIRTUAL TABLE keyword_{COLLECTION} USING fts5(context, body)")
        _passage(db)
    with workspace.read() as db:
        for term in ("kt210", "退货"):
            assert [number for number, _ in keyword.search(db, COLLECTION, [term], 5)] == [1]
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (f"keyword_{COLLECTION}",)).fetchall()


def test_a_search_waits_for_an_index_that_another_makes_anew(tmp_path: Path) -> None:
    """However long that takes: here ten times as long as a connection waits for a lock."""
    found: list[list[int]] = []
    with closing(Workspace.open(tmp_path, busy_s=0.05)) as workspace:
        with workspace.write() as db:
            db.execute("INSERT INTO collections (id, tenant, name, created_at) VALUES (1, 'local', 'one', 0)")
            segments.create(db, COLLECTION, "older")
            _passage(db)

        def search() -> None:
            with workspace.read() as db:
                found.append([number for number, _ in keyword.search(db, COLLECTION, ["退货"], 5)])

        threads = [threading.Thread(target=search) for _ in range(3)]
        with workspace.write() as db:
            keyword.make_current(db, COLLECTION)
            for thread in threads:
                thread.start()
            threads[0].join(0.5)
            assert not found
        for thread in threads:
            thread.join()
        assert found == [[1]] * 3


def test_a_stuck_writer_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyword, "_PATIENCE_S", 0.1)
    with closing(Workspace.open(tmp_path, busy_s=0.02)) as workspace, closing(sqlite3.connect(workspace.path)) as other:
        with workspace.write() as db:
            db.execute("INSERT INTO collections (id, tenant, name, created_at) VALUES (1, 'local', 'one', 0)")
            segments.create(db, COLLECTION, "older")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy), workspace.read() as db:
            keyword.search(db, COLLECTION, ["a"], 5)


class Forgetful(dict[int, Term]):
    """What a view remembers, cleared by another thread right after each look."""

    def __contains__(self, key: object) -> bool:
        there = super().__contains__(key)
        self.clear()
        return there

    def get(self, key: int, default: Any = None) -> Any:
        found = super().get(key, default)
        self.clear()
        return found


def test_threads_that_share_a_view_may_clear_and_fill_it_at_any_moment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, others = Live.names, [True]

    def while_another_looks(part: Live, db: sqlite3.Connection, collection: int) -> Any:
        if others:
            others.clear()
            view.names(db, collection)
        return names(part, db, collection)

    with workspace.write() as db:
        keyword.add(db, COLLECTION, 1, [], ["a", "b"])
        view = keyword.view(db, COLLECTION)
        asked = [postings.hashed(term) for term in ("a", "b")]
        remembered = Forgetful({hash_: view.terms(db, [hash_])[0] for hash_ in asked})
        assert [term.passages for term in replace(view, _terms=remembered).terms(db, asked)] == [1, 1]
        monkeypatch.setattr(Live, "names", while_another_looks)
        assert len(view.names(db, COLLECTION) or ()) == len(view.parts)


def test_readers_see_whole_states_while_another_thread_writes(workspace: Workspace, small: None) -> None:
    """Every passage holds 'all'; what a reader counts can only grow, and never lacks what was committed before."""
    committed, wrong, done = [0], [], threading.Event()

    def write() -> None:
        for number in range(1, 400):
            with workspace.write() as db:
                keyword.add(db, COLLECTION, number, [], ["all", f"n{number}"])
            committed[0] = number
        done.set()

    def read() -> None:
        while not done.is_set():
            before = committed[0]
            with workspace.read() as db:
                found = keyword.search(db, COLLECTION, ["all"], 1000)
            if not before <= len(found) <= committed[0] + 1:
                wrong.append((before, len(found), committed[0]))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    write()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_dropping_a_collection_leaves_no_rows(workspace: Workspace, large: dict[int, Passage]) -> None:
    with workspace.write() as db:
        assert db.execute("SELECT count(*) FROM keyword_blocks").fetchone()[0]
        assert keyword.collections(db) == [COLLECTION, OTHER]
        db.execute("DELETE FROM collections WHERE id = ?", (COLLECTION,))
        assert keyword.collections(db) == [OTHER]
        for table in ("keyword_blocks", "keyword_segments", "keyword_fresh"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def test_blocks_hold_what_was_put_in() -> None:
    rng = np.random.default_rng(3)
    terms = [np.unique(rng.integers(0, 5000, size=400)).astype(np.uint64) for _ in range(300)]
    frequencies = [rng.integers(1, 255, size=len(t)).astype(np.uint8) for t in terms]
    made = postings.inverted(np.concatenate(terms), np.concatenate(frequencies), [len(t) for t in terms])
    cut = list(postings.blocks(made))
    assert len(cut) > 5
    read = postings.joined([postings.parsed(data) for _, data in cut])
    for name in ("hashes", "counts", "ordinals", "frequencies"):
        assert np.array_equal(getattr(read, name), getattr(made, name))
    assert [int(postings.parsed(data).hashes[0]) for _, data in cut] == [first for first, _ in cut]


def test_a_batch_leaves_few_segments_and_the_names_of_its_passages(workspace: Workspace, small: None) -> None:
    with workspace.write() as db:
        for number in range(1, 32):
            keyword.add(db, COLLECTION, number, [], [f"w{number % 5}"])
        before = segments.view(db, COLLECTION).parts
        expected = keyword.search(db, COLLECTION, ["w3"], 50)
        assert segments.scattered(db, COLLECTION)
        keyword.settle(db, COLLECTION)
        assert len(before) > 2
        assert len(segments.view(db, COLLECTION).parts) == 1
        assert keyword.search(db, COLLECTION, ["w3"], 50) == expected
        assert not segments.scattered(db, COLLECTION)
