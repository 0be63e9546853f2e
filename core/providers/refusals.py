"""What a server's refusal means: status, headers and error body to one typed error. Pure functions.

The bodies are those of OpenAI, Azure, vLLM, SGLang, llama.cpp, Ollama, DeepSeek, Qwen (DashScope), GLM (Zhipu),
Moonshot, Doubao (Volcengine), SiliconFlow and OpenRouter: ``{"error": {"message", "type", "code", …}}``, the
same fields at the top level, ``{"error": "text"}``, or ``{"detail": …}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentFiltered,
    ContextTooLong,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
    Unsupported,
)
from core.i18n import Phrase, secret_free
from core.providers.retry import retry_after_s

SHOWN_BYTES = 200  # of an answer that is not understood
_REQUEST_IDS = ("x-request-id", "request-id", "x-ds-trace-id", "x-trace-id", "x-log-id", "x-tt-logid")

_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum (?:model |context )?(?:context )?length|context (?:length|window|size)"
    r"|range of input length|exceeded model token limit|prompt is too long|input is too long|too many (?:input )?tokens"
    r"|larger than the max|prompt ?超长|超过.{0,12}(?:最大|上下文).{0,8}长度|输入.{0,6}(?:过长|超长)",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"content_filter|content_policy|data_?inspection_?failed|sensitive_?content|ResponsibleAIPolicyViolation"
    r"|content exists risk|inappropriate content|SensitiveContentDetected|moderation|敏感内容|不安全.{0,4}内容",
    re.IGNORECASE,
)
_BALANCE = re.compile(
    r"insufficient_quota|exceeded_current_quota|insufficient (?:account )?balance|AccountOverdue|Arrearage"
    r"|exceeded your current quota|余额不足|欠费|账户已欠费",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|model[^.]{0,80}(?:not found|does not exist|not exist)|模型不存在|ModelNotOpen|InvalidEndpointOrModel",
    re.IGNORECASE,
)
_BUSY = re.compile(r"overloaded|rate.?limit|too many requests|速率|并发", re.IGNORECASE)
_CANNOT = {
    "images": re.compile(
        r"image input is not supported|not support (?:image|vision)|unknown variant .image_url|image_url.{0,60}(?:not support|invalid)"
        r"|not a multimodal model|does not support multimodal",
        re.IGNORECASE,
    ),
    "tools": re.compile(
        r"not support (?:tools|function|tool)|tools? (?:use|calling) is not supported|tools param requires|enable-auto-tool-choice",
        re.IGNORECASE,
    ),
    "schema": re.compile(
        r"response_format.{0,40}(?:unavailable|not support|unsupported)|json_schema.{0,40}(?:unavailable|not support)",
        re.IGNORECASE,
    ),
    "logprobs": re.compile(r"logprobs.{0,40}(?:not support|unsupported|not available)", re.IGNORECASE),
}
_ZHIPU_CONTENT, _ZHIPU_CONTEXT, _ZHIPU_MODEL, _ZHIPU_BALANCE = {"1301"}, {"1261"}, {"1211", "1220"}, {"1113"}


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The id by which the service finds this request in its log."""
    for name in _REQUEST_IDS:
        if name in headers:
            return headers[name]
    return None


def beginning(data: bytes) -> str | Phrase:
    """The first bytes of an answer that is not understood, secrets masked, for an error message."""
    if not data:
        return Phrase("wire.empty")
    return secret_free(data[:SHOWN_BYTES].decode("utf-8", "replace")).strip() or Phrase("wire.blank")


def refused(
    status: int,
    body: Any,
    *,
    provider: str,
    model: str | None,
    headers: Mapping[str, str] | None = None,
) -> ProviderError:
    """The error for a response of ``status`` (300 and up) whose ``body`` is parsed JSON, or text."""
    headers = headers or {}
    words, marks = _words(body)
    said = words or Phrase("wire.no_words")
    known: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "status": status,
        "request_id": request_id_of(headers),
        "retry_after_s": retry_after_s(headers),
    }
    feature = _cannot(words)
    if feature and status != 429:
        return Unsupported(feature=feature, **known)
    kind, reason = _kind(status, words, marks)
    if kind is not RateLimited:
        known["detail"] = said
    if status in range(300, 400):
        known["detail"] = Phrase("wire.moved", location=headers.get("location", "…"))
    return kind(reason=reason, **known)


def refused_inside(
    body: Mapping[str, Any], *, provider: str, model: str | None, request_id: str | None, sent: bytes | None = None
) -> ProviderError:
    """The error for an error object that came in place of an answer, under status 200.

    ``sent`` are the bytes of a whole response: an object that says nothing known is an ``InvalidResponse``.
    """
    words, marks = _words(body)
    status = next((int(mark) for mark in marks if mark.isdigit() and 400 <= int(mark) < 600), None)
    kind, reason = _kind(status or 500, words, marks)
    said = words or Phrase("wire.no_words")
    if kind is ServerFailed and status is None and sent is not None:
        kind, said = InvalidResponse, beginning(sent)
    known: dict[str, Any] = {"provider": provider, "model": model, "status": status or 200, "request_id": request_id}
    if kind is not RateLimited:
        known["detail"] = said
    return kind(reason=reason, **known)


def _cannot(words: str) -> str | None:
    """The feature the server says its model does not have."""
    return next((feature for feature, pattern in _CANNOT.items() if pattern.search(words)), None)


def _kind(status: int, words: str, marks: tuple[str, ...]) -> tuple[type[ProviderError], str | None]:
    said = " ".join((words, *marks))
    codes = set(marks)
    if status in (401, 407):
        return AuthenticationFailed, None
    if status == 402 or _BALANCE.search(said) or codes & _ZHIPU_BALANCE:
        return BadRequest, "balance"
    if status not in (429,) and (_CONTEXT.search(said) or codes & _ZHIPU_CONTEXT):
        return ContextTooLong, None
    if (status < 429 or status >= 500) and (_CONTENT.search(said) or codes & _ZHIPU_CONTENT):
        return ContentFiltered, None
    if status == 403:
        return AuthenticationFailed, None
    if status == 429:
        return RateLimited, None
    if status in (408, 409) or status >= 500:
        return ServerFailed, None
    if status == 404 or _MODEL.search(said) or codes & _ZHIPU_MODEL:
        return ModelNotFound, None
    if _BUSY.search(said) and status != 400:
        return RateLimited, None
    return BadRequest, None


def _words(body: Any) -> tuple[str, tuple[str, ...]]:
    """``(message, codes and types)`` of an error body in any of the known shapes."""
    if isinstance(body, Mapping):
        error = body.get("error")
        inner = error if isinstance(error, Mapping) else body
        message = inner.get("message") or inner.get("detail") or inner.get("msg")
        if message is None and isinstance(error, str):
            message = error
        marks = [inner.get("code"), inner.get("type"), inner.get("param")]
        for name in ("innererror", "metadata"):
            more = inner.get(name)
            if isinstance(more, Mapping):
                marks += [more.get("code"), more.get("raw")]
                if more.get("reasons"):  # OpenRouter's moderation
                    marks.append("moderation")
        found = tuple(str(mark) for mark in marks if isinstance(mark, str | int) and mark != "")
        text = message if isinstance(message, str) else str(message or body)
    else:
        text, found = str(body or ""), ()
    return secret_free(text[:1000]).strip(), found
