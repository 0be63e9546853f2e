"""One immutable snapshot of the environment, ``.env`` and ``touchstone.yaml``.

Order: arguments > environment > ``.env`` > ``touchstone.yaml`` > defaults. Every setting is one row of
``FIELDS``; ``.env.example``, the schema of ``touchstone.yaml`` and the docs table follow from it. Keys and
base URLs of providers are read by the provider rows through :meth:`Settings.get`, so settings know no provider.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import InputError, InvalidSetting, MissingFile
from core.i18n import preferred_language, remember_secret
from core.types import Deadlines

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

    def allowed_text(self) -> str:
        if self.allowed:
            return ", ".join(self.allowed)
        if self.low is not None or self.high is not None:
            return f"{self.kind.__name__} from {self.low} to {self.high}"
        return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[self.kind]


FIELDS: tuple[Field, ...] = (
    Field("home", "TOUCHSTONE_HOME", "~/.touchstone", str, "Workspace folder", "工作区文件夹"),
    Field("language", "TOUCHSTONE_LANG", "", str, "Language: zh or en; empty follows the system", "语言：zh 或 en，空则跟随系统", allowed=("", "zh", "en")),
    Field("models.chat", "TOUCHSTONE_CHAT", "embedded:smollm2", str, "Chat model, engine:model", "对话模型，引擎:模型"),
    Field("models.embedding", "TOUCHSTONE_EMBEDDING", "embedded:e5", str, "Embedding model", "向量模型"),
    Field("models.rerank", "TOUCHSTONE_RERANK", "", str, "Reranker; empty for none", "重排模型，空则不用"),
    Field("models.judge", "TOUCHSTONE_JUDGE", "", str, "Judge model; empty uses the chat model", "评判模型，空则用对话模型"),
    Field("deadlines.connect_s", "TOUCHSTONE_CONNECT_S", 5.0, float, "Seconds to connect", "连接期限（秒）", low=0.1, high=600),
    Field("deadlines.first_token_s", "TOUCHSTONE_FIRST_TOKEN_S", 60.0, float, "Seconds to the first token", "首个词元期限（秒）", low=0.1, high=3600),
    Field("deadlines.idle_s", "TOUCHSTONE_IDLE_S", 30.0, float, "Seconds between two pieces of an answer", "回答间隔期限（秒）", low=0.1, high=3600),
    Field("deadlines.total_s", "TOUCHSTONE_TOTAL_S", 600.0, float, "Seconds for a whole call, retries included", "整个调用期限（秒，含重试）", low=0.1, high=36000),
    Field("retries.attempts", "TOUCHSTONE_ATTEMPTS", 3, int, "Attempts for a call that may be repeated", "可重试调用的最多次数", low=1, high=10),
    Field("retries.wait_s", "TOUCHSTONE_RETRY_WAIT_S", 60.0, float, "Longest total wait between attempts", "重试之间的最长总等待（秒）", low=0, high=3600),
    Field("server", "TOUCHSTONE_SERVER", "", str, "URL of a Touchstone service; empty runs in this process", "Touchstone 服务的 URL，空则在本进程运行"),
)  # fmt: skip
_BY_PATH = {f.path: f for f in FIELDS}
_SERVICE_KEYS = ("base_url", "key_variable", "label", "models")


@dataclass(frozen=True)
class Settings:
    """A snapshot. ``values`` are checked settings by path, ``services`` the rows of touchstone.yaml."""

    values: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # path -> where its value came from
    folder: Path = Path()  # where .env and touchstone.yaml were looked for

    def get(self, variable: str) -> str | None:
        """A variable of the environment or ``.env``; empty counts as not set. Keys come back as ``Secret``."""
        value = self.environment.get(variable) or None
        return Secret(value) if value and _SECRET_NAME.search(variable) else value

    @property
    def home(self) -> Path:
        return Path(self.values["home"]).expanduser()

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
        """A new snapshot with environment ``variables`` set for this run only."""
        return build_settings({**self.environment, **variables}, self.folder, read_files=False, base=self)


def load_settings(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment, and ``.env`` and ``touchstone.yaml`` in ``folder`` (default: the current one).

    Raises:
        InvalidSetting: a value is not allowed; names file and line.
        InputError: touchstone.yaml is not YAML.
    """
    return build_settings(dict(os.environ if environment is None else environment), folder or Path.cwd())


