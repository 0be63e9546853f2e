"""Error bodies of the services, as they word them, and the typed error each one is."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    code_of,
)
from core.providers.refusals import beginning, refused, refused_inside

REFUSALS: list[tuple[str, int, Any, type[ProviderError]]] = [
    # context
    ("openai", 400, {"error": {"message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}, ContextTooLong),
    ("vllm", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", "type": "BadRequestError", "param": None, "code": 400}, ContextTooLong),
    ("vllm, newer", 400, {"error": {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "type": "BadRequestError", "code": 400}}, ContextTooLong),
    ("llama.cpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 3000, "n_ctx": 2048}}, ContextTooLong),
    ("llama.cpp, older", 500, {"error": {"code": 500, "message": "the request exceeds the available context size", "type": "server_error"}}, ContextTooLong),
    ("deepseek", 400, {"error": {"message": "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens", "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}}, ContextTooLong),
    ("qwen", 400, {"error": {"code": "invalid_parameter_error", "param": None, "message": "Range of input length should be [1, 30720]", "type": "invalid_request_error"}}, ContextTooLong),
    ("moonshot", 400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 8192", "type": "invalid_request_error"}}, ContextTooLong),
    ("zhipu", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}, ContextTooLong),
    # content
    ("azure", 400, {"error": {"message": "The response was filtered", "type": None, "param": "prompt", "code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, ContentFiltered),
    ("openai images", 400, {"error": {"message": "Your request was rejected", "code": "content_policy_violation"}}, ContentFiltered),
    ("deepseek", 400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error", "code": "invalid_request_error"}}, ContentFiltered),
    ("qwen", 400, {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content.", "type": "data_inspection_failed"}}, ContentFiltered),
    ("zhipu", 400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}, ContentFiltered),
    ("doubao", 400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "The request failed because the input text may contain sensitive information."}}, ContentFiltered),
    ("openrouter", 403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "…"}}}, ContentFiltered),
    # key
    ("openai", 401, {"error": {"message": "Incorrect API key provided: sk-abcdefghijklmnopqrstuvwxyz123456.", "code": "invalid_api_key"}}, AuthenticationFailed),
    ("forbidden", 403, {"error": {"message": "Country not supported", "code": "unsupported_country"}}, AuthenticationFailed),
    ("html", 403, "<html>Forbidden</html>", AuthenticationFailed),
    # balance
    ("openai", 429, {"error": {"message": "You exceeded your current quota, please check your plan", "type": "insufficient_quota", "code": "insufficient_quota"}}, BadRequest),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, BadRequest),
    ("zhipu", 429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试"}}, BadRequest),
    ("moonshot", 429, {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}}, BadRequest),
    # rate
    ("openai", 429, {"error": {"message": "Rate limit reached for gpt on tokens per min. The maximum context length is not the matter", "code": "rate_limit_exceeded"}}, RateLimited),
    ("zhipu", 429, {"error": {"code": "1302", "message": "您当前使用该API的并发数过高"}}, RateLimited),
    ("moonshot", 429, {"error": {"message": "The engine is currently overloaded", "type": "engine_overloaded_error"}}, RateLimited),
    # model
    ("openai", 404, {"error": {"message": "The model `gpt-9` does not exist", "code": "model_not_found"}}, ModelNotFound),
    ("ollama", 404, {"error": {"message": "model \"qwen9\" not found, try pulling it first", "type": "api_error"}}, ModelNotFound),
    ("ollama, short", 404, {"error": "model 'qwen9' not found"}, ModelNotFound),
    ("siliconflow", 400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, ModelNotFound),
    ("zhipu", 400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}, ModelNotFound),
    ("doubao", 404, {"error": {"code": "ModelNotOpen", "message": "Your account has not activated the model"}}, ModelNotFound),
    ("fastapi", 404, {"detail": "Not Found"}, ModelNotFound),
    # not able
    ("llama.cpp", 500, {"error": {"code": 500, "message": "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", "type": "server_error"}}, Unsupported),
    ("vllm", 400, {"error": {"message": "qwen is not a multimodal model", "code": 400}}, Unsupported),
    ("vllm", 400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', "code": 400}}, Unsupported),
    ("ollama", 400, {"error": {"message": "registry.ollama.ai/library/gemma:2b does not support tools"}}, Unsupported),
    ("deepseek", 400, {"error": {"message": "This response_format type is unavailable now", "type": "invalid_request_error"}}, Unsupported),
    ("deepseek", 422, {"error": {"message": "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text`"}}, Unsupported),
    # other
    ("fastapi", 422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, BadRequest),
    ("deepseek", 422, {"error": {"message": "Invalid parameters"}}, BadRequest),
    ("too large", 413, "Payload Too Large", BadRequest),
    ("html", 502, "<html><h1>502 Bad Gateway</h1></html>", ServerFailed),
    ("openai", 503, {"error": {"message": "The server is overloaded or not ready yet."}}, ServerFailed),
    ("timeout", 408, None, ServerFailed),
    ("conflict", 409, {}, ServerFailed),
    ("empty", 500, "", ServerFailed),
    ("odd", 400, {"error": {"message": 7, "code": ["x"]}}, BadRequest),
    ("odd", 400, [1, 2], BadRequest),
]  # fmt: skip


@pytest.mark.parametrize(("service", "status", "body", "kind"), REFUSALS)
def test_a_refusal_is_its_typed_error(service: str, status: int, body: Any, kind: type[ProviderError]) -> None:
    error = refused(status, body, provider=service, model="m", headers={"x-request-id": "r"})
    assert type(error) is kind
    assert (error.status, error.request_id, error.provider, error.model) == (status, "r", service, "m")
    for language in ("en", "zh"):
        text = error.text(language)
        assert "?" not in text.replace("？", ""), text
        assert not text.startswith("error."), text
        assert "sk-abcdefghij" not in text


def test_no_balance_says_so() -> None:
    error = refused(402, {"error": {"message": "Insufficient Balance"}}, provider="deepseek", model="m")
    assert code_of(error) == "bad_request.balance"
    assert not error.retryable


def test_the_words_and_the_waiting_are_kept() -> None:
    error = refused(503, {"error": {"message": "warming up"}}, provider="p", model="m", headers={"retry-after": "3"})
    assert "warming up" in str(error)
    assert error.retry_after_s == 3.0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"message": "x", "code": 429}}, RateLimited, 429),
        ({"error": {"message": "x", "code": "429"}}, RateLimited, 429),
        ({"error": {"message": "x", "code": 502, "metadata": {"provider_name": "y"}}}, ServerFailed, 502),
        ({"error": {"message": "x", "code": "context_length_exceeded"}}, ContextTooLong, 200),
        ({"error": {"message": "Invalid key", "code": 401}}, AuthenticationFailed, 401),
        ({"object": "error", "message": "bad", "code": 400}, BadRequest, 400),
        ({"error": "model not found"}, ServerFailed, 200),
        ({"error": {"message": "boom"}}, ServerFailed, 200),
    ],
)
def test_an_error_object_under_status_200(body: dict[str, Any], kind: type[ProviderError], status: int) -> None:
    error = refused_inside(body, provider="p", model="m", request_id=None)
    assert (type(error), error.status) == (kind, status)


def test_an_object_that_says_nothing_known_in_one_piece_is_invalid() -> None:
    body = {"error": {"message": "boom"}}
    error = refused_inside(body, provider="p", model="m", request_id=None, sent=json.dumps(body).encode())
    assert isinstance(error, InvalidResponse)
    assert "boom" in str(error)


def test_the_beginning_of_what_is_not_understood() -> None:
    assert str(beginning(b"")) == "an empty body"
    assert str(beginning(b"  \n")) == "white space"
    assert beginning("é".encode() * 200) == "é" * 100
    assert "sk-abcdefghijklmnop" not in str(beginning(b"Authorization: Bearer sk-abcdefghijklmnop"))
