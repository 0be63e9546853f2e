"""Ranking metrics: hand-computed values, and trec_eval itself as the oracle."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import pytrec_eval

from core.errors import UnknownName
from core.evaluation import ranking

RANKING = ["d1", "d2", "d3", "d4", "d5"]
RELEVANT = {"d2": 3.0, "d4": 1.0, "d9": 2.0, "d1": 0.0}


def one(name: str, documents: list[str] = RANKING, relevant: dict[str, float] = RELEVANT) -> float:
    return float(ranking.measure([documents], [relevant], [name])[name][0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # gains 0 3 0 1 0; ideal 3 2 1
        ("ndcg@5", (3 / math.log2(3) + 1 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / 2)),
        ("ndcg@3", (3 / math.log2(3)) / (3 + 2 / math.log2(3) + 1 / 2)),
        ("ndcg@1", 0.0),
        ("mrr", 1 / 2),
        ("mrr@1", 0.0),
        ("recall@5", 2 / 3),
        ("recall@2", 1 / 3),
        ("precision@5", 2 / 5),
        ("precision@10", 2 / 10),
        ("map", (1 / 2 + 2 / 4) / 3),
        ("map@2", (1 / 2) / 3),
        ("success@1", 0.0),
        ("success@2", 1.0),
    ],
)
def test_values_by_hand(name: str, value: float) -> None:
    assert one(name) == pytest.approx(value)


def test_a_perfect_list_scores_one_and_an_empty_one_nothing() -> None:
    for name in ("ndcg@10", "mrr", "recall@10", "map", "success@1"):
        assert one(name, ["d2", "d9", "d4"]) == pytest.approx(1.0)
        assert one(name, []) == 0.0


def test_a_query_without_relevant_documents_scores_nothing() -> None:
    for name in ranking.METRICS:
        assert one(name, RANKING, {"d1": 0.0}) == 0.0


def test_naming_a_document_twice_pays_nothing() -> None:
    once, twice = ["d2", "x", "y"], ["d2", "d2", "d2"]
    for name in ("ndcg@3", "recall@3", "precision@3", "map"):
        assert one(name, twice) == one(name, once)


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg@", "ndcg@0", "ndcg@x", "@10", "ndcg@-1", "ndcg@1.5", ""])
def test_an_unknown_measure_is_named_with_what_is_allowed(name: str) -> None:
    with pytest.raises(UnknownName, match="ndcg"):
        ranking.measure([[]], [{}], [name])


def test_rankings_and_queries_must_match() -> None:
    with pytest.raises(ValueError, match="1 rankings for 2"):
        ranking.measure([[]], [{}, {}])


def test_agrees_with_trec_eval_on_random_runs() -> None:
    rng = random.Random(7)
    documents = [f"d{n}" for n in range(60)]
    qrels = {
        f"q{n}": {d: rng.choice([0, 0, 1, 1, 2, 3]) for d in rng.sample(documents, rng.randint(1, 30))}
        for n in range(80)
    }
    rankings = {q: rng.sample(documents, rng.randint(1, 50)) for q in qrels}
    run = {q: {d: float(len(found) - rank) for rank, d in enumerate(found)} for q, found in rankings.items()}
    names = {
        "ndcg@10": "ndcg_cut_10",
        "ndcg@100": "ndcg_cut_100",
        "ndcg": "ndcg",
        "mrr": "recip_rank",
        "recall@10": "recall_10",
        "recall@100": "recall_100",
        "precision@5": "P_5",
        "map": "map",
        "map@100": "map_cut_100",
        "map@5": "map_cut_5",
        "success@1": "success_1",
        "success@5": "success_5",
    }
    oracle = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(run)
    ours = ranking.measure(list(rankings.values()), list(qrels.values()), list(names))
    for name, theirs in names.items():
        np.testing.assert_allclose(ours[name], [oracle[q][theirs] for q in qrels], atol=1e-12, err_msg=name)
