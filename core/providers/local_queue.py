"""The waiting room of the engines that run in this process: bounded, shared by all of them, with a visible place.

An engine has so many slots; a call beyond them waits here, first come first served within its priority. The
room is one for the whole process, because all engines share its cores and memory: when it is full, a call is
refused at once with ``EngineBusy`` instead of waiting for minutes unseen. Calls may come from any thread and
any event loop.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from core.errors import EngineBusy

T = TypeVar("T")

WAITING_LIMIT = 64


@dataclass(eq=False)
class _Place(ABC):
    """A call's place, and then its slot, which it holds until :meth:`leave`."""

    queue: LocalQueue
    engine: str
    priority: int
    granted: bool = field(default=False, init=False)
    left: bool = field(default=False, init=False)

    @abstractmethod
    def wake(self) -> None:
        """The place may have changed. From any thread."""

    def leave(self) -> None:
        """Give the slot (or the place in the queue) back. From any thread; calling it twice is harmless."""
        self.queue.remove(self)


@dataclass(eq=False)
class Turn(_Place):
    """The place of a caller that blocks."""

    changed: threading.Event = field(default_factory=threading.Event)

    def wake(self) -> None:
        self.changed.set()

    def run(self, executor: Executor, work: Callable[[], T]) -> T:
        """As :meth:`Ticket.run`."""
        try:
            while self.queue.position(self) is not None:
                self.changed.wait()
                self.changed.clear()
            future = executor.submit(work)
        except BaseException:
            self.leave()
            raise
        future.add_done_callback(lambda _: self.leave())
        return future.result()


@dataclass(eq=False)
class Ticket(_Place):
    """A call's place. Ask :meth:`next_position` until it says ``None``; then the slot is held until :meth:`leave`."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: int | None = None

    def wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.changed.set)
        except RuntimeError:  # its event loop was closed without ending the call: nobody will ever ask again
            self.leave()

    async def next_position(self) -> int | None:
        """Wait for news: how many calls must end before this one begins (1 or more), or ``None``: it may begin."""
        while True:
            self.changed.clear()
            position = self.queue.position(self)
            if position is None or position != self.told:
                self.told = position
                return position
            await self.changed.wait()

    async def run(self, executor: Executor, work: Callable[[], T]) -> T:
        """Wait for the slot, do ``work`` in ``executor`` and give the slot back.

        A caller who stops waiting is let go at once; the slot stays taken until the work has really ended.
        """
        try:
            while await self.next_position() is not None:
                pass
            future = executor.submit(work)
        except BaseException:
            self.leave()
            raise
        future.add_done_callback(lambda _: self.leave())
        return await asyncio.wrap_future(future)


@dataclass(eq=False, slots=True)
class _Line:
    """One engine's calls: those that hold its slots and those that wait for one."""

    slots: int
    running: int = 0
    waiting: list[_Place] = field(default_factory=list)


class LocalQueue:
    """``limit`` calls may wait, over all engines together."""

    def __init__(self, limit: int = WAITING_LIMIT) -> None:
        self.limit = limit
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()

    def enter(self, engine: str, *, slots: int, provider: str, priority: int = 0, admitted: bool = False) -> Ticket:
        """Take a slot of ``engine`` or a place behind those who wait; lower ``priority`` goes first.

        ``admitted`` is for the next piece of a job whose first piece was let in: it is never refused.

        Raises:
            EngineBusy: the room is full.
        """
        ticket = Ticket(self, engine, priority)
        self._admit(ticket, slots, provider, admitted)
        return ticket

    def enter_now(self, engine: str, *, slots: int, provider: str, priority: int = 0) -> Turn:
        """As :meth:`enter`, for a caller that blocks and needs no event loop."""
        turn = Turn(self, engine, priority)
        self._admit(turn, slots, provider, admitted=False)
        return turn

    def _admit(self, ticket: _Place, slots: int, provider: str, admitted: bool) -> None:
        engine, priority = ticket.engine, ticket.priority
        with self._lock:
            line = self._lines.setdefault(engine, _Line(slots))
            line.slots = slots
            if line.running < slots and not line.waiting:
                line.running, ticket.granted = line.running + 1, True
                return
            waiting = self._count()
            if waiting >= self.limit and not admitted:
                raise EngineBusy(provider=provider, model=engine, waiting=waiting, limit=self.limit)
            behind = next((i for i, other in enumerate(line.waiting) if other.priority > priority), len(line.waiting))
            line.waiting.insert(behind, ticket)
            moved = line.waiting[behind + 1 :]
        self._tell(moved)

    def position(self, ticket: _Place) -> int | None:
        with self._lock:
            return None if ticket.granted else self._lines[ticket.engine].waiting.index(ticket) + 1

    def remove(self, ticket: _Place) -> None:
        with self._lock:
            if ticket.left:
                return
            ticket.left = True
            line = self._lines[ticket.engine]
            if ticket.granted:
                line.running -= 1
            else:
                line.waiting.remove(ticket)
            moved = list(line.waiting)
            while line.waiting and line.running < line.slots:
                line.waiting.pop(0).granted = True
                line.running += 1
            if not line.running and not line.waiting:
                del self._lines[ticket.engine]
        self._tell(moved)

    def waiting(self) -> int:
        """How many calls wait, over all engines."""
        with self._lock:
            return self._count()

    def running(self, engine: str) -> int:
        """How many calls hold a slot of ``engine``."""
        with self._lock:
            line = self._lines.get(engine)
            return line.running if line else 0

    def _count(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def _tell(self, tickets: list[_Place]) -> None:
        for ticket in tickets:
            ticket.wake()


QUEUE = LocalQueue()
