"""The batch: rows that join and leave say what they would say alone; memory that runs out ends nobody else's answer."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.providers.torch_alone import Alone
from core.providers.torch_batch import PIECE_TOKENS, Batch, Request
from core.providers.torch_cache import BatchCache
from core.providers.torch_paged import Paged
from core.providers.torch_sampling import Drawn, Sampler
from tests.core.providers.tiny_transformers import write_text_model

PROMPTS = [[(7 * row + 3 * i) % 255 for i in range(3 + 5 * row)] for row in range(6)]
TOKENS = 12


class Asked:
    """A request and what came of it."""

    def __init__(self, prompt: list[int], *, tokens: int = TOKENS, **how: Any) -> None:
        self.ending: Any = None
        self.over = threading.Event()
        self.begun = threading.Event()
        self.left = threading.Event()
        self.drawn: list[Drawn] = []
        self.request = Request(prompt, tokens, frozenset(), Sampler(**how), self._emit, self.left.set)

    def _emit(self, item: Any) -> None:
        if isinstance(item, Drawn):
            self.drawn.append(item)
            self.begun.set()
        else:
            self.ending = item
            self.over.set()

    @property
    def tokens(self) -> list[int]:
        return [drawn.token for drawn in self.drawn]


def answer(lane: Any, asked: list[Asked]) -> None:
    for one in asked:
        lane.submit(one.request)
    for one in asked:
        assert one.over.wait(30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    folder = write_text_model(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture
def batch(model: Any) -> Iterator[Batch]:
    opened = Batch(model, slots=4, context_tokens=2048)
    yield opened
    opened.close()
    assert opened.join(10)


def alone(model: Any, prompt: list[int], tokens: int = TOKENS) -> list[int]:
    """What ``generate`` says."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, eos_token_id=None)  # fmt: skip
    found: list[int] = out[0, len(prompt) :].tolist()
    return found


def test_rows_say_what_they_would_say_alone(model: Any, batch: Batch) -> None:
    asked = [Asked(prompt, tokens=TOKENS + 3 * i) for i, prompt in enumerate(PROMPTS)]  # six for four slots
    answer(batch, asked)
    for i, one in enumerate(asked):
        assert one.tokens == alone(model, PROMPTS[i], TOKENS + 3 * i)
        assert one.ending == "length"


def test_a_request_joins_a_batch_under_way(model: Any, batch: Batch) -> None:
    long, late = Asked(PROMPTS[5], tokens=120), Asked(PROMPTS[1] * 6)
    batch.submit(long.request)
    assert long.begun.wait(30)
    answer(batch, [late])
    assert len(long.tokens) < 120, "the late one did not wait for the long one"
    assert long.over.wait(30)
    assert late.tokens == alone(model, PROMPTS[1] * 6)
    assert long.tokens == alone(model, PROMPTS[5], 120)


def test_a_long_prompt_is_read_in_pieces_and_holds_nobody_up(model: Any, batch: Batch) -> None:
    prompt = [(i * 11) % 255 for i in range(5 * PIECE_TOKENS + 17)]
    quick, long = Asked(PROMPTS[0], tokens=200), Asked(prompt)
    batch.submit(quick.request)
    assert quick.begun.wait(30)
    before = len(quick.tokens)
    answer(batch, [long])
    assert long.tokens == alone(model, prompt)
    assert len(quick.tokens) >= min(200, before + 5), "one token at least between two pieces"
    assert quick.over.wait(30)
    assert quick.tokens == alone(model, PROMPTS[0], 200)


def test_an_end_token_ends_an_answer(model: Any, batch: Batch) -> None:
    said = alone(model, PROMPTS[2])
    asked = Asked(PROMPTS[2])
    asked.request.end_tokens = frozenset({said[4]})
    answer(batch, [asked])
    assert asked.tokens == said[: said.index(said[4]) + 1]
    assert asked.ending == "stop"


def test_a_cancelled_request_leaves_between_two_tokens(model: Any, batch: Batch) -> None:
    endless, other = Asked(PROMPTS[0], tokens=2000), Asked(PROMPTS[3], tokens=40)
    batch.submit(endless.request)
    batch.submit(other.request)
    assert endless.begun.wait(30)
    batch.cancel(endless.request)
    assert endless.left.wait(1.0)
    assert endless.ending is None
    assert len(endless.tokens) < 2000
    assert other.over.wait(30)
    assert other.tokens == alone(model, PROMPTS[3], 40)
    waiting = Asked(PROMPTS[0])
    waiting.request.cancelled = True
    batch.submit(waiting.request)
    assert waiting.left.wait(5)
    assert not waiting.tokens


def test_a_seed_repeats_and_another_does_not(batch: Batch) -> None:
    asked = [Asked(PROMPTS[4], tokens=30, temperature=1.0, seed=seed) for seed in (1, 2)]
    again = Asked(PROMPTS[4], tokens=30, temperature=1.0, seed=1)
    answer(batch, asked[:1])
    answer(batch, asked[1:])
    answer(batch, [again])
    assert asked[0].tokens == again.tokens != asked[1].tokens


