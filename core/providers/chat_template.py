"""A conversation as the text a model reads: its chat template, rendered as transformers and llama.cpp do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError
from core.types import Message, content_text

if TYPE_CHECKING:
    from jinja2 import Template


def rendered(template: str, messages: Sequence[Message], **special: str) -> str:
    """The text of ``messages`` up to where the answer begins; ``special`` are tokens such as ``bos_token``.

    Raises:
        ConfigurationError: the template cannot be rendered, or refuses the conversation.
    """
    from jinja2 import TemplateError

    given = [{"role": message.role, "content": content_text(message.content)} for message in messages]
    try:
        return _compiled(template).render(messages=given, add_generation_prompt=True, **special)
    except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
        raise ConfigurationError(detail=f"chat template: {error}") from error


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    from jinja2 import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}`` marks what is trained on; here it is only its content."""

        tags = {"generation"}  # noqa: RUF012  # a name of jinja2

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(words: str) -> None:
        raise TemplateError(words)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template)
