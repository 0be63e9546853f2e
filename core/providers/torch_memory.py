"""The memory plan: how much a model takes is known before it is loaded, and models that share a device know of
each other.

A model's plan is its weights and the caches of its calls. A plan is entered in the process-wide book before the
first byte is read; what a model holds already is seen by the device itself, what it may still take is in the book.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from core.errors import OutOfMemory
from core.providers.torch_device import Device, free_bytes

MIB = 1 << 20
HEADROOM = 1.1  # activations, and what the allocator rounds up


@dataclass(eq=False, slots=True)
class Entry:
    """One model in the book: the bytes it was promised and the bytes it holds by now."""

    name: str
    device: Device
    promised: int
    held: int = 0

    @property
    def outstanding(self) -> int:
        return max(0, self.promised - self.held)


class MemoryBook:
    """Who was promised how much of which device. One for the process; threads may share it."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def reserve(self, name: str, device: Device, needed: int, *, provider: str) -> Entry:
        """Promise ``needed`` bytes of ``device`` to the model ``name``.

        Raises:
            OutOfMemory: (reason ``no_room``) there is less; names needed and free MiB and the models that share it.
        """
        with self._lock:
            free = self._free(device)
            if free is not None and needed > free:
                others = ", ".join(e.name for e in self._entries if e.device == device) or "-"
                raise OutOfMemory(
                    reason="no_room", provider=provider, model=name, device=device.name,
                    needed_mib=-(-needed // MIB), free_mib=max(0, free) // MIB, others=others,
                )  # fmt: skip
            entry = Entry(name, device, needed)
            self._entries.append(entry)
            return entry

    def free(self, device: Device) -> int | None:
        """Bytes of ``device`` nobody holds and nobody was promised; ``None`` where the system does not say."""
        with self._lock:
            return self._free(device)

    def release(self, entry: Entry) -> None:
        """Strike the entry out; calling it twice is harmless."""
        with self._lock:
            if entry in self._entries:
                self._entries.remove(entry)

    def _free(self, device: Device) -> int | None:
        found = free_bytes(device)
        if found is None:
            return None
        return found - sum(e.outstanding for e in self._entries if e.device == device)


BOOK = MemoryBook()
