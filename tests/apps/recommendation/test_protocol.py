"""What is held out, what counts as found, lists for everybody, and what is measured of whole lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from apps.recommendation import batch, evaluate, evaluate_lists
from apps.recommendation.data import Item
from apps.recommendation.generators import History, item_item, sequence
from apps.recommendation.log import Log
from apps.recommendation.protocol import Case, Data, ranks, read, split_off
from core.errors import InputError, code_of
from core.runtime import Runtime
from core.settings import Settings, override


def steps() -> Log:
    """20 events a second apart: u and v in turn for 16 of them, then u, w, v, w."""
    user = [0, 1] * 8 + [0, 2, 1, 2]
    return Log.of(["u", "v", "w"], [f"i{n}" for n in range(20)], user, range(20), range(20))


def things(log: Log) -> list[Item]:
    return [Item(id_, {"en": f"Thing {id_}"}, tags=(id_[-1],)) for id_ in log.items]


def test_leave_one_out_holds_the_last_and_knows_the_rest() -> None:
    log = steps()
    test = split_off(log, things(log), "steps")
    assert {case.user: (case.target, case.at) for case in test.cases} == {"u": (16, 16), "v": (18, 18), "w": (19, 19)}
    assert all(case.target not in case.seen for case in test.cases)
    assert len(test.train) == 17
    earlier = split_off(log, things(log), "steps", split="validation")
    assert {case.user: case.target for case in earlier.cases} == {"u": 14, "v": 15}
    assert earlier.unknown == 1, "of w nothing is known before the item that validation holds out"
    assert test.checksum != earlier.checksum


def test_a_split_by_time_knows_nothing_of_what_came_after() -> None:
    log = steps()
    test = split_off(log, things(log), "steps", protocol="time")  # the last tenth: seconds 17.1 and later
    assert test.train.at.max() < 17.1
    assert {case.user: case.target for case in test.cases} == {"v": 18, "w": 19}
    earlier = split_off(log, things(log), "steps", split="validation", protocol="time")  # from 15.2 until 17.1
    assert earlier.train.at.max() == 15
    assert {case.user: case.target for case in earlier.cases} == {"u": 16}
    assert earlier.unknown == 1, "w is new then"


def test_what_cannot_be_measured_is_refused() -> None:
    once = Log.of(["u", "v"], ["a"], [0, 1], [0, 0], [5.0, 5.0])
    for protocol in ("leave-one-out", "time"):
        with pytest.raises(InputError) as refused:
            split_off(once, [Item("a", {"": "A"})], "once.csv", protocol=protocol)  # type: ignore[arg-type]
        assert code_of(refused.value) == "input.nothing_to_evaluate"
        assert "once.csv" in refused.value.text("zh")
    case = Case("u", np.array([0]), 1, 0.0)
    with pytest.raises(ArithmeticError):  # compared with NaN, every target would stand first
        ranks(case, {"broken": np.array([0.0, np.nan, 1.0])})
    assert ranks(case, {"same for all": np.zeros(5)}) == {"same for all": 1.5}, "the middle of the four unseen"


def test_files_without_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "mine.inter"
    path.write_text("user_id:token\titem_id:token\ttimestamp:float\nu\tb\t2\nu\ta\t1\nv\ta\t3\n", "utf-8")
    log, items = read(path, None, 0)
    assert [item.id for item in items] == list(log.items) == ["a", "b"]
    assert log.item.tolist() == [0, 1, 0]


@pytest.mark.parametrize("kept", [3, None])
def test_lists_for_everybody_are_those_for_each(log: Log, kept: int | None) -> None:
    for method in (item_item(log), sequence(log, "near", window=5, within=0.8, back=0.5, by=(0.5, 0.3), decay=0.8)):
        method = method if kept is None else batch.nearest(method, kept)
        allowed = np.arange(20) != 4
        items, scores = batch.best(method, log, n=6, allowed=allowed)
        bounds = log.bounds()
        for user in range(len(log.users)):
            seen = log.item[bounds[user] : bounds[user + 1]]
            alone = method.scores(History.of(seen, 0.0))
            alone[seen] = 0
            alone[~allowed] = 0
            there = items[user] != batch.NOBODY
            assert scores[user][there] == pytest.approx(np.sort(alone[alone > 0])[::-1][:6], rel=1e-5)
            assert alone[items[user][there]] == pytest.approx(scores[user][there], rel=1e-5)
            assert not set(items[user][there].tolist()) & {4, *seen.tolist()}


def test_the_nearest_neighbors_are_kept(log: Log) -> None:
    whole = sparse.csr_matrix(item_item(log).matrix).toarray()
    part = batch.nearest(item_item(log), 3).matrix.toarray()
    for row, kept in zip(whole, part, strict=True):
        assert np.sort(kept[kept > 0]).tolist() == np.sort(row)[-3:].tolist()
    nothing = Log.of(["u"], ["a", "b"], [0], [0], [0.0])
    assert batch.best(batch.nearest(item_item(nothing), 3), nothing)[0].tolist() == [[batch.NOBODY] * 10]


def test_people_with_few_events_and_rare_items_are_measured_apart(log: Log) -> None:
    data = split_off(log, things(log), "worlds")
    made = evaluate.evaluation(data, "some", [0.0] * 30 + [20.0] * 30, "test", {})
    assert set(made.figures) == {"hr@10", "ndcg@10"}, "everybody here has few events, and no item is rare"
    longer = [Case(c.user, np.arange(12) if n < 15 else c.seen, c.target, c.at) for n, c in enumerate(data.cases)]
    made = evaluate.evaluation(
        Data("w", data.items, data.train, longer, ""), "some", [0.0] * 30 + [20.0] * 30, "test", {}
    )
    assert made.value("ndcg@10, people with few events") == pytest.approx(15 / 45)
    assert made.figures["ndcg@10, people with few events"].records == 45


FILMS = [
    Item("1", {"": "Matrix, The (1999)"}, tags=("Action", "Sci-Fi")),
    Item("2", {"": "Heat (1995)"}, tags=("Action", "Crime")),
]


@pytest.mark.parametrize(
    ("language", "pattern", "said"),
    [
        ("en", "title", "Something like “Heat”"),
        ("zh", "title and tags", "很喜欢《Heat》，想看点动作、科幻的"),
        ("en", "tags", "I would like something action and sci-fi"),
    ],
)
def test_what_somebody_new_says(language: str, pattern: str, said: str) -> None:
    case = Case("u", np.array([0, 1]), 0, 0.0)
    assert evaluate_lists.sentence(case, FILMS, language, pattern) == said


def test_reasons_and_sentences_are_measured_on_the_service(log: Log, settings: Settings) -> None:
    data = split_off(log, things(log), "worlds")
    with Runtime(override(settings, models__embedding="scripted:none")) as runtime:
        service = evaluate_lists.opened(data, runtime)
        checked = evaluate_lists.reasons(service, data, 10)
        assert len(checked.waits_ms) == 10
        assert set(checked.real) == {1.0}
        cited = [fallen for fallen in checked.falls if fallen is not None]
        assert len(cited) > 20
        assert 0 < np.mean(cited) < 1
        others = [replace(case, seen=case.seen[:0]) for case in data.cases]  # as if nobody had done anything
        wrong = evaluate_lists.reasons(service, replace(data, cases=others), 10)
        assert [real for real, fallen in zip(wrong.real, wrong.falls, strict=True) if fallen is not None] == [
            0.0
        ] * len([fallen for fallen in wrong.falls if fallen is not None])
        few = Data(data.name, data.items, data.train, data.cases[:6], data.checksum)
        found = evaluate_lists.from_sentences(service, few)
        assert np.mean(found["one sentence, title, zh"]) < np.mean(found["popularity"]), "a title tells the world"
        assert all(len(ranked) == 6 for ranked in found.values())
