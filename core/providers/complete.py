"""A whole answer from a chat model, for callers who do not watch it grow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from core.contracts import ChatModel
from core.errors import StreamInterrupted
from core.types import Completion, Done, Message, Options, TextDelta, user

ONE_PIECE = Options(stream=False)


async def complete(model: ChatModel, messages: Sequence[Message] | str, options: Options | None = None) -> Completion:
    """Ask ``model`` and wait for the whole answer. A string is one user message.

    The engine is free to answer in one piece, which costs less; deadlines hold all the same.

    Raises:
        core.errors.ProviderError: as in :meth:`core.contracts.ChatModel.stream`.
    """
    if options is None:
        options = ONE_PIECE
    elif options.stream:
        options = replace(options, stream=False)
    text: list[str] = []
    done: Completion | None = None
    async with aclosing(model.stream(as_messages(messages), options)) as events:
        async for event in events:
            if isinstance(event, Done):
                done = event.completion
            elif isinstance(event, TextDelta):
                text.append(event.text)
    if done is not None:
        return done
    provider, _, name = model.name.partition(":")
    raise StreamInterrupted(partial="".join(text), provider=provider, model=name, detail="no Done event")


def as_messages(messages: Sequence[Message] | str) -> Sequence[Message]:
    """``messages`` as they are; a string becomes one user message."""
    return (user(messages),) if isinstance(messages, str) else messages
