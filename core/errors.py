"""One error tree, arranged by what the caller would do next.

    TouchstoneError                 everything this project raises on purpose
    ├── ConfigurationError          fix the settings, then call again
    │   ├── MissingKey              an API key is not set
    │   ├── UnknownName             an engine, model, role, prompt or language that is not known
    │   ├── MissingPackage          an optional package is not installed
    │   ├── MissingFile             a model file, folder or prompt that is not there
    │   └── InvalidSetting          a value that is not allowed (file, line and allowed values)
    ├── ProviderError               a model could not answer (provider, model, status, request id)
    │   ├── ConnectFailed           no connection: wrong base URL, dead server, DNS          retryable
    │   ├── TimedOut                a deadline passed: connect, first_token, idle, total     retryable before text
    │   ├── StreamInterrupted       the stream ended early, stalled or broke; ``partial`` text
    │   ├── RateLimited             429; ``retry_after_s`` when the server said it           retryable
    │   ├── ServerFailed            5xx, 408, 409 from the server                            retryable
    │   ├── AuthenticationFailed    401 or 403
    │   ├── BadRequest              any other 4xx; the server's words are in ``detail``
    │   ├── ModelNotFound           404 for the model or the path
    │   ├── ContextTooLong          shorten the input or take a model with more context
    │   ├── ContentFiltered         the provider refused the content
    │   ├── InvalidResponse         an answer that is not of the agreed form
    │   ├── Unsupported             the model cannot do what was asked (images, tools, …)
    │   ├── EngineBusy              the queue of a local engine is full                      retryable
    │   └── OutOfMemory             a local model does not fit, or ran out of memory; needed and free MiB
    ├── StoreError                  the workspace could not be read or written
    │   ├── StoreBusy               another process holds it; ``holder`` says which
    │   ├── StoreUnreachable        the Chroma server that holds the vector index does not answer
    │   ├── StoreDamaged            a file of the store is damaged; says how to rebuild
    │   └── StoreTooNew             written by a newer version
    ├── InputError                  the input cannot be used: empty, too large, unreadable file
    ├── NotFound                    no such conversation, document, collection
    ├── NotAllowed                  the caller may not do this
    ├── PromptError                 a prompt file or its variables are wrong
    └── ToolError                   a tool did not do what was asked
        ├── BadArguments            arguments that the tool's signature does not allow
        ├── ToolRefused             the tool's own rules forbid it; nothing was done
        ├── ToolFailed              the tool broke, or it is not known what became of a call
        └── StepLimit               more calls than one turn may make

Each class has a ``code``; the text comes from the message catalogues (``core/locales``) in Chinese and
English, filled with the error's parameters. An error raised with ``reason=…`` uses the catalogue entry
``error.<code>.<reason>``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from core.i18n import LANGUAGES, Phrase, catalogue, message, secret_free


class TouchstoneError(Exception):
    """Base of the tree. ``params`` fill the catalogue's text for ``code``."""

    code: ClassVar[str] = "error"

    def __init__(self, *, reason: str | None = None, **params: Any) -> None:
        self.reason = reason
        self.params = params
        super().__init__(code_of(self))

    def text(self, language: str = "en") -> str:
        """Say in ``language`` what is wrong, what is allowed and what to do next; secrets masked.

        The parameter ``kind`` (``engine``, ``document``, …) is translated by the catalogue's ``word.<kind>``.
        """
        params = dict(self.params)
        if isinstance(kind := params.get("kind"), str):
            params["kind"] = catalogue(language if language in LANGUAGES else "en").get(f"word.{kind}", kind)
        return secret_free(message(f"error.{code_of(self)}", language, **params))

    def __str__(self) -> str:
        return self.text("en")

    def as_dict(self, language: str = "en") -> dict[str, Any]:
        """The error as data, for ``--json`` and HTTP."""
        return {"code": code_of(self), "message": self.text(language)}


def code_of(error: TouchstoneError) -> str:
    return f"{error.code}.{error.reason}" if error.reason else error.code


class ConfigurationError(TouchstoneError):
    code = "configuration"


class MissingKey(ConfigurationError):
    """params: provider, variable"""

    code = "missing_key"


class UnknownName(ConfigurationError):
    """params: kind, value, allowed"""

    code = "unknown_name"


class MissingPackage(ConfigurationError):
    """params: package, needed_for, install"""

    code = "missing_package"


class MissingFile(ConfigurationError):
    """params: path, needed_for"""

    code = "missing_file"


class InvalidSetting(ConfigurationError):
    """params: name, value, allowed, where (file and line, or the environment)"""

    code = "invalid_setting"


