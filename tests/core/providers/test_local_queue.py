"""The waiting room of the local engines."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import EngineBusy
from core.providers.local_queue import LocalQueue, Ticket


def enter(queue: LocalQueue, engine: str = "gguf:a", slots: int = 1, **options: int) -> Ticket:
    return queue.enter(engine, slots=slots, provider="gguf", **options)


async def soon(ticket: Ticket) -> int | None:
    return await asyncio.wait_for(ticket.next_position(), 5)


def test_a_free_slot_is_given_at_once() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        first, second = enter(queue, slots=2), enter(queue, slots=2)
        assert await soon(first) is None
        assert await soon(second) is None
        assert (queue.running("gguf:a"), queue.waiting()) == (2, 0)

    asyncio.run(scene())


def test_those_who_wait_see_their_position_fall() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        running, second, third = enter(queue), enter(queue), enter(queue)
        assert [await soon(second), await soon(third)] == [1, 2]
        running.leave()
        assert [await soon(second), await soon(third)] == [None, 1]
        second.leave()
        assert await soon(third) is None
        third.leave()
        assert queue.running("gguf:a") == 0

    asyncio.run(scene())


def test_a_position_that_did_not_change_is_not_told_twice() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        _, second, third = enter(queue), enter(queue), enter(queue)
        assert await soon(second) == 1
        third.leave()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.next_position(), 0.05)

    asyncio.run(scene())


def test_who_gives_up_waiting_lets_the_next_move_up() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        _, second, third = enter(queue), enter(queue), enter(queue)
        assert await soon(third) == 2
        second.leave()
        second.leave()
        assert await soon(third) == 1

    asyncio.run(scene())


def test_a_full_room_refuses_and_says_how_full() -> None:
    async def scene() -> None:
        queue = LocalQueue(limit=2)
        running = enter(queue)
        enter(queue)
        enter(queue)
        with pytest.raises(EngineBusy, match="2 calls wait and 2 may") as caught:
            enter(queue)
        assert caught.value.retryable
        with pytest.raises(EngineBusy):
            enter(queue, "gguf:b"), enter(queue, "gguf:b")  # the room is one for all engines
        enter(queue, admitted=True)  # the next piece of a job that was let in
        running.leave()
        assert queue.waiting() == 2

    asyncio.run(scene())


def test_engines_have_slots_of_their_own() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        enter(queue, "gguf:a"), enter(queue, "gguf:a")
        assert await soon(enter(queue, "gguf:b")) is None

    asyncio.run(scene())


def test_lower_priority_numbers_go_first_and_equals_keep_their_order() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        running = enter(queue)
        documents = [enter(queue, priority=1) for _ in range(2)]
        assert await soon(documents[0]) == 1
        query = enter(queue, priority=0)
        assert [await soon(t) for t in (query, *documents)] == [1, 2, 3]
        running.leave()
        assert [await soon(t) for t in (query, *documents)] == [None, 1, 2]

    asyncio.run(scene())


def test_work_gives_its_slot_back_when_it_has_really_ended() -> None:
    """A cancelled caller is let go at once; the slot stays taken while the work still computes."""
    go_on, begun = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go_on.wait(5)
        return "done"

    async def scene() -> None:
        queue = LocalQueue()
        with ThreadPoolExecutor(1) as executor:
            task = asyncio.create_task(enter(queue).run(executor, work))
            await asyncio.to_thread(begun.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            following = enter(queue)
            assert await soon(following) == 1
            go_on.set()
            assert await following.run(executor, lambda: "mine") == "mine"
        assert queue.running("gguf:a") == 0

    asyncio.run(scene())


def test_work_that_fails_gives_its_slot_back() -> None:
    async def scene() -> None:
        queue = LocalQueue()
        with ThreadPoolExecutor(1) as executor:
            with pytest.raises(ZeroDivisionError):
                await enter(queue).run(executor, lambda: 1 // 0)
            executor.shutdown()
            with pytest.raises(RuntimeError):
                await enter(queue).run(executor, lambda: 1)
        assert queue.running("gguf:a") == 0

    asyncio.run(scene())


def test_calls_of_other_threads_and_loops_wait_in_the_same_line() -> None:
    queue = LocalQueue()
    order: list[int] = []

    async def call(number: int) -> None:
        ticket = enter(queue, slots=2)
        while await soon(ticket) is not None:
            pass
        assert queue.running("gguf:a") <= 2
        order.append(number)
        await asyncio.sleep(0.005)
        ticket.leave()

    threads = [threading.Thread(target=lambda n=n: asyncio.run(call(n))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(order) == list(range(12))
    assert (queue.running("gguf:a"), queue.waiting()) == (0, 0)


def test_a_call_whose_event_loop_died_gives_its_place_away() -> None:
    queue = LocalQueue()
    held: list[Ticket] = []

    async def abandon() -> None:
        held.append(enter(queue))
        held.append(enter(queue))

    asyncio.run(abandon())  # ends, and its loop is closed, without anybody leaving

    async def scene() -> None:
        third = enter(queue)
        assert await soon(third) == 2
        held[0].leave()
        assert await soon(third) is None

    asyncio.run(scene())


def test_a_caller_that_blocks_waits_its_turn_beside_those_of_an_event_loop() -> None:
    queue, order = LocalQueue(), list[str]()
    with ThreadPoolExecutor(1) as executor, ThreadPoolExecutor(1) as caller:

        async def scene() -> None:
            running = enter(queue)
            blocked = caller.submit(
                lambda: queue.enter_now("gguf:a", slots=1, provider="gguf").run(
                    executor, lambda: order.append("blocked")
                )
            )
            while not queue.waiting():
                await asyncio.sleep(0.001)
            later = asyncio.ensure_future(enter(queue).run(executor, lambda: order.append("later")))
            await asyncio.sleep(0)
            assert order == []
            running.leave()
            await asyncio.wait_for(later, 5)
            blocked.result(5)

        asyncio.run(scene())
        assert order == ["blocked", "later"]
        with pytest.raises(ZeroDivisionError):
            queue.enter_now("gguf:a", slots=1, provider="gguf").run(executor, lambda: 1 // 0)
    assert queue.running("gguf:a") == queue.waiting() == 0


def test_a_caller_that_blocks_is_refused_where_the_room_is_full() -> None:
    queue = LocalQueue(limit=0)
    queue.enter_now("gguf:a", slots=1, provider="gguf")
    with pytest.raises(EngineBusy):
        queue.enter_now("gguf:a", slots=1, provider="gguf")
