"""What is kept of a conversation, as records, as JSON and as Markdown to read.

:mod:`core.conversations` stores and finds these.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.errors import TouchstoneError, code_of
from core.i18n import Phrase, message, secret_free
from core.types import Answer, Citation, Sentence, Timings

State = Literal["streaming", "done", "stopped", "failed"]
Format = Literal["markdown", "json"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A row of the list. ``title`` is empty until something was asked; times are seconds since the epoch."""

    id: str
    title: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """A thumb with a reason, and what it is about: the answer's trace, model and prompt version."""

    message_id: int
    conversation_id: str
    up: bool
    comment: str
    trace_id: str | None
    model: str | None
    prompt: str | None
    at: float


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One turn. ``up`` and ``comment`` are its feedback; ``agent`` is a person who answers in the assistant's place.

    ``card`` is what an app shows beside the text, with its ``kind``. ``error`` (``code`` and ``params``) and ``notices``
    (parameters by code) are texts for both languages.
    """

    id: int
    conversation_id: str
    role: Literal["user", "assistant", "agent"]
    state: State
    text: str
    at: float
    reply_to: int | None = None
    trace_id: str | None = None
    model: str | None = None
    prompt: str | None = None
    notices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    up: bool | None = None
    comment: str = ""
    answer_json: str | None = None
    card: Mapping[str, Any] | None = None

    def answer(self) -> Answer | None:
        """The answer with sentences and citations; ``None`` for a question or an answer that never began."""
        return answer_from_json(self.answer_json) if self.answer_json else None


def clean(text: str) -> str:
    """``text`` as SQLite can keep and search it: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def answer_to_json(answer: Answer) -> str:
    """``answer`` without question and text, which the messages keep."""
    data = asdict(answer)
    del data["question"], data["text"]
    return clean(json.dumps(data, ensure_ascii=False))


def answer_from_json(text: str) -> Answer:
    """The stored answer; ``question`` and ``text`` are empty, the messages have them."""
    data = json.loads(text)
    data["sentences"] = tuple(Sentence(s["text"], tuple(s["citations"]), s.get("asked", "")) for s in data["sentences"])
    data["citations"] = tuple(Citation(**c) for c in data["citations"])
    data["notices"] = tuple(data["notices"])
    data["timings"] = Timings(**data["timings"])
    return Answer(question="", text="", **data)


def error_to_json(error: TouchstoneError) -> str:
    return clean(json.dumps({"code": code_of(error), "params": _plain_values(error.params)}, ensure_ascii=False))


def notices_to_json(notices: Mapping[str, Mapping[str, Any]]) -> str:
    return clean(json.dumps({code: _plain_values(params) for code, params in notices.items()}, ensure_ascii=False))


def card_to_json(card: Mapping[str, Any]) -> str:
    return clean(json.dumps(card, ensure_ascii=False))


def _plain_values(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Phrase):
        return {"phrase": value.key, "params": _plain_values(value.params)}
    return value if value is None or isinstance(value, int | float) else secret_free(str(value))


def _spoken_values(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _spoken(value) for name, value in params.items()}


def _spoken(value: Any) -> Any:
    return Phrase(value["phrase"], **_spoken_values(value["params"])) if isinstance(value, dict) else value


def error_text(error: Mapping[str, Any], language: str) -> str:
    """What a stored error says in ``language``."""
    return message(f"error.{error['code']}", language, **_spoken_values(error["params"]))


def notice_texts(notices: Mapping[str, Mapping[str, Any]], language: str) -> list[str]:
    """What stored notices say in ``language``."""
    return [message(f"notice.{code}", language, **_spoken_values(params)) for code, params in notices.items()]


def as_json(app: str, conversation: Conversation, turns: Sequence[StoredMessage]) -> str:
    """A conversation to keep: every field, the answers with their sources."""
    data = {"app": app, **asdict(conversation), "messages": [_exported(turn) for turn in turns]}
    return json.dumps(data, ensure_ascii=False, indent=2)


def _exported(turn: StoredMessage) -> dict[str, Any]:
    kept = {name: getattr(turn, name) for name in ("id", "role", "state", "at", "text", "trace_id", "model", "prompt")}
    answer = json.loads(turn.answer_json) if turn.answer_json else None
    extra = {
        "answer": answer,
        "card": turn.card,
        "up": turn.up,
        "comment": turn.comment or None,
        "error": turn.error,
        "notices": turn.notices or None,
    }
    return kept | {name: value for name, value in extra.items() if value is not None}


def as_markdown(conversation: Conversation, turns: Sequence[StoredMessage], language: str) -> str:
    """A conversation to read, in the words of ``language``; sources follow each answer."""
    lines = [f"# {conversation.title or message('conversation.untitled', language)}", ""]
    for turn in turns:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(turn.at))
        lines += [f"## {message(f'conversation.{turn.role}', language)} · {when}", "", turn.text, ""]
        if turn.state != "done":
            lines += [f"*{message(f'conversation.{turn.state}', language)}*", ""]
        lines += [f"*{text}*\n" for text in notice_texts(turn.notices, language)]
        answer = turn.answer()
        for citation in answer.citations if answer else ():
            quote = citation.quote.replace("\n", "\n> ")
            lines += [f"> [{citation.number}] **{citation.title}** ({citation.source})  ", f"> {quote}", ""]
    return "\n".join(lines)
