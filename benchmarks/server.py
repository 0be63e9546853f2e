"""A canned server in the OpenAI wire format, as light as can be, in a process of its own.

A chat call is answered with half a kilobyte; a streamed one with 201 chunks in one go, or, for the model
``paced``, with 100 chunks at 10 a second. Nothing is computed per request.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from benchmarks.process import raise_file_limit

BURST_CHUNKS = 201  # with text; a chunk with the finish reason and one with usage follow
PACED_CHUNKS = 100
PACED_PER_S = 10
WORD = "word "
REPLY = ("All orders over 50 euros ship free within the country. " * 6).strip()
_IDENTITY = {"id": "chatcmpl-bench", "created": 1, "model": "bench", "system_fingerprint": "fp_bench"}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 201, "total_tokens": 210}


def _chunk(**fields: Any) -> bytes:
    data = json.dumps({**_IDENTITY, "object": "chat.completion.chunk", **fields}, separators=(",", ":"))
    line = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


def _delta(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _chunk(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


_TEXT = _delta({"content": WORD})
_FIRST = _delta({"role": "assistant", "content": WORD})
_END = _delta({}, "stop") + _chunk(choices=[], usage=_USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_BURST = _STREAM_HEAD + _FIRST + _TEXT * (BURST_CHUNKS - 1) + _END


def _whole() -> bytes:
    message = {"role": "assistant", "content": REPLY, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**_IDENTITY, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


_WHOLE = _whole()


class _Canned(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by type

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        self._buffer = b""
        asked = json.loads(body or b"{}")
        if not asked.get("stream"):
            self._transport.write(_WHOLE)
        elif asked.get("model") != "paced":
            self._transport.write(_BURST)
        else:
            self._transport.write(_STREAM_HEAD)
            self._pace(1, asyncio.get_running_loop().time())

    def _pace(self, number: int, started: float) -> None:
        self._transport.write(_TEXT if number < PACED_CHUNKS else _TEXT + _END)
        if number < PACED_CHUNKS:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(started + number / PACED_PER_S, self._pace, number + 1, started)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Canned, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def canned_server() -> Iterator[str]:
    """Run the server in another process; gives its base URL."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


if __name__ == "__main__":
    raise_file_limit()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve())