# --- memory runs out --------------------------------------------------------------------------


class Failing:
    """A model whose allocator says no: ``refuse(rows, columns)`` decides at each forward pass."""

    def __init__(self, model: Any, refuse: Any) -> None:
        self._model, self._refuse = model, refuse
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, **inputs: Any) -> Any:
        if self._refuse(*inputs["input_ids"].shape):
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self._model(**inputs)


def test_a_batch_that_does_not_fit_is_split_and_all_are_answered(model: Any) -> None:
    failing = Failing(model, lambda rows, columns: rows > 2)
    batch = Batch(failing, slots=4, context_tokens=512)
    asked = [Asked(prompt, tokens=20) for prompt in PROMPTS[:4]]
    answer(batch, asked)
    assert failing.refused
    for one, prompt in zip(asked, PROMPTS, strict=False):
        assert one.tokens == alone(model, prompt, 20), "what was said before the split is not said again"
        assert one.ending == "length"
    batch.close()


def test_a_split_batch_takes_less_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card holds the caches of three rows: without smaller buffers no split would ever help."""
    began = BatchCache._resize

    def small(cache: BatchCache, capacity: int) -> None:
        if cache.rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        began(cache, capacity)

    monkeypatch.setattr(BatchCache, "_resize", small)
    monkeypatch.setattr(BatchCache.__init__, "__kwdefaults__", {**BatchCache.__init__.__kwdefaults__, "rows": 1})
    batch = Batch(model, slots=6, context_tokens=512)
    asked = [Asked(prompt, tokens=12) for prompt in PROMPTS[:6]]
    answer(batch, asked)
    for one, prompt in zip(asked, PROMPTS, strict=False):
        assert one.tokens == alone(model, prompt, 12)
    batch.close()


def test_one_that_does_not_fit_alone_fails_and_the_engine_goes_on(model: Any) -> None:
    failing = Failing(model, lambda rows, columns: columns > 40)
    batch = Batch(failing, slots=4, context_tokens=512)
    large, small = Asked(list(range(90))), Asked(PROMPTS[0])
    answer(batch, [large, small])
    assert isinstance(large.ending, torch.OutOfMemoryError)
    assert small.tokens == alone(model, PROMPTS[0])
    again = Asked(PROMPTS[1])
    answer(batch, [again])
    assert again.tokens == alone(model, PROMPTS[1])
    batch.close()


def test_another_error_of_the_model_ends_its_requests_and_not_the_engine(model: Any) -> None:
    def broken(rows: int, columns: int) -> bool:
        if columns == 1:
            raise ValueError("a bug in the model's code")
        return False

    failing = Failing(model, broken)
    batch = Batch(failing, slots=4, context_tokens=512)
    asked = Asked(PROMPTS[1])
    answer(batch, [asked])
    assert str(asked.ending) == "a bug in the model's code"
    failing._refuse = lambda rows, columns: False
    again = Asked(PROMPTS[1])
    answer(batch, [again])
    assert again.tokens == alone(model, PROMPTS[1])
    batch.close()


# --- the other two lanes ----------------------------------------------------------------------


def test_alone_says_the_same_as_the_batch(model: Any) -> None:
    lane, asked = Alone(model), Asked(PROMPTS[2], top_logprobs=2)
    answer(lane, [asked])
    assert asked.tokens == alone(model, PROMPTS[2])
    assert asked.ending == "length"
    assert all(drawn.top[0] == (drawn.token, drawn.logprob) for drawn in asked.drawn)


def test_alone_ends_when_it_is_cancelled(model: Any) -> None:
    lane, asked = Alone(model), Asked(PROMPTS[2], tokens=1500)
    lane.submit(asked.request)
    assert asked.begun.wait(30)
    lane.cancel(asked.request)
    assert asked.left.wait(1.0)
    assert len(asked.tokens) < 1500
    assert asked.ending is None


@pytest.fixture(scope="module")
def paged(model: Any) -> Iterator[Paged]:
    lane = Paged(model, slots=4, context_tokens=512, filters=False)
    yield lane
    lane.close()
    assert lane.join(15)


def test_paged_says_the_same_as_the_batch(model: Any, paged: Paged) -> None:
    asked = [Asked(prompt) for prompt in PROMPTS]
    answer(paged, asked)
    for one, prompt in zip(asked, PROMPTS, strict=True):
        assert one.tokens == alone(model, prompt)
        assert one.ending == "length"
    assert paged.held_bytes >= 0


def test_paged_lets_a_cancelled_request_go(model: Any, paged: Paged) -> None:
    endless = Asked(PROMPTS[0], tokens=450)
    paged.submit(endless.request)
    assert endless.begun.wait(30)
    paged.cancel(endless.request)
    assert endless.left.wait(1.0)
    after = Asked(PROMPTS[1])
    answer(paged, [after])
    assert after.tokens == alone(model, PROMPTS[1])


def test_paged_takes_plain_requests_only(paged: Paged) -> None:
    assert paged.serves(Sampler())
    assert paged.serves(Sampler(temperature=0.7))
    assert not paged.serves(Sampler(temperature=0.7, top_p=0.9))
    assert not paged.serves(Sampler(seed=1))
    assert not paged.serves(Sampler(top_logprobs=2))


def test_a_process_ends_although_answers_are_under_way(tmp_path: Path) -> None:
    write_text_model(tmp_path / "text")
    code = """
    import asyncio, sys
    from pathlib import Path
    from core.providers.torch_paged import Paged
    from core.providers.transformers import open_chat
    from core.settings import load_settings
    from core.types import Options, user
    settings = load_settings(Path(sys.argv[1]), {"TOUCHSTONE_FIRST_TOKEN_S": "300"})
    chat = open_chat("text", engine="transformers", settings=settings)
    streams = []
    async def begin():
        running = await chat.engine.running()
        running.paged = Paged(running.batch._model, slots=2, context_tokens=512, filters=False)
        for seed in (1, None):  # one through the batch, one through pages
            streams.append(chat.stream([user("hi")], Options(max_tokens=400, seed=seed, extra={"ignore_eos": True})))
            await anext(streams[-1])
        print(len(running.paged._requests))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False,
        timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == "1", done.stderr
    assert done.returncode == 0, done.stderr


