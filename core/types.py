"""The data that crosses every boundary: frozen records, no logic beyond trivial constructors.

Times are seconds, scores are "higher is better", unknown numbers are ``None`` and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Language = Literal["zh", "en"]
Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
EmbeddingKind = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. An argument of every service call and a column of every table."""

    tenant: str = "local"
    user: str = "local"
    roles: frozenset[str] = frozenset({"admin", "agent"})


LOCAL = Caller()


# --- messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message: ``data`` (raw bytes, with ``media_type``) or a ``url``, never both."""

    data: bytes | None = None
    url: str | None = None
    media_type: str = "image/png"


Part = Text | Image


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for. ``arguments`` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


def system(text: str) -> Message:
    return Message("system", text)


def user(content: str | tuple[Part, ...]) -> Message:
    return Message("user", content)


def assistant(text: str) -> Message:
    return Message("assistant", text)


# --- options and capabilities -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """A function offered to the model. ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. ``first_token_s`` runs from the call, ``idle_s`` between events, ``total_s`` over all attempts."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may ask of a chat model. ``None`` leaves the choice to the engine.

    ``stream=False`` lets an engine answer in one piece: no deltas, one ``Done``.
    ``schema`` is a JSON Schema the answer must satisfy; ``extra`` goes to the engine untouched.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None  # "auto", "none", "required" or a tool's name
    schema: Mapping[str, Any] | None = None
    top_logprobs: int | None = None
    stream: bool = True
    deadlines: Deadlines | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, as data. ``grounded``: able to write answers from sources in Chinese and English."""

    stream: bool = True
    tools: bool = False
    schema: bool = False
    images: bool = False
    logprobs: bool = False
    usage: bool = False
    cancel: bool = True
    reasoning: bool = False
    grounded: bool = True
    context_tokens: int | None = None


# --- results ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the engine counted them; ``None`` where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the call. ``queued_s`` is time spent waiting for a slot of a local engine."""

    first_token_s: float | None = None
    total_s: float | None = None
    queued_s: float | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished answer. ``raw`` keeps what the server sent (for a stream: the last chunk's fields)."""

    text: str
    model: str
    provider: str
    finish_reason: FinishReason
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    timings: Timings = Timings()
    trace_id: str | None = None
    request_id: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    raw: Any = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of tool call number ``index``; ``id`` and ``name`` come with its first piece."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for a local engine; ``position`` calls are ahead."""

    position: int


@dataclass(frozen=True, slots=True)
class Switched:
    """Another provider took over, for ``reason`` (an error code)."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    completion: Completion


Event = TextDelta | ReasoningDelta | ToolCallDelta | Queued | Switched | Done


# --- decisions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A typed question. ``yes_no`` and ``choice`` answer with a label, ``score`` with a number in [low, high]."""

    id: str
    kind: Literal["yes_no", "choice", "score"]
    instructions: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """``answer`` is a label or a number; ``probabilities`` sum to 1 over labels (for a score: over its bins)."""

    question_id: str
    answer: str | float
    probability: float
    probabilities: Mapping[str, float]
    model: str


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text, for nearest-example decisions and few-shot prompts."""

    text: str
    label: str


# --- retrieval --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. ``start`` and ``end`` are character offsets into the document's text."""

    id: str
    document_id: str
    text: str
    title: str
    source: str
    position: int
    start: int
    end: int
    heading: str | None = None
    page: int | None = None
    language: Language | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)  # not frozen: twenty are made for each query, and frozen ones take four times as long
class Hit:
    """A found passage with the reason it was found. Read it; :func:`dataclasses.replace` makes another.

    Ranks count from 1; ``None``: that leg did not find it among its best. Its score there is known all the same.
    ``score`` is the fused one; ``rerank_score`` is a reranker's, on a scale of its own.
    """

    passage: Passage
    score: float
    keyword_rank: int | None = None
    keyword_score: float | None = None
    vector_rank: int | None = None
    vector_score: float | None = None
    matched_terms: tuple[str, ...] = ()
    sentence: tuple[int, int] | None = None  # the sentence that answers best, in the document's text
    similar: tuple[Hit, ...] = ()  # near-duplicates folded into this one
    parts: Mapping[str, float] = field(default_factory=dict)  # what the score is the sum of, when it was moved
    collection: str = ""
    rerank_score: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """Source ``number`` of an answer: the exact span ``quote`` = document text[start:end]."""

    number: int
    passage_id: str
    document_id: str
    title: str
    source: str
    quote: str
    start: int
    end: int
    heading: str | None = None
    page: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer with the numbers of the citations that carry it.

    ``asked``: of a message that asks several things, the one that is answered from here on.
    """

    text: str
    citations: tuple[int, ...] = ()
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer made of cited sentences, or a refusal that says what the sources do cover.

    ``mode``: ``extractive`` quotes sources, ``generated`` was written by a model and checked,
    ``curated`` was written by a person for this question, ``refused`` means the documents do not say, ``frame`` is a
    fixed text of the app, such as a greeting. Sources are
    not quoted with less ``confidence`` than ``threshold``; ``None``: nothing was weighed. ``removed`` counts generated sentences dropped by the check.
    """

    question: str
    mode: Literal["extractive", "generated", "curated", "refused", "frame"]
    text: str
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    confidence: float | None = None
    language: Language = "en"
    removed: int = 0
    notices: tuple[str, ...] = ()  # message codes, such as generator_down
    model: str | None = None
    prompt: str | None = None  # id@version
    trace_id: str | None = None
    timings: Timings = Timings()
    threshold: float | None = None


def content_text(content: str | Sequence[Part]) -> str:
    """The text of a message's content; images are left out."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Text))
