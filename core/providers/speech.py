"""Tell apart, while it is written, what a model says, what it thinks and what it calls; end it at a stop text.

A local model writes one text. What lies between ``<think>`` and ``</think>`` is reasoning, what has the form of a
tool call is one, the rest is the answer. Text that may be the beginning of a mark is held back until it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.providers.tool_forms import ToolForm, read_calls

THINK, THOUGHT = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Said:
    """A piece: text, a thought, or a call with its name and arguments."""

    kind: Literal["text", "thought", "call"]
    text: str
    name: str = ""


class Speech:
    """``thinking``: the prompt ended inside a thought. ``form``: tools were offered in it, by the names ``tools``.
    ``calling``: a call was begun for the model, by its prompt."""

    def __init__(
        self,
        *,
        stop: Sequence[str] = (),
        thinks: bool = False,
        thinking: bool = False,
        form: ToolForm | None = None,
        tools: Sequence[str] = (),
        calling: bool = False,
    ) -> None:
        self._stop = tuple(filter(None, stop))
        self._form, self._tools = form, tools
        self._mode: Literal["text", "thought", "call"] = "call" if calling else "thought" if thinking else "text"
        self._thinks = thinks
        self._held = ""
        self._begun = False  # text that is not white space was said
        self._fresh = True  # nothing was said in this mode yet
        self.stopped = False  # a stop text was written: nothing that comes after it counts

    def feed(self, text: str) -> list[Said]:
        """What is certain now."""
        self._held += text
        return [] if self.stopped else self._advance(ended=False)

    def end(self) -> list[Said]:
        """Nothing more will come."""
        return [] if self.stopped else self._advance(ended=True)

    def _advance(self, *, ended: bool) -> list[Said]:
        out: list[Said] = []
        while not self.stopped:
            before = (self._mode, len(self._held))
            if self._mode == "call":
                self._calling(out, ended)
            else:
                self._speaking(out, ended)
            if (self._mode, len(self._held)) == before or not self._held:
                break
        return out

    def _speaking(self, out: list[Said], ended: bool) -> None:
        if self._mode == "text" and not self._begun and self._form is not None and self._form.bare:
            start = self._held.lstrip()
            if start.startswith("{"):
                self._mode = "call"
                return
            if not start and not ended:
                return
        marks = self._marks()
        found = [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        if not found:
            keep = 0 if ended else held_back(self._held, marks)
            self._say(self._held[: len(self._held) - keep], out)
            self._held = self._held[len(self._held) - keep :]
            return
        at, mark = min(found, key=lambda f: (f[0], -len(f[1])))
        self._say(self._held[:at], out)
        self._held = self._held[at + len(mark) :]
        if mark in self._stop and self._mode == "text":
            self.stopped = True
        elif mark == THINK:
            self._turn("thought")
        elif mark == THOUGHT:
            self._turn("text")
        else:
            self._turn("call")

    def _calling(self, out: list[Said], ended: bool) -> None:
        form = self._form
        closes = form.closes if form else None
        at = self._held.find(closes) if closes else -1
        if at < 0 and not ended:
            return
        written = self._held if at < 0 else self._held[:at]
        self._held = "" if at < 0 or closes is None else self._held[at + len(closes) :]
        calls = read_calls(written, self._tools)
        if calls is None:  # not a call after all: nothing the model wrote is lost
            opening = form.opens if form and not form.bare else ""
            out.append(Said("text", f"{opening}{written}{closes if at >= 0 else ''}"))
        else:
            out.extend(Said("call", arguments, name) for name, arguments in calls)
        self._turn("text")

    def _turn(self, mode: Literal["text", "thought", "call"]) -> None:
        self._mode, self._fresh = mode, True

    def _say(self, text: str, out: list[Said]) -> None:
        if self._fresh and (self._mode == "thought" or self._thinks or self._begun_by_call()):
            text = text.lstrip("\n")
        if not text:
            return
        self._fresh = False
        if self._mode == "text" and text.strip():
            self._begun = True
        out.append(Said("thought" if self._mode == "thought" else "text", text))

    def _begun_by_call(self) -> bool:
        return self._form is not None and not self._begun

    def _marks(self) -> list[str]:
        if self._mode == "thought":
            return [THOUGHT]
        marks = list(self._stop)
        if self._thinks and not self._begun:
            start = self._held.lstrip()[: len(THINK)]
            if THINK.startswith(start):  # a thought comes before anything is said
                marks.append(THINK)
        if self._form is not None:
            marks.append(self._form.opens)
        return marks


def held_back(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of ``text`` may be the beginning of a mark.

    >>> held_back("a <thi", ["<think>"]), held_back("a < b", ["<think>"])
    (4, 0)
    """
    most = 0
    for mark in marks:
        for length in range(min(len(mark) - 1, len(text)), most, -1):
            if text.endswith(mark[:length]):
                most = length
                break
    return most
