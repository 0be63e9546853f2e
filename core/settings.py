"""One immutable snapshot of the environment, ``.env`` and ``touchstone.yaml``.

Order: arguments > environment > ``.env`` > ``touchstone.yaml`` > defaults. Every setting is one row of
``FIELDS``; ``.env.example``, the schema of ``touchstone.yaml`` and the docs table follow from it. Keys and
base URLs of providers are read by the provider rows through :meth:`Settings.get`, so settings know no provider.

Keys never show themselves: not in ``repr`` or ``str`` of a snapshot, not in errors, and not in logs once
``core.telemetry.logs.setup`` has run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.env_file import read_env, save_env
from core.errors import InvalidSetting, MissingFile
from core.i18n import Phrase, preferred_language, remember_secret, secret_free
from core.settings_file import read_yaml
from core.types import Deadlines

__all__ = [
    "CHAT_ROLES",
    "FIELDS",
    "OTHER_VARIABLES",
    "ROLES",
    "Field",
    "Secret",
    "Settings",
    "build_settings",
    "check",
    "config_path",
    "load_settings",
    "override",
    "read_yaml",
    "save_env",
    "unknown_variables",
]

CHAT_ROLES = ("chat", "judge")
ROLES = ("chat", "embedding", "rerank", "judge")
_SECRET_NAME = re.compile(r"(_KEY|_TOKEN|_SECRET|_PASSWORD)$")


class Secret(str):
    """A string that never shows itself in ``repr`` or a traceback; use it as a string where it is sent."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. ``path`` is its place in touchstone.yaml, ``variable`` its name in the environment."""

    path: str
    variable: str
    default: Any
    kind: type
    help_en: str
    help_zh: str
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def allowed_text(self) -> Phrase:
        if self.allowed:
            given = ", ".join(choice for choice in self.allowed if choice)
            return Phrase("allowed.or_empty" if "" in self.allowed else "allowed.one_of", choices=given)
        if self.low is not None or self.high is not None:
            return Phrase(f"allowed.{self.kind.__name__}_range", low=self.low, high=self.high)
        return Phrase(f"allowed.{self.kind.__name__}")


