"""Services that speak the OpenAI wire format, as rows of data. A new one is one more row.

``touchstone.yaml`` may add rows or change a base URL; ``<NAME>_BASE_URL`` in the environment wins over both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidSetting, MissingKey
from core.i18n import Phrase

if TYPE_CHECKING:
    from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """A row. ``key_variable`` is ``None`` for servers that need no key; ``models`` are examples for the pages,
    and so are ``embeddings`` and ``rerankers``.

    ``lacks`` are the capabilities that none of its chat models has: asking for one is ``Unsupported`` at once.
    """

    name: str
    label: str
    base_url: str
    key_variable: str | None
    models: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    key_url: str = ""
    lacks: tuple[str, ...] = ()
    rerankers: tuple[str, ...] = ()

    @property
    def url_variable(self) -> str:
        return self.name.upper().replace("-", "_") + "_BASE_URL"


SERVICES: tuple[Service, ...] = (
    Service("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", ("gpt-6-luna",), ("text-embedding-3-small", "text-embedding-3-large"), "https://platform.openai.com/api-keys"),
    Service("deepseek", "DeepSeek 深度求索", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", ("deepseek-chat", "deepseek-reasoner"), (), "https://platform.deepseek.com/api_keys", lacks=("schema", "images")),
    Service("qwen", "Qwen 通义千问 (DashScope)", "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", ("qwen3-max", "qwen-plus"), ("text-embedding-v4",), "https://bailian.console.aliyun.com/?apiKey=1"),
    Service("zhipu", "Zhipu GLM 智谱", "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY", ("glm-4.6", "glm-4-flash"), ("embedding-3",), "https://open.bigmodel.cn/usercenter/apikeys"),
    Service("moonshot", "Moonshot Kimi 月之暗面", "https://api.moonshot.cn/v1", "MOONSHOT_API_KEY", ("kimi-k2", "moonshot-v1-8k"), (), "https://platform.moonshot.cn/console/api-keys"),
    Service("doubao", "Doubao 豆包 (Volcengine 火山方舟)", "https://ark.cn-beijing.volces.com/api/v3", "ARK_API_KEY", ("doubao-seed-1-6",), ("doubao-embedding",), "https://console.volcengine.com/ark"),
    Service("siliconflow", "SiliconFlow 硅基流动", "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY", ("Qwen/Qwen3-8B",), ("BAAI/bge-m3",), "https://cloud.siliconflow.cn/account/ak", rerankers=("BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Reranker-8B")),
    Service("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", ("openai/gpt-oss-20b",), (), "https://openrouter.ai/keys"),
    Service("ollama", "Ollama", "http://localhost:11434/v1", None, ("qwen3:4b", "gemma3:4b"), ("bge-m3",)),
    Service("vllm", "vLLM", "http://localhost:8000/v1", None, ("Qwen/Qwen3-8B",), ("BAAI/bge-m3",), rerankers=("BAAI/bge-reranker-v2-m3",)),
    Service("sglang", "SGLang", "http://localhost:30000/v1", None, ("Qwen/Qwen3-8B",), ("BAAI/bge-m3",), rerankers=("BAAI/bge-reranker-v2-m3",)),
    Service("lmstudio", "LM Studio", "http://localhost:1234/v1", None, ("qwen3-4b",)),
)  # fmt: skip


def services(settings: Settings) -> dict[str, Service]:
    """All rows by name: the built-in ones, changed and extended by touchstone.yaml and the environment."""
    from dataclasses import replace

    rows = {row.name: row for row in SERVICES}
    for name, given in settings.services.items():
        row = rows.get(name) or Service(name, given.get("label", name), "", given.get("key_variable"))
        models = tuple(given["models"]) if "models" in given else row.models
        rows[name] = replace(
            row,
            base_url=given.get("base_url", row.base_url),
            key_variable=given.get("key_variable", row.key_variable),
            label=given.get("label", row.label),
            models=models,
            lacks=tuple(given.get("lacks", row.lacks)),
        )
    for name, row in rows.items():
        url = settings.get(row.url_variable)
        if url:
            rows[name] = replace(row, base_url=url)
        elif not row.base_url:
            where = "touchstone.yaml"
            raise InvalidSetting(
                name=f"providers.{name}.base_url", value="", allowed=Phrase("allowed.url"), where=where
            )
    return rows


def key_of(row: Service, settings: Settings) -> str:
    """The key for ``row``, or a stand-in where the server needs none.

    A key is not demanded when the base URL was pointed away from the row's own address.

    Raises:
        MissingKey: it is not set.
        InvalidSetting: it has characters that no header can carry, as after a copy with quotation marks.
    """
    key = settings.get(row.key_variable) if row.key_variable else None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        where = row.key_variable or ""
        raise InvalidSetting(name=where, value="…", allowed=Phrase("allowed.key"), where=where)
    if key:
        return key
    own = {r.name: r.base_url for r in SERVICES}.get(row.name)
    if row.key_variable is None or (own is not None and row.base_url != own):
        return "none"
    raise MissingKey(provider=row.label, variable=row.key_variable)