def build_settings(
    environment: dict[str, str], folder: Path, *, read_files: bool = True, base: Settings | None = None
) -> Settings:
    origin = dict.fromkeys(environment, "environment")
    from_yaml: dict[str, tuple[Any, str]] = {}
    services: Mapping[str, Mapping[str, Any]] = base.services if base else {}
    if read_files:
        dotenv = folder / ".env"
        if dotenv.is_file():
            from dotenv import dotenv_values

            for name, value in dotenv_values(dotenv, interpolate=False).items():
                if name not in environment and value is not None:
                    environment[name], origin[name] = value, ".env"
        from_yaml, services = read_yaml(config_path(environment, folder))
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and value:
            remember_secret(value)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for f in FIELDS:
        if environment.get(f.variable, "") != "":
            values[f.path], sources[f.path] = (
                check(f, environment[f.variable], f"{origin[f.variable]} {f.variable}"),
                origin[f.variable],
            )
        elif f.path in from_yaml:
            value, where = from_yaml[f.path]
            values[f.path], sources[f.path] = check(f, value, where), where
        elif base is not None and f.path in base.values and f.variable not in environment:
            values[f.path], sources[f.path] = base.values[f.path], base.sources[f.path]
        else:
            values[f.path], sources[f.path] = f.default, "default"
    return Settings(values, environment, services, sources, folder)


def config_path(environment: Mapping[str, str], folder: Path) -> Path:
    """``TOUCHSTONE_CONFIG``, else ``touchstone.yaml`` in ``folder``."""
    named = environment.get("TOUCHSTONE_CONFIG")
    if named and not Path(named).is_file():
        raise MissingFile(path=named, needed_for="TOUCHSTONE_CONFIG")
    return Path(named) if named else folder / "touchstone.yaml"


def check(f: Field, value: Any, where: str) -> Any:
    """``value`` as the field's kind, or ``InvalidSetting``."""
    wrong = InvalidSetting(name=f.path, value=value, allowed=f.allowed_text(), where=where)
    try:
        if f.kind is bool:
            typed: Any = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
                str(value).lower()
            ]
        elif f.kind is str and not isinstance(value, str):
            raise ValueError(value)
        else:
            typed = f.kind(value)
    except (KeyError, TypeError, ValueError) as error:
        raise wrong from error
    if f.allowed and typed not in f.allowed:
        raise wrong
    if (f.low is not None and typed < f.low) or (f.high is not None and typed > f.high):
        raise wrong
    return typed


def read_yaml(path: Path) -> tuple[dict[str, tuple[Any, str]], dict[str, dict[str, Any]]]:
    """Settings by path with ``file:line``, and the ``providers`` rows."""
    if not path.is_file():
        return {}, {}
    import yaml

    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(reason="bad_yaml", where=path.name, detail=str(error).replace("\n", " ")) from error
    if root is None:
        return {}, {}
    values: dict[str, tuple[Any, str]] = {}
    services: dict[str, dict[str, Any]] = {}
    for key, line, node in _entries(root, path, ""):
        if key == "providers":
            for name, _, row in _entries(node, path, "providers."):
                services[name] = {}
                for item, at, cell in _entries(row, path, f"providers.{name}."):
                    if item not in _SERVICE_KEYS:
                        raise _unknown(path, at, f"providers.{name}.{item}", _SERVICE_KEYS)
                    services[name][item] = _plain(cell)
        elif key in _BY_PATH:
            values[key] = (_plain(node), f"{path.name}:{line}")
        elif any(p.startswith(f"{key}.") for p in _BY_PATH):
            for item, at, cell in _entries(node, path, f"{key}."):
                if f"{key}.{item}" not in _BY_PATH:
                    raise _unknown(path, at, f"{key}.{item}", [p for p in _BY_PATH if p.startswith(f"{key}.")])
                values[f"{key}.{item}"] = (_plain(cell), f"{path.name}:{at}")
        else:
            raise _unknown(path, line, key, [*dict.fromkeys(p.split(".")[0] for p in _BY_PATH), "providers"])
    return values, services


def _entries(node: Any, path: Path, prefix: str) -> Iterable[tuple[str, int, Any]]:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise _not_a_mapping(path, node, prefix)
    for key, value in node.value:
        yield key.value, key.start_mark.line + 1, value


def _not_a_mapping(path: Path, node: Any, prefix: str) -> InvalidSetting:
    return InvalidSetting(
        name=prefix.rstrip(".") or "touchstone.yaml",
        value=node.value,
        allowed="a mapping",
        where=f"{path.name}:{node.start_mark.line + 1}",
    )


def _unknown(path: Path, line: int, name: str, allowed: Iterable[str]) -> InvalidSetting:
    return InvalidSetting(name=name, value="unknown setting", allowed=", ".join(allowed), where=f"{path.name}:{line}")


def _plain(node: Any) -> Any:
    import yaml

    return yaml.safe_load(yaml.serialize(node))


def override(settings: Settings, **paths: Any) -> Settings:
    """``settings`` with checked values by path (dots written as double underscores), for tests and notebooks."""
    values = dict(settings.values)
    for name, value in paths.items():
        f = _BY_PATH[name.replace("__", ".")]
        values[f.path] = check(f, value, "argument")
    return replace(settings, values=values)
