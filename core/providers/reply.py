"""One response while it is read: its bytes, what they said so far, and the error for what is wrong with it."""

from __future__ import annotations

from typing import Any

import httpx2

from core.errors import InvalidResponse, ProviderError, StreamInterrupted, TimedOut, code_of
from core.i18n import Phrase, secret_free
from core.providers.endpoint import Endpoint
from core.providers.http1 import ConnectionLost, MalformedResponse, ShortBody, decoder
from core.providers.refusals import SHOWN_BYTES, beginning, refused_inside, request_id_of
from core.providers.transport import Readable
from core.providers.wire import DONE, MAX_EVENT_BYTES, Answer, BrokenWire, ErrorSent, EventParser, parse_json
from core.types import Deadlines, Event

MAX_BODY_BYTES = 64 * 1024 * 1024
_EVENT_STREAM_BEGINS = b"deir:\xef\r\n"  # data, event, id, retry, a comment, a byte order mark, an empty line


class Reply:
    """The body of ``response`` and the answer in it."""

    def __init__(self, endpoint: Endpoint, model: str | None, deadlines: Deadlines, response: httpx2.Response) -> None:
        self.answer = Answer()
        self.out: list[Event] = []  # events that were not given out yet
        self.moved = False  # the last bytes brought an event of the server
        self.request_id = request_id_of(response.headers)
        self._problem: BrokenWire | ErrorSent | None = None
        self._endpoint = endpoint
        self._model = model
        self._deadlines = deadlines
        self._status = response.status_code
        self._kind = response.headers.get("content-type", "").lower()
        self._body: Readable = response.extensions["body"]
        self._beginning = b""
        self._size = 0
        self._ended = False
        self._parser = EventParser()
        self._events = 0
        self._offset = 0
        try:
            self._decode = decoder(response.headers.get("content-encoding", "").lower())
        except MalformedResponse as error:
            self.close()
            raise endpoint.unreachable(error, model) from error

    # --- bytes

    async def read(self, until: float, phase: str) -> bytes:
        """The next bytes, ``b""`` at the end. ``phase`` names the deadline that passes at ``until``.

        Raises:
            ProviderError: the deadline passed, the connection broke, or the body is too large.
        """
        try:
            data = await self._body.read(until)
            if self._decode is not None:
                data = self._decode(data)
        except TimeoutError as error:
            if phase == "finish":  # the answer is whole, only its postscript did not come
                return b""
            late = self._late(phase)
            raise (
                self._interrupted(Phrase("error.timed_out", **late.params)) if self.answer.shown else late
            ) from error
        except httpx2.TransportError as error:
            if self.answer.finished:
                return b""
            how = error.phrase if isinstance(error, ConnectionLost) else secret_free(str(error) or type(error).__name__)
            if isinstance(error, MalformedResponse) and not isinstance(error, ShortBody) and not self.answer.shown:
                raise self.invalid(how) from error
            raise self._interrupted(how) from error
        self._size += len(data)
        if len(self._beginning) < SHOWN_BYTES:
            self._beginning += data[:SHOWN_BYTES]
        if self._size > MAX_BODY_BYTES:
            raise self._too_large(Phrase("wire.long_body", limit=MAX_BODY_BYTES))
        return data

    async def whole(self, until: float, phase: str, data: bytes | None = None) -> Any:
        """Read the body to its end (``data`` was read already) and parse it as JSON.

        Raises:
            InvalidResponse: not JSON, or cut short.
        """
        pieces = [] if data is None else [data]
        try:
            while data != b"":
                data = await self.read(until, phase)
                pieces.append(data)
        except StreamInterrupted as error:
            if isinstance(error.__cause__, ShortBody):
                cut = Phrase("wire.cut_short", why=error.__cause__.phrase, begins=beginning(self._beginning))
                raise self.invalid(cut) from error
            raise
        self._ended = True
        try:
            return parse_json(b"".join(pieces))
        except BrokenWire as error:
            raise self.invalid() from error

    def close(self) -> None:
        """Give the connection back, or up when the answer was not read to its end."""
        self._body.close(ended=self._ended)

    # --- events

    def is_event_stream(self) -> bool:
        """Told by the content type and the first byte: some servers answer JSON or HTML where a stream was asked for."""
        first = self._beginning[:1]
        if first in (b"{", b"[", b"<"):
            return False
        return "event-stream" in self._kind or (bool(first) and first in _EVENT_STREAM_BEGINS)

    def take(self, data: bytes) -> bool:
        """Fold the events in ``data`` into the answer and ``out``; return whether the stream is over."""
        parser = self._parser
        payloads = parser.feed(data) if data else parser.end()
        self.moved = bool(payloads)
        for payload, end in zip(payloads, parser.ends, strict=True):
            self._events += 1
            self._offset = end
            if payload.startswith(DONE):
                self._ended = True
                return True
            if not payload:
                continue
            try:
                self.answer.fold(parse_json(payload), self.out)
            except (BrokenWire, ErrorSent) as problem:
                self._problem = problem
                return True
        return not data or parser.overflowed

    def fold_whole(self, sent: Any) -> None:
        """Fold a response that came in one piece.

        Raises:
            ProviderError: it is an error object, or not a completion.
        """
        try:
            self.answer.fold(sent, self.out)
        except ErrorSent as error:
            raise refused_inside(
                error.body,
                provider=self._endpoint.name,
                model=self._model,
                request_id=self.request_id,
                sent=self._beginning,
            ) from error
        except BrokenWire as error:
            raise self.invalid() from error
        self._check_given_up()
        answer = self.answer
        if not answer.recognized or (answer.finish in (None, "stop") and not answer.spoke and not self.out):
            raise self.invalid()

    def check_end(self) -> None:
        """See whether the stream that is over holds a whole answer.

        Raises:
            ProviderError: it does not; with the partial text when some was shown.
        """
        answer, problem = self.answer, self._problem
        if answer.finished:
            return
        if isinstance(problem, ErrorSent):
            error = refused_inside(
                problem.body, provider=self._endpoint.name, model=self._model, request_id=self.request_id
            )
            said = Phrase(f"error.{code_of(error)}", **error.params)
            raise (self._interrupted(said) if answer.shown else error) from problem
        if self._parser.overflowed:
            raise self._too_large(Phrase("wire.long_event", limit=MAX_EVENT_BYTES))
        where = {"event": self._events, "byte": self._offset}
        if problem is not None:
            raise self._interrupted(Phrase("wire.broken", why=problem.phrase, **where)) from problem
        self._check_given_up()
        if not answer.recognized and not self._events and self._beginning.strip():
            raise self.invalid()
        raise self._interrupted(Phrase("wire.no_finish", **where))

    def _check_given_up(self) -> None:
        if self.answer.broken_off:
            raise self._interrupted(Phrase("wire.gave_up", reason=self.answer.broken_off))

    # --- errors

    def invalid(self, detail: str | Phrase | None = None) -> InvalidResponse:
        """The error for an answer that is not of the agreed form; shows its first bytes."""
        return InvalidResponse(**self._known(), detail=detail or beginning(self._beginning))

    def _interrupted(self, detail: str | Phrase) -> StreamInterrupted:
        return StreamInterrupted(partial=self.answer.text, detail=detail, **self._known())

    def _too_large(self, detail: Phrase) -> ProviderError:
        return self._interrupted(detail) if self.answer.shown else self.invalid(detail)

    def _late(self, phase: str) -> TimedOut:
        return TimedOut(phase=phase, after_s=getattr(self._deadlines, f"{phase}_s"), **self._known())

    def _known(self) -> dict[str, Any]:
        return {
            "provider": self._endpoint.name,
            "model": self._model,
            "status": self._status,
            "request_id": self.request_id,
        }