FIELDS: tuple[Field, ...] = (
    Field("home", "TOUCHSTONE_HOME", "~/.touchstone", str, "Folder of the workspace: documents, conversations, index", "工作区文件夹：文档、对话、索引"),
    Field("language", "TOUCHSTONE_LANG", "", str, "Language: zh or en; empty follows the system", "语言：zh 或 en，空则跟随系统", allowed=("", "zh", "en")),
    Field("models.chat", "TOUCHSTONE_CHAT", "embedded:smollm2", str, "Chat model, engine:model", "对话模型，引擎:模型"),
    Field("models.embedding", "TOUCHSTONE_EMBEDDING", "embedded:e5", str, "Embedding model", "向量模型"),
    Field("models.rerank", "TOUCHSTONE_RERANK", "", str, "Reranker; empty for none", "重排模型，空则不用"),
    Field("models.judge", "TOUCHSTONE_JUDGE", "", str, "Judge model: in evaluations, where empty uses the chat model, and of the sentences of written answers, where empty leaves them to rules", "评判模型：评测时为空则用对话模型；核对写出的句子时为空则只按规则"),
    Field("deadlines.connect_s", "TOUCHSTONE_CONNECT_S", 5.0, float, "Seconds to connect", "连接期限（秒）", low=0.1, high=600),
    Field("deadlines.first_token_s", "TOUCHSTONE_FIRST_TOKEN_S", 60.0, float, "Seconds to the first token", "首个词元期限（秒）", low=0.1, high=3600),
    Field("deadlines.idle_s", "TOUCHSTONE_IDLE_S", 30.0, float, "Seconds between two pieces of an answer", "回答间隔期限（秒）", low=0.1, high=3600),
    Field("deadlines.total_s", "TOUCHSTONE_TOTAL_S", 600.0, float, "Seconds for a whole call, retries included", "整个调用期限（秒，含重试）", low=0.1, high=36000),
    Field("retries.attempts", "TOUCHSTONE_ATTEMPTS", 3, int, "Attempts for a call that may be repeated", "可重试调用的最多次数", low=1, high=10),
    Field("retries.wait_s", "TOUCHSTONE_RETRY_WAIT_S", 60.0, float, "Longest total wait between attempts", "重试之间的最长总等待（秒）", low=0, high=3600),
    Field("local.slots", "TOUCHSTONE_LOCAL_SLOTS", 8, int, "Calls a model in this process answers at once", "本进程内的模型同时回答的调用数", low=1, high=64),
    Field("local.context_tokens", "TOUCHSTONE_LOCAL_CONTEXT", 0, int, "Context of each of these calls in tokens; 0 lets the model and the memory decide", "其中每个调用的上下文长度（词元）；0 表示由模型和内存决定", low=0, high=1048576),
    Field("local.threads", "TOUCHSTONE_LOCAL_THREADS", 0, int, "Threads a chat model in this process computes with; 0 takes all cores", "本进程内对话模型的计算线程数；0 表示用全部核心", low=0, high=512),
    Field("retrieval.vectors", "TOUCHSTONE_VECTORS", "auto", str, "Vector search: exact in memory, chroma, or auto (Chroma for large collections)", "向量检索：exact（内存中精确检索）、chroma，或 auto（集合较大时用 Chroma）", allowed=("auto", "exact", "chroma")),
    Field("retrieval.chroma_url", "TOUCHSTONE_CHROMA_URL", "", str, "URL of a Chroma server for the vector index; empty keeps it in the workspace", "向量索引所用 Chroma 服务的 URL，空则放在工作区内"),
    Field("local.device", "TOUCHSTONE_LOCAL_DEVICE", "", str, "Device of transformers models: cuda, cuda:1, rocm, mps, cpu; empty takes the best there is", "transformers 模型的设备：cuda、cuda:1、rocm、mps、cpu；空则用最好的"),
    Field("local.dtype", "TOUCHSTONE_LOCAL_DTYPE", "", str, "Number format of transformers models; empty takes what the device does best", "transformers 模型的数值格式；空则按设备选择", allowed=("", "float32", "bfloat16", "float16")),
    Field("training.track", "TOUCHSTONE_TRAINING_TRACK", "", str, "Also tell Weights & Biases or SwanLab how a run goes (TensorBoard files are always written)", "训练过程同时告诉 Weights & Biases 或 SwanLab（TensorBoard 文件总会写）", allowed=("", "wandb", "swanlab")),
    Field("training.processes", "TOUCHSTONE_TRAINING_PROCESSES", 1, int, "Processes that share each batch of a run: one for a graphics card, or on the CPU", "共同分担每一批训练数据的进程数：每张显卡一个，或都在 CPU 上", low=1, high=64),
    Field("local.quantization", "TOUCHSTONE_LOCAL_QUANTIZATION", "", str, "Weights of transformers models in 8 or 4 bits (CUDA, needs bitsandbytes)", "transformers 模型的权重用 8 位或 4 位（CUDA，需要 bitsandbytes）", allowed=("", "int8", "int4")),
    Field("retrieval.synonyms", "TOUCHSTONE_SYNONYMS", "", str, "YAML file of synonyms for all collections; empty for none", "所有集合通用的同义词 YAML 文件，空则不用"),
    Field("retrieval.folders", "TOUCHSTONE_FOLDERS", "", str, "Folders that the pages may index, separated as in PATH; empty: any, for an administrator at this machine", "页面可以索引的文件夹，分隔方式同 PATH；空则本机的管理员可索引任意文件夹"),
    Field("support.shop", "TOUCHSTONE_SUPPORT_SHOP", "", str, "Python package of your own shop for customer service (touchstone new support); empty for the sample shop", "智能客服所用的您自己商店的 Python 包（touchstone new support），空则为示例商店"),
    Field("server", "TOUCHSTONE_SERVER", "", str, "URL of a Touchstone service; empty runs in this process", "Touchstone 服务的 URL，空则在本进程运行"),
)  # fmt: skip
OTHER_VARIABLES: Mapping[str, tuple[str, str]] = {
    "TOUCHSTONE_CONFIG": ("Another file in place of touchstone.yaml", "代替 touchstone.yaml 的另一个文件"),
}
_BY_PATH = {f.path: f for f in FIELDS}


