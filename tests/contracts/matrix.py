"""The capability matrix: ``python -m tests.contracts.matrix`` writes docs/*/capabilities.md.

Its rows are the subjects of the chat contract and the flags they claim. The suite proves each flag: what is
claimed must work, what is not must be refused. ``make docs`` writes the pages too, a test says when they are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from core.types import Capabilities
from tests.contracts.chat_model import RULES
from tests.contracts.subjects import SUBJECTS

DOCS = Path(__file__).parent.parent.parent / "docs"
FLAGS = ("stream", "tools", "schema", "images", "logprobs", "usage", "reasoning", "cancel")
WORDS = {
    "en": {
        "stream": "stream", "tools": "tools", "schema": "JSON schema", "images": "images", "logprobs": "logprobs",
        "usage": "usage", "reasoning": "reasoning", "cancel": "cancel", "model": "Model", "yes": "yes", "no": "–",
    },
    "zh": {
        "stream": "流式", "tools": "工具", "schema": "JSON 模式", "images": "图片", "logprobs": "对数概率",
        "usage": "用量", "reasoning": "推理文本", "cancel": "取消", "model": "模型", "yes": "有", "no": "–",
    },
}  # fmt: skip
PAGES = {
    "en": """# Capabilities

What each engine can do. The table is generated from the contract suite (`tests/contracts`), which runs
{rules} rules over every row: a capability that is claimed must work, one that is not must be refused with
`Unsupported`. It is refused, not left out in silence.

{table}

- `openai` is the engine for every service that speaks the OpenAI wire format, held to the contract against a server
  that can do everything. What a service's model can do is the service's affair: its refusal is a typed error.
- `openai, llama.cpp server` is the same engine against a real llama.cpp server with SmolLM2, which is too small for
  tools and cannot see.
- `tools by schema` is what small models get in place of tools of their own: they choose among names and write arguments
  under the tool's schema. A call is well formed; its wisdom is the model's (see [LangChain](langchain.md)).
- `langchain, …` is one of our models made LangChain's and then ours again: nothing is lost on the way there and back.
  Over the bridge a model without tools has them by schema.
- The rows with `retrying` and `recorded` are wrappers: they keep the contract of what they hold.

## Services that lack something

These are refused before anything is sent. `lacks` of a service in `touchstone.yaml` adds to the list or, with
`lacks: []`, empties it (see [Settings](settings.md)).

{lacks}
""",
    "zh": """# 能力表

每个引擎能做什么。此表由契约测试（`tests/contracts`）生成：{rules} 条规则逐行执行，声明的能力必须可用，
没有声明的能力必须以 `Unsupported` 拒绝，而不是悄悄忽略。

{table}

- `openai` 是所有使用 OpenAI 接口格式的服务共用的引擎，对着一个什么都能做的服务器接受检验。
  具体模型能做什么由服务决定；服务拒绝时给出有类型的错误。
- `openai, llama.cpp server` 是同一个引擎对着真实的 llama.cpp 服务器和 SmolLM2 模型；这个模型太小，不会用工具，也看不了图片。
- `tools by schema` 是小模型代替自有工具能力的办法：在工具名中选择，再按该工具的模式写参数。
  调用格式一定正确，是否明智取决于模型（见 [LangChain](langchain.md)）。
- `langchain, …` 是先变成 LangChain 模型、再变回来的本项目模型：往返途中什么都没有丢。经过这座桥，没有工具能力的模型按模式获得工具。
- 带 `retrying` 和 `recorded` 的行是包装器：它们保持内层模型的契约。

## 能力不全的服务

下列能力在发送之前就会被拒绝。`touchstone.yaml` 中服务的 `lacks` 可以补充，`lacks: []` 则清空（见[设置](settings.md)）。

{lacks}
""",
}


def capability_pages() -> dict[Path, str]:
    """The text of the page in each language."""
    found = [(s.name, s.open("http://127.0.0.1:9/v1").capabilities) for s in SUBJECTS]
    return {
        DOCS / language / "capabilities.md": page.format(
            rules=len(RULES), table=_table(found, language), lacks=_lacks(language)
        )
        for language, page in PAGES.items()
    }


def _table(found: list[tuple[str, Capabilities]], language: str) -> str:
    words = WORDS[language]
    rows = [[words["model"], *(words[flag] for flag in FLAGS)], ["---"] * (len(FLAGS) + 1)]
    rows += [[f"`{name}`", *(words["yes" if getattr(able, flag) else "no"] for flag in FLAGS)] for name, able in found]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _lacks(language: str) -> str:
    from core.providers.services import SERVICES

    words = WORDS[language]
    rows = [f"- `{row.name}`: {', '.join(words[feature] for feature in row.lacks)}" for row in SERVICES if row.lacks]
    return "\n".join(rows)


def main() -> None:
    for path, text in capability_pages().items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"wrote {path.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