def test_paged_goes_on_after_its_loop_was_ended_by_an_error(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Paged(model, slots=2, context_tokens=256, filters=True)
    forward = type(model).forward

    def no_memory(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "forward", no_memory)
    lost = Asked(PROMPTS[0])
    answer(lane, [lost])
    assert "out of memory" in str(lost.ending)
    monkeypatch.setattr(type(model), "forward", forward)
    after = Asked(PROMPTS[1])
    answer(lane, [after])
    assert after.tokens == alone(model, PROMPTS[1])
    lane.close()
    assert lane.join(15)


def test_paged_that_could_not_begin_ends_the_request_and_serves_the_next(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Paged(model, slots=2, context_tokens=256, filters=False)

    def no_memory(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(model, "init_continuous_batching", no_memory)
        lost = Asked(PROMPTS[0])
        answer(lane, [lost])
        assert "out of memory" in str(lost.ending)
        lane.cancel(lost.request)
    after = Asked(PROMPTS[1])
    answer(lane, [after])
    assert after.tokens == alone(model, PROMPTS[1])
    lane.close()
    assert lane.join(15)


# --- the cache --------------------------------------------------------------------------------


def filled(lengths: list[int], marks: list[float], limit: int = 400, rows: int = 4) -> BatchCache:
    """A cache whose row i holds ``marks[i]`` in each of its columns."""
    cache = BatchCache(2, slots=max(4, len(lengths)), limit=limit, rows=max(rows, len(lengths)))
    width = max(lengths)
    for layer in cache._own:
        states = torch.zeros(len(lengths), 1, width, 4)
        for row, mark in enumerate(marks):
            states[row, :, width - lengths[row] :] = mark
        layer.update(states, states)
    cache.end = width
    cache.lengths = list(lengths)
    return cache


def rows_of(cache: BatchCache) -> list[tuple[int, float]]:
    found = []
    for row, length in enumerate(cache.lengths):
        keys = cache._own[0].keys[row, 0, cache.end - length : cache.end, 0]
        assert keys.unique().numel() == 1
        found.append((length, float(keys[0])))
    return found


def test_rows_keep_their_columns_when_others_join_and_leave() -> None:
    cache = filled([5, 3], [1.0, 2.0])
    cache.join(filled([9], [3.0]))  # longer than all that are there
    assert rows_of(cache) == [(5, 1.0), (3, 2.0), (9, 3.0)]
    cache.join(filled([2], [4.0]))
    cache.leave(0)  # the last takes its place
    assert rows_of(cache) == [(2, 4.0), (3, 2.0), (9, 3.0)]
    cache.leave(2)
    assert cache.width == 3
    cache.room_for(300)  # beyond what there is
    assert rows_of(cache) == [(2, 4.0), (3, 2.0)]
    assert cache.end + 300 <= cache.capacity
    cache.leave(0)
    cache.leave(0)
    assert (cache.width, cache.lengths) == (0, [])


def test_room_for_rows_comes_with_the_rows() -> None:
    cache = filled([5], [1.0], rows=1)
    assert cache.rows == 1
    alone_bytes = cache.held_bytes
    cache.join(filled([9], [2.0]))
    assert (cache.rows, cache.held_bytes) == (2, 2 * alone_bytes)
    cache.join(filled([3], [3.0]))
    assert cache.rows == 4
    assert rows_of(cache) == [(5, 1.0), (9, 2.0), (3, 3.0)]


def test_a_cache_moves_to_the_front_before_it_grows() -> None:
    cache = filled([250, 4], [1.0, 2.0], limit=256)
    cache.leave(0)
    capacity = cache.capacity
    cache.room_for(200)
    assert cache.capacity == capacity
    assert rows_of(cache) == [(4, 2.0)]
    assert cache.held_bytes == 2 * 2 * 4 * capacity * 4 * 4
