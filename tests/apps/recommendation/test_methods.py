"""Methods, their fusion and the list: on hand-computed values and in a world whose right answer is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import sparse

from apps.recommendation import diversity, evaluate, exposure, fusion, generators, pairs, segments
from apps.recommendation.diversity import TEXT, Likeness, Standing, arranged, explored, fame
from apps.recommendation.generators import DAY_S, History
from apps.recommendation.log import Log, core
from apps.recommendation.reasons import from_history
from tests.apps.recommendation.conftest import SEAS, STARS

NOW = 2e9


def small() -> Log:
    """Two people: a then b then c; a then c."""
    return Log.of(["u", "v"], ["a", "b", "c"], [0, 0, 0, 1, 1], [0, 1, 2, 0, 2], [1, 2, 3, 1, 2])


def test_a_log_is_sorted_and_ties_do_not_follow_the_items() -> None:
    log = Log.of(["u"], [str(i) for i in range(50)], [0] * 50, range(50), [7.0] * 49 + [1.0])
    assert log.item[0] == 49, "the earliest comes first"
    assert log.item[1:].tolist() != sorted(log.item[1:].tolist())
    again = Log.of(["u"], [str(i) for i in range(50)], [0] * 50, range(50), [7.0] * 49 + [1.0])
    assert log.item.tolist() == again.item.tolist(), "the seed is fixed"
    assert log.from_last().tolist() == list(range(49, -1, -1))


def test_core_drops_until_nothing_is_too_rare() -> None:
    # v has one event; without v item b has one; without b user w has one.
    log = Log.of(["u", "v", "w"], ["a", "b", "c"], [0, 0, 1, 2, 2, 0], [0, 2, 1, 1, 2, 0], [1, 2, 3, 4, 5, 6])
    left = core(log, 2)
    assert set(left.users) == {"u"}
    assert set(left.items) == {"a"}


def test_ease_is_the_closed_form() -> None:
    log = small()
    seen = np.array([[1, 1, 1], [1, 0, 1]], dtype=float)
    inverse = np.linalg.inv(seen.T @ seen + 2.0 * np.eye(3))
    wanted = inverse / -np.diag(inverse)
    np.fill_diagonal(wanted, 0)
    assert generators.ease(log, l2=2.0).matrix == pytest.approx(wanted, abs=1e-5)


def test_ease_of_a_large_catalogue_keeps_the_best_weights_of_the_most_used(log: Log) -> None:
    whole, part = generators.ease(log), generators.ease(log, limit=12, kept=5)
    assert np.diff(part.matrix.indptr).max() == 5
    used = np.flatnonzero(np.diff(part.matrix.indptr))
    assert len(used) == 12
    row = int(used[0])
    rest = part.matrix[[row]].toarray()[0]
    for item in np.flatnonzero(rest):
        assert np.sign(rest[item]) == np.sign(whole.matrix[row, item])


def test_a_sequence_knows_the_direction_and_the_distance() -> None:
    made = generators.sequence(small(), "s", window=2, within=0.5, back=0.0, by=(0.0, 0.0), decay=1.0)
    # a→b once at distance 1; a→c at distance 2 (0.5) and at distance 1; b→c once; nothing backwards.
    assert made.matrix.tolist() == [[0, 1, 1.5], [0, 0, 1], [0, 0, 0]]


def test_item_item_is_a_shrunken_cosine() -> None:
    matrix = generators.item_item(small()).matrix
    assert matrix[0, 2] == pytest.approx(2 / 7)  # together twice; (2 + 5) ** .5 * (2 + 5) ** .5
    assert matrix[0, 0] == 0


def test_a_matrix_is_dense_where_that_costs_less(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    few = generators.sequence(log, "markov", window=1, within=1.0, back=0.0, by=(0.0, 0.0), decay=1.0)
    assert isinstance(few.matrix, np.ndarray), "a small catalogue"
    monkeypatch.setattr(pairs, "SMALL", 0)
    sparse_one = generators.sequence(log, "markov", window=1, within=1.0, back=0.0, by=(0.0, 0.0), decay=1.0)
    assert sparse_one.matrix.toarray().tolist() == few.matrix.tolist()
    assert isinstance(generators.item_item(small()).matrix, np.ndarray), "more than half of the cells are filled"


def test_a_large_catalogue_keeps_the_best_cells_of_each_row(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "CELLS", 60)  # three rows a block
    for block in (pairs.together(log), pairs.in_order(log, window=5, within=0.8, back=0.5)):
        whole = pairs.shared_out(block, log, 0.5, 0.3)
        dense = whole if isinstance(whole, np.ndarray) else whole.toarray()
        part = pairs.shared_out(block, log, 0.5, 0.3, large=12, kept=4)
        assert np.diff(part.indptr).max() == 4
        for row, kept in zip(dense, part.toarray(), strict=True):
            assert kept[kept > 0] == pytest.approx(row[kept > 0])
            assert np.sort(kept)[-4:] == pytest.approx(np.sort(row)[-4:])


def test_weights_of_a_large_log_are_learnt_from_whole_people(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "MOST", 200)
    drawn = fusion.sampled(log)
    events = np.bincount(drawn.user, minlength=60)
    assert set(events.tolist()) == {0, 8}
    assert 100 < len(drawn) < 300
    assert len(fusion.fit(log).log) == len(log), "methods know everybody"


def test_a_matrix_says_the_same_in_either_form() -> None:
    rng = np.random.default_rng(3)
    cells = rng.random((12, 12)).astype(np.float32) * (rng.random((12, 12)) < 0.3)
    dense = generators.ItemToItem("m", cells, 0.8)
    thin = generators.ItemToItem("m", sparse.csr_matrix(cells), 0.8)
    history, items = History.of([4, 1, 4, 7], 0.0, np.array([1.0, 2.0, 0.5, 1.0])), np.array([11, 0, 4, 11])
    assert thin.scores(history) == pytest.approx(dense.scores(history), abs=1e-6)
    assert thin.parts(history, items) == pytest.approx(dense.parts(history, items), abs=1e-6)
    assert dense.parts(history, items).sum(axis=0) == pytest.approx(dense.scores(history)[items], abs=1e-5)


def test_popularity_halves_and_never_looks_ahead() -> None:
    log = Log.of(["u", "v"], ["a", "b"], [0, 1], [0, 1], [0.0, 10 * DAY_S])
    popular = generators.Popularity(log, half_life_days=10)
    assert np.expm1(popular.scores(History.of([], NOW * 10))) == pytest.approx([0.5, 1.0])
    assert np.expm1(popular.scores(History.of([], 5 * DAY_S))) == pytest.approx([2**-0.5, 0.0])
    undated = Log.of(["u", "v"], ["a", "b"], [0, 1, 1], [0, 1, 0], [0.0, 0.0, 1.0])
    counted = np.expm1(generators.Popularity(undated, half_life_days=10).scores(History.of([], 0.0)))
    assert counted == pytest.approx([2.0, 1.0], abs=1e-3)


def test_popularity_of_many_events_is_counted_from_the_nearest_stop() -> None:
    rng = np.random.default_rng(4)
    at, item = np.sort(rng.random(1000)) * 900 * DAY_S, rng.integers(7, size=1000)
    made = generators.Popularity(Log.of(["u"], list("abcdefg"), np.zeros(1000), item, at), half_life_days=100)
    assert len(made._stops) == 62
    for day in (-1.0, 0.3, 14.2, 450.0, 899.0, 950.0):
        now = min(day * DAY_S, at[-1])  # after the last event nothing fades
        wanted = np.bincount(item, np.where(at <= now, 2 ** -((now - at) / (100 * DAY_S)), 0.0), minlength=7)
        assert np.expm1(made.scores(History.of([], day * DAY_S))) == pytest.approx(wanted, abs=1e-9), day


def test_popularity_in_a_segment_is_that_of_people_of_like_taste() -> None:
    # u and v take cats, w takes dogs and the best known cat; somebody who took a cat is shown what u and v take.
    tags = [("cat",), ("cat",), ("dog",), ("dog",)]
    log = Log.of(["u", "v", "w"], list("abcd"), [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 3, 0], [1, 2, 3, 4, 5, 6])
    made = segments.Segments(log, tags)
    assert np.expm1(made.scores(History.of([0], 7.0))) == pytest.approx([1, 2, 0, 0], abs=1e-3)
    assert np.expm1(made.scores(History.of([2], 7.0))) == pytest.approx([1, 0, 1, 1], abs=1e-3)
    assert np.expm1(made.scores(History.of([0], 2.0))) == pytest.approx([1, 1, 0, 0], abs=1e-3), "not what came after"
    assert not made.scores(History.of([], 7.0)).any(), "nobody is known by nothing"


def test_parts_add_up_to_the_scores(log: Log) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 4))
    years = np.array([2000.0 + i if i % 3 else np.nan for i in range(20)])
    history = History.of([1, 5, 12], NOW, np.array([1.0, 2.0, 0.5]))
    every = np.arange(20)
    for generator in fusion.fitted(log, vectors, years):
        parts = generator.parts(history, every)
        assert parts.shape == (3, 20)
        if generator.name not in ("popularity", "recent", "liked"):
            assert parts.sum(axis=0) == pytest.approx(generator.scores(history), abs=1e-5), generator.name


def test_the_fused_method_finds_the_world_and_needs_no_training_for_a_new_event(log: Log) -> None:
    fused = fusion.fit(log)
    assert fused.learnt_from == 120
    assert all(weight >= 0 for name, weight in fused.weights.items() if name not in fusion.FREE)
    at_sea, in_space = History.of([0, 1], NOW), History.of([10, 11], NOW)
    for history, world in ((at_sea, SEAS), (in_space, STARS)):
        scores = fused.scores(history)
        scores[history.items] = -np.inf
        assert set(np.argsort(-scores)[:5].tolist()) <= set(world)


def test_somebody_without_a_history_gets_what_people_take() -> None:
    log = Log.of(["u", "v", "w"], ["a", "b", "c"], [0, 1, 2, 0], [1, 1, 1, 0], [1, 1, 1, 2])
    scores = fusion.fit(log).scores(History.of([], NOW))
    assert np.argsort(-scores).tolist() == [1, 0, 2]


def test_nothing_to_learn_from_is_no_error() -> None:
    empty = Log.of([], ["a", "b"], [], [], [])
    fused = fusion.fit(empty, vectors=np.eye(2))
    assert fused.weights == fusion.DEFAULT
    assert np.isfinite(fused.scores(History.of([0], NOW))).all()


def test_a_new_item_borrows_from_those_its_text_resembles() -> None:
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(40), 5)
    item = np.concatenate([rng.choice(12, 5, replace=False) + (12 if u % 2 else 0) for u in range(40)])
    vectors = np.array([[1.0, 0.02 * i] if i < 12 else [0.02 * i, 1.0] for i in range(24)] + [[1.0, 0.1], [0.3, 1.0]])
    log = Log.of([str(u) for u in range(40)], [str(i) for i in range(26)], user, item, np.arange(200.0))
    fused = fusion.fit(log, vectors=vectors)
    assert np.diff(fused.lenders.indptr).tolist() == [0] * 24 + [3, 3]
    scores = fused.scores(History.of([0, 1, 2], NOW))
    assert scores[24] > scores[25], "24 reads like what this person has"
    warm = [i for i in range(12) if i > 2]
    assert scores[24] > np.median(scores[warm]), "it can be recommended although nobody has taken it"


def test_a_reason_is_the_event_without_which_the_score_falls(log: Log) -> None:
    fused = fusion.fit(log)
    history = History.of([0, 2, 4, 11], NOW)
    items = np.array([i for i in range(20) if i not in (0, 2, 4, 11)])
    features = fused.features(history)
    before = fused.scores(history, features)[items]
    cited = from_history(fused, history, features, items)
    assert all(cited[place] is not None for place in np.argsort(-before)[:5]), "what is shown rests on something"
    for place, event in enumerate(cited):
        if event is not None:
            assert event in history.items
            assert fused.scores(history.without(event))[items[place]] < before[place]
    assert from_history(fused, History.of([], NOW), features, items) == [None] * 16


def test_what_falls_without_an_event_is_what_scoring_anew_gives(log: Log) -> None:
    fused = fusion.fit(log)
    history = History.of([0, 2, 4, 2, 11], NOW, np.array([1.0, 0.5, 2.0, 1.0, 1.0]))  # one thing twice
    items = np.arange(20)
    cited = from_history(fused, history, fused.features(history), items)
    whole = np.stack([g.scores(history) for g in fused.generators])
    for place, event in enumerate(cited):
        if event is not None and place in SEAS:
            without = np.stack([g.scores(history.without(event)) for g in fused.generators])
            assert (without[:, place] <= whole[:, place] + 1e-6).any()


def test_likeness_is_by_text_and_tags_or_by_the_one_there_is() -> None:
    vectors, tags = np.array([[1.0, 0.0], [0.6, 0.8]]), [{"a", "b"}, {"b", "c", "d"}]
    both = Likeness.of(vectors, tags)
    assert both.matrix()[0].tolist() == pytest.approx([1.0, TEXT * 0.6 + (1 - TEXT) * 0.25])
    assert Likeness.of(None, tags).matrix()[0].tolist() == [1.0, 0.25]
    assert Likeness.of(vectors, [(), ()]).matrix()[0].tolist() == pytest.approx([1.0, 0.6])
    assert both.among(np.array([1])).matrix()[0].tolist() == pytest.approx([1.0])
    assert both.among(np.array([1, 0])).matrix()[1].tolist() == both.matrix()[0][::-1].tolist()
    assert Likeness.of(None, [(), ("a",)]).matrix()[0].tolist() == [0.0, 0.0], "nothing known is like nothing"
    assert not Likeness.of(None, [(), ()])


def test_diversity_avoids_likeness_and_reaches_less_known_items() -> None:
    likeness = Likeness.of(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), ())
    scores, every = np.array([3.0, 2.9, 2.7]), np.arange(3)
    assert arranged(scores, every, likeness, count=2, diversity=0.0).tolist() == [0, 1]
    assert arranged(scores, every, likeness, count=2, diversity=0.5).tolist() == [0, 2]
    tags = Likeness.of(None, ["x", "x", "y"])
    assert arranged(scores, every, tags, count=2, diversity=0.5).tolist() == [0, 2]
    known = fame(np.array([100.0, 1.0, 1.0]))
    assert known.mean() == pytest.approx(0)
    nothing = Likeness(None, None)
    assert arranged(scores, every, nothing, count=1, diversity=1.0, standing=Standing(known, np.ones(3))).tolist() == [
        1
    ]
    assert arranged(scores, every[:0], likeness, count=2, diversity=0.5).tolist() == []
    equal = np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    assert arranged(equal, np.arange(5), nothing, count=4, diversity=0.0, pool=4).tolist() == [4, 1, 0, 2]


def test_what_stands_in_many_lists_makes_room(log: Log) -> None:
    fused = fusion.fit(log)
    even = np.zeros(20)
    places = exposure.exposure(fused, even)
    assert places.sum() == pytest.approx(20), "in multiples of an equal share"
    flat, nothing = np.zeros(20), Likeness(None, None)
    order = arranged(flat, np.arange(20), nothing, count=10, diversity=1.0, standing=Standing(even, 1 / (1 + places)))
    assert np.sort(places[order]) == pytest.approx(np.sort(places)[:10]), "of those equally good"
    assert exposure.exposure(fusion.fit(log.kept(log.item < 0)), even).tolist() == even.tolist(), "nobody has a list"


def test_an_exchange_gains_what_the_list_made_anew_gains() -> None:
    rng = np.random.default_rng(5)
    chance = -np.sort(-rng.random(9))
    chosen = np.array([0, 2, 3, 7])
    discount = 1 / np.log2(np.arange(4) + 2)
    gains = diversity._gains(chance, chosen)
    for out in range(4):
        for in_ in sorted(set(range(9)) - set(chosen.tolist())):
            anew = np.sort(np.append(np.delete(chosen, out), in_))
            assert gains[out, in_] == pytest.approx(chance[anew] @ discount - chance[chosen] @ discount)


def test_a_list_is_the_best_that_exchanges_reach() -> None:
    """Against every set of three: here the best of all is found, which exchanges do not promise but mostly do."""
    rng = np.random.default_rng(2)
    discount = 1 / np.log2(np.arange(3) + 2)
    missed = 0
    for _ in range(20):
        scores, kinds = -np.sort(-rng.random(8)), [(str(k),) for k in rng.integers(0, 3, 8)]
        likeness = Likeness.of(None, kinds)
        chance, alike = diversity.chances(scores), likeness.matrix()

        def worth(chosen: tuple[int, ...], chance: np.ndarray = chance, alike: np.ndarray = alike) -> float:
            close = alike[np.ix_(chosen, chosen)]
            return float(chance[list(chosen)] @ discount - 0.5 * diversity.LIKENESS * (close.sum() - 3) / 6)

        found = arranged(scores, np.arange(8), likeness, count=3, diversity=0.5)
        missed += worth(tuple(found.tolist())) < max(map(worth, combinations(range(8), 3))) - 1e-12
    assert missed <= 1


def test_a_list_of_those_far_ahead_still_differs() -> None:
    """What people take lately is told by heavy-tailed counts: the first must not take all of the chance."""
    chance = diversity.chances(np.array([40.0, 5.0, *np.linspace(2, 0, 58)]))
    assert chance[0] / chance[59] == pytest.approx(np.exp(diversity.SPREAD))


def test_what_was_chosen_for_diversity_is_listed_by_its_score() -> None:
    likeness = Likeness.of(None, ["x", "x", "y", "z"])
    scores = np.array([3.0, 2.9, 2.7, 2.6])
    assert arranged(scores, np.arange(4), likeness, count=4, diversity=0.5).tolist() == [0, 1, 2, 3]
    assert arranged(scores, np.arange(4), likeness, count=3, diversity=1.0).tolist() == [0, 2, 3]


def test_one_more_of_a_kind_is_not_forbidden() -> None:
    """Likeness is the mean over those chosen: after two that differ, a strong third may resemble one of them."""
    likeness = Likeness.of(None, ["x", "y", "x", "z"])
    scores = np.array([3.0, 2.9, 2.8, 1.2])
    assert arranged(scores, np.arange(4), likeness, count=3, diversity=0.25).tolist() == [0, 1, 2]
    assert arranged(scores, np.arange(4), likeness, count=3, diversity=1.0).tolist() == [0, 1, 3]


def test_figures_beyond_accuracy() -> None:
    likeness = Likeness.of(None, ["a", "a", "b", "b"])
    found = evaluate.beyond([np.array([0, 1]), np.array([0, 2])], likeness, np.array([4.0, 3.0, 2.0, 1.0]))
    assert found["coverage@10"] == 0.75
    assert found["popularity@10"] == pytest.approx((5 / 6 + 4 / 6) / 2)
    assert found["diversity by tags@10"] == 0.5
    assert found["diversity by tags@10 at random"] == pytest.approx(2 / 3)


def test_exploration_is_chance_that_stays_for_a_seed() -> None:
    scores = np.zeros(5)
    assert explored(scores, 0, 1) is scores
    assert explored(scores, 1, 1).tolist() == explored(scores, 1, 1).tolist()
    assert explored(scores, 1, 1).tolist() != explored(scores, 1, 2).tolist()