class ProviderError(TouchstoneError):
    """A model could not answer. ``retryable`` says whether the same call may succeed later."""

    code = "provider"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        *,
        provider: str,
        model: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        reason: str | None = None,
        **params: Any,
    ) -> None:
        self.provider = provider
        self.model = model
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        super().__init__(
            reason=reason,
            provider=provider,
            model=model,
            status=status,
            request_id=request_id,
            retry_after_s=retry_after_s,
            **params,
        )


class ConnectFailed(ProviderError):
    """params: url, detail"""

    code = "connect_failed"
    retryable = True


class TimedOut(ProviderError):
    """params: phase (connect, first_token, idle, total), after_s"""

    code = "timed_out"
    retryable = True

    def __init__(self, *, phase: str, **kwargs: Any) -> None:
        super().__init__(phase=phase, deadline=Phrase(f"wire.deadline.{phase}"), **kwargs)


class StreamInterrupted(ProviderError):
    """The stream ended early, stalled or carried something broken.

    ``partial`` is the text received so far; a call is retried only while it is empty.
    params: partial, detail
    """

    code = "stream_interrupted"

    def __init__(self, *, partial: str, **kwargs: Any) -> None:
        self.partial = partial
        super().__init__(characters=len(partial), **kwargs)


class RateLimited(ProviderError):
    code = "rate_limited"
    retryable = True

    def __init__(self, *, retry_after_s: float | None = None, **kwargs: Any) -> None:
        wait = "" if retry_after_s is None else Phrase("wire.wait", seconds=f"{retry_after_s:g}")
        super().__init__(retry_after_s=retry_after_s, wait=wait, **kwargs)


class ServerFailed(ProviderError):
    """params: detail"""

    code = "server_failed"
    retryable = True


class AuthenticationFailed(ProviderError):
    """params: detail"""

    code = "authentication_failed"


class BadRequest(ProviderError):
    """params: detail"""

    code = "bad_request"


class ModelNotFound(ProviderError):
    """params: detail"""

    code = "model_not_found"


class ContextTooLong(ProviderError):
    """params: detail"""

    code = "context_too_long"


class ContentFiltered(ProviderError):
    """params: detail"""

    code = "content_filtered"


class InvalidResponse(ProviderError):
    """params: detail (the first bytes of what came)"""

    code = "invalid_response"


class Unsupported(ProviderError):
    """params: feature (tools, schema, images, logprobs, or words)"""

    code = "unsupported"

    def __init__(self, *, feature: str | Phrase, **kwargs: Any) -> None:
        named = feature in ("tools", "schema", "images", "logprobs")
        super().__init__(feature=feature, what=Phrase(f"wire.feature.{feature}") if named else feature, **kwargs)


class EngineBusy(ProviderError):
    """params: waiting, limit"""

    code = "engine_busy"
    retryable = True


class OutOfMemory(ProviderError):
    """Raised with a reason: no_room (by the plan, nothing was loaded), load, batch (in the middle of an answer).

    params: device, needed_mib, free_mib (``?`` where not known), others (models that share the device)
    """

    code = "out_of_memory"


class StoreError(TouchstoneError):
    """params: path, detail"""

    code = "store"


class StoreBusy(StoreError):
    """params: path, holder, waited_s"""

    code = "store_busy"


class StoreUnreachable(StoreError):
    """params: path (a URL), detail"""

    code = "store_unreachable"


class StoreDamaged(StoreError):
    """params: path, detail"""

    code = "store_damaged"


class StoreTooNew(StoreError):
    """params: path, found, supported"""

    code = "store_too_new"


class InputError(TouchstoneError):
    """Always raised with a reason: empty_question, question_too_long, unreadable_file, binary_file, …"""

    code = "input"


class NotFound(TouchstoneError):
    """params: kind, value"""

    code = "not_found"


class NotAllowed(TouchstoneError):
    """params: action, role"""

    code = "not_allowed"


class PromptError(TouchstoneError):
    """Always raised with a reason: missing_variable, unknown_variable, bad_file, …"""

    code = "prompt"


class ToolError(TouchstoneError):
    """params: tool, detail"""

    code = "tool"


class BadArguments(ToolError):
    """Always raised with a reason: not_json, unknown, missing, value."""

    code = "bad_arguments"


class ToolRefused(ToolError):
    """Raised by a tool, with a reason whose text the app's catalogue has.

    params: detail
    """

    code = "tool_refused"


class ToolFailed(ToolError):
    """Raised with the reason unknown_outcome when a call began and nobody knows how it ended.

    params: tool, detail
    """

    code = "tool_failed"


class StepLimit(ToolError):
    """params: limit, tool"""

    code = "step_limit"
