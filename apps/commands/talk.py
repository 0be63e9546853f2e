"""``touchstone chat``: one question, or a conversation in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apps.commands.checkup import Json
from apps.commands.shell import STOPPED, Out, out_of, plain
from core.errors import InputError, TouchstoneError

if TYPE_CHECKING:
    from core.runtime import Runtime
    from core.types import Completion, Event, Message

MESSAGE_LIMIT = 200_000  # characters


def chat(
    message: Annotated[str | None, typer.Argument(help="cli.chat.message", metavar="MESSAGE")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="cli.option.model")] = None,
    system: Annotated[str | None, typer.Option("--system", help="cli.chat.system")] = None,
    json: Json = False,
) -> None:
    from core.runtime import open_runtime

    with open_runtime() as runtime:
        out = out_of(runtime.settings, json)
        said = message
        if said is None and (json or not sys.stdin.isatty()):
            said = sys.stdin.read()
        conversation = Conversation(runtime, out, model, system)
        if said is not None:
            conversation.ask(checked(said))
            raise typer.Exit(STOPPED if conversation.stopped else 0)
        conversation.run()


def checked(text: str, limit: int = MESSAGE_LIMIT) -> str:
    text = plain(text).strip()
    if not text:
        raise InputError(reason="empty_question")
    if len(text) > limit:
        raise InputError(reason="question_too_long", length=len(text), limit=limit)
    return text


@dataclass
class Reply:
    """What has come of an answer so far; ``completion`` is there when it is whole."""

    text: str = ""
    completion: Completion | None = None


class Conversation:
    """Messages so far and the model that answers them."""

    def __init__(self, runtime: Runtime, out: Out, model: str | None, system: str | None) -> None:
        from core.types import system as system_message

        self.out = out
        self.model = runtime.chat(model)
        self.first = [system_message(plain(system))] if system else []
        self.messages: list[Message] = list(self.first)
        self.stopped = False

    def run(self) -> None:
        """Ask until the end of input, ``/exit``, or Ctrl-C at an empty prompt."""
        _remember_lines()
        self.out.say(self.out.t("chat.welcome", model=self.model.name))
        while True:
            try:
                line = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                self.out.say()
                return
            if line in ("/exit", "/quit", "/q"):
                return
            if line == "/new":
                self.messages = list(self.first)
                self.out.say(self.out.t("chat.forgotten"))
            elif line.startswith("/"):
                self.out.say(self.out.t("chat.help"))
            elif line:
                try:
                    self.ask(checked(line))
                except TouchstoneError as error:
                    self.out.note(f"{self.out.t('error')} {error.text(self.out.language)}")

    def ask(self, text: str) -> None:
        """Show the answer to ``text`` as it comes. Ctrl-C stops it; what came is kept, also when it breaks off."""
        from core.telemetry.trace import trace
        from core.types import assistant, user

        reply, self.stopped = Reply(), False
        self.messages.append(user(text))
        try:
            with trace():
                self._read(reply)
        except KeyboardInterrupt:
            self.stopped = True
        finally:
            if reply.text:
                self.out.piece("" if reply.text.endswith("\n") else "\n")
                self.messages.append(assistant(reply.text))
            else:
                self.messages.pop()
        if self.stopped:
            self.out.note(self.out.t("chat.stopped"))
        elif reply.completion and reply.completion.finish_reason == "length":
            self.out.note(self.out.t("chat.cut"))
        self.out.document(self._as_data(reply))

    def _read(self, reply: Reply) -> None:
        from core.providers.sync import sync
        from core.types import Done, Queued, ReasoningDelta, Switched, TextDelta

        events: Generator[Event, None, None] = sync(self.model).stream(self.messages)
        thinking = False
        try:
            for event in events:
                if isinstance(event, TextDelta):
                    reply.text += event.text
                    self.out.piece(event.text)
                elif isinstance(event, ReasoningDelta) and not thinking:
                    thinking = True
                    self.out.note(self.out.t("chat.thinking"))
                elif isinstance(event, Queued) and event.position:
                    self.out.note(self.out.t("chat.queued", position=event.position))
                elif isinstance(event, Switched):
                    self.out.note(self.out.t("chat.switched", model=event.model, reason=event.reason))
                elif isinstance(event, Done):
                    reply.completion = event.completion
                    if not reply.text:  # an engine that answers in one piece
                        reply.text = event.completion.text
                        self.out.piece(reply.text)
        finally:
            events.close()

    def _as_data(self, reply: Reply) -> dict[str, Any]:
        done = reply.completion
        return {
            "text": reply.text,
            "stopped": self.stopped,
            "model": done.model if done else self.model.name,
            "provider": done.provider if done else self.model.name.partition(":")[0],
            "finish_reason": done.finish_reason if done else None,
            "reasoning": done.reasoning if done else None,
            "usage": asdict(done.usage) if done else None,
            "timings": asdict(done.timings) if done else None,
            "trace_id": done.trace_id if done else None,
        }


def _remember_lines() -> None:
    """Arrow keys edit the line and bring earlier ones back, where the system has readline."""
    try:
        import readline  # noqa: F401  (its import is what changes input())
    except ImportError:
        return
