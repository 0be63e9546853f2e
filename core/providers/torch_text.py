"""Between messages and tokens: the chat template, and whole characters out of single tokens."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

from core.errors import BadRequest, Unsupported
from core.i18n import Phrase
from core.types import Image, Message, Options, content_text

_MARKS = ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|python_tag|>", "<think>", "</think>", "<tool_call>", "</tool_call>")
_CONTEXT = 8  # tokens before a new one that decide how it is written


def chat_dicts(messages: Sequence[Message], *, images: bool) -> list[dict[str, Any]]:
    """Messages in the form chat templates read. With ``images`` content is a list of parts."""
    return [_chat_dict(message, images) for message in messages]


def tool_dicts(options: Options) -> list[dict[str, Any]] | None:
    if not options.tools or options.tool_choice == "none":
        return None
    return [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)},
        }
        for t in options.tools
    ]


def images_of(messages: Sequence[Message], *, provider: str, model: str) -> list[Any]:
    """The pictures in ``messages`` in order, as PIL images.

    Raises:
        BadRequest: bytes that are not a picture.
        Unsupported: an address that would have to be fetched.
    """
    return [
        _picture(part, provider, model)
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, Image)
    ]


class Detokenizer:
    """Tokens to text, whole characters only. Tokens that steer the model are left out, but not those that mark
    thoughts and tool calls."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._hidden = frozenset(
            i for i in tokenizer.all_special_ids if tokenizer.convert_ids_to_tokens(i) not in _MARKS
        )
        self._tokens: list[int] = []
        self._shown = ""

    def text_of(self, token: int) -> str:
        """What ``token`` adds to the text so far; nothing while a character is not whole."""
        if token in self._hidden:
            return ""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if text.endswith("\ufffd") and len(self._tokens) < 4 * _CONTEXT:
            return ""
        new = text[len(self._shown) :]
        if len(self._tokens) > 2 * _CONTEXT:
            self._tokens = self._tokens[-_CONTEXT:]
            text = self._decode(self._tokens)
        self._shown = text
        return new

    def rest(self) -> str:
        """What was held back when the answer ends inside a character."""
        return self._decode(self._tokens)[len(self._shown) :]

    def single(self, token: int) -> str:
        """A token alone, for lists of likely tokens."""
        return self._decode([token])

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def _chat_dict(message: Message, images: bool) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role, "content": _content(message, images)}
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        sent["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.reasoning:
        sent["reasoning_content"] = message.reasoning
    return sent


def _content(message: Message, images: bool) -> Any:
    if not images:
        return content_text(message.content)
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    return [
        {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": part.text}
        for part in message.content
    ]


def _arguments(text: str) -> Any:
    """Templates want an object; what a model wrote that is none stays text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _picture(part: Image, provider: str, model: str) -> Any:
    from PIL import Image as Pictures
    from PIL import UnidentifiedImageError

    data = part.data
    if data is None:
        head, comma, body = (part.url or "").partition(",")
        if not (head.startswith("data:") and comma):
            raise Unsupported(provider=provider, model=model, feature=Phrase("local.image_url"))
        try:
            data = base64.b64decode(body, validate=True)
        except ValueError as error:
            raise BadRequest(provider=provider, model=model, detail=Phrase("local.no_picture")) from error
    try:
        return Pictures.open(io.BytesIO(data)).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Pictures.DecompressionBombError) as error:
        raise BadRequest(provider=provider, model=model, detail=Phrase("local.no_picture")) from error