class _Environment(dict[str, str]):
    """Variables whose ``repr`` shows names and no values."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


@dataclass(frozen=True)
class Settings:
    """A snapshot. ``values`` are checked settings by path, ``services`` the rows of touchstone.yaml."""

    values: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # path -> where its value came from
    folder: Path = Path()  # where .env and touchstone.yaml were looked for
    this_run: Mapping[str, str] = field(default_factory=dict, repr=False)  # variables set by ``with_values``

    def __repr__(self) -> str:
        shown = ", ".join(f"{path}={value!r}" for path, value in self.values.items())
        return secret_free(f"Settings({shown}, folder={str(self.folder)!r})")

    def get(self, variable: str) -> str | None:
        """A variable of the environment or ``.env``; empty counts as not set. Keys come back as ``Secret``."""
        value = self.environment.get(variable, "").strip() or None
        return Secret(value) if value and _SECRET_NAME.search(variable) else value

    @property
    def home(self) -> Path:
        return Path(os.path.expanduser(self.values["home"])).absolute()

    @property
    def language(self) -> str:
        return self.values["language"] or preferred_language()

    def model(self, role: str) -> str:
        """The model named for ``role``; the judge falls back to the chat model."""
        name = self.values[f"models.{role}"]
        return name or (self.values["models.chat"] if role == "judge" else "")

    @property
    def deadlines(self) -> Deadlines:
        return Deadlines(
            **{p.removeprefix("deadlines."): v for p, v in self.values.items() if p.startswith("deadlines.")}
        )

    def with_values(self, **variables: str) -> Settings:
        """A new snapshot with environment ``variables`` set for this run only; empty means the default.

        Raises:
            InvalidSetting: a value is not allowed.
        """
        _remember_secrets(variables)
        values, sources = dict(self.values), dict(self.sources)
        for f in FIELDS:
            if f.variable in variables:
                given = variables[f.variable]
                values[f.path] = check(f, given, f.variable) if given else f.default
                sources[f.path] = "this run" if given else "default"
        environment = _Environment({**self.environment, **variables})
        this_run = _Environment({**self.this_run, **variables})
        return replace(self, values=values, sources=sources, environment=environment, this_run=this_run)


def load_settings(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment, and ``.env`` and ``touchstone.yaml`` in ``folder`` (default: the current one).

    Raises:
        InvalidSetting: a value is not allowed; names file and line.
        InputError: ``.env`` or touchstone.yaml cannot be read.
        MissingFile: ``TOUCHSTONE_CONFIG`` names a file that is not there.
    """
    return build_settings(dict(os.environ if environment is None else environment), folder or Path.cwd())


def build_settings(environment: dict[str, str], folder: Path) -> Settings:
    """The snapshot of ``environment`` and the two files in ``folder``."""
    origin = {name: f"environment {name}" for name in environment}
    for name, (value, line) in read_env(folder / ".env").items():
        if not environment.get(name):  # empty counts as not set
            environment[name], origin[name] = value, f".env:{line}"
    _remember_secrets(environment)
    from_yaml, services = read_yaml(config_path(environment, folder), tuple(_BY_PATH))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for f in FIELDS:
        if environment.get(f.variable, "") != "":
            where = origin[f.variable]
            values[f.path], sources[f.path] = check(f, environment[f.variable], where), where
        elif f.path in from_yaml:
            value, where = from_yaml[f.path]
            values[f.path], sources[f.path] = check(f, value, where), where
        else:
            values[f.path], sources[f.path] = f.default, "default"
    return Settings(values, _Environment(environment), services, sources, folder)


def config_path(environment: Mapping[str, str], folder: Path) -> Path:
    """``TOUCHSTONE_CONFIG``, else ``touchstone.yaml`` in ``folder``."""
    named = environment.get("TOUCHSTONE_CONFIG")
    path = (folder / os.path.expanduser(named)) if named else folder / "touchstone.yaml"
    if named and not path.is_file():
        raise MissingFile(path=named, needed_for="TOUCHSTONE_CONFIG")
    return path


def check(f: Field, value: Any, where: str) -> Any:
    """``value`` as the field's kind, or ``InvalidSetting``."""
    wrong = InvalidSetting(name=f.path, value=value, allowed=f.allowed_text(), where=where)
    try:
        typed = _typed(f.kind, value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise wrong from error
    if f.allowed and typed not in f.allowed:
        raise wrong
    if (f.low is not None and not typed >= f.low) or (f.high is not None and not typed <= f.high):  # nan is neither
        raise wrong
    return typed


def _typed(kind: type, value: Any) -> Any:
    if kind is bool:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
    if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
        raise TypeError(value)
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return kind(value)


def unknown_variables(settings: Settings) -> dict[str, str | None]:
    """Variables named ``TOUCHSTONE_…`` that mean nothing, each with the nearest one that does."""
    from difflib import get_close_matches

    known = [f.variable for f in FIELDS] + list(OTHER_VARIABLES)
    return {
        name: next(iter(get_close_matches(name, known, 1)), None)
        for name in settings.environment
        if name.startswith("TOUCHSTONE_") and name not in known
    }


def _remember_secrets(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if value and _SECRET_NAME.search(name):
            remember_secret(value.strip())


def override(settings: Settings, **paths: Any) -> Settings:
    """``settings`` with checked values by path (dots written as double underscores), for tests and notebooks."""
    values = dict(settings.values)
    for name, value in paths.items():
        f = _BY_PATH[name.replace("__", ".")]
        values[f.path] = check(f, value, "argument")
    return replace(settings, values=values)


def unread(settings: Settings, *groups: str) -> dict[str, Any]:
    """The settings of ``groups`` (``local``, …), by path, that neither the environment nor the files have now: set by a
    program. A process of its own has to be told, for :func:`override`."""
    read = load_settings(settings.folder).values
    return {p: value for p, value in settings.values.items() if p.partition(".")[0] in groups and value != read[p]}
