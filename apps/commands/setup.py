"""``touchstone init``: choose models, try them, keep the choice. By questions, or by options for scripts."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

import typer

from apps.commands.checkup import Json
from apps.commands.shell import Out, out_of
from core.errors import InputError, InvalidSetting, TouchstoneError
from core.i18n import LANGUAGES, Phrase, masked
from core.providers.registry import engines, split_name
from core.providers.services import Service, services
from core.settings import Secret, Settings, load_settings, save_env
from core.settings_file import URL

Result = TypeVar("Result")
ENGINES = ("embedded", "gguf")  # engines that are offered beside the services
SHOWN_MODELS = 20


def init(
    language: Annotated[str | None, typer.Option("--language", "-l", help="cli.init.language")] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="cli.init.provider")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="cli.init.model")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="cli.init.base_url")] = None,
    key: Annotated[str | None, typer.Option("--key", help="cli.init.key")] = None,
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="cli.init.key_stdin")] = False,
    embedding: Annotated[str | None, typer.Option("--embedding", help="cli.init.embedding")] = None,
    rerank: Annotated[str | None, typer.Option("--rerank", help="cli.init.rerank")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="cli.init.judge")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="cli.init.test")] = True,
    save: Annotated[bool, typer.Option("--save/--no-save", help="cli.init.save")] = True,
    json: Json = False,
) -> None:
    settings = load_settings()
    out = out_of(settings, json)
    given = (language, provider, model, base_url, key, embedding, rerank, judge)
    if sys.stdin.isatty() and not json and not key_stdin and not any(given):
        Questions(settings, out).ask()
        return
    plan = Plan(settings)
    plan.set_language(language)
    plan.choose(provider, model)
    plan.set_service(base_url, sys.stdin.readline().strip() if key_stdin else key)
    for role, name in (("embedding", embedding), ("rerank", rerank), ("judge", judge)):
        plan.set_role(role, name)
    trials = try_models(plan.settings(), embedding=embedding is not None, out=out) if test else {}
    saved = save_env(settings.folder, plan.variables) if save and plan.variables else None
    if saved:
        out.say(out.t("init.saved", path=saved))
    out.document(
        {
            "variables": {name: hidden(name, value) for name, value in plan.variables.items()},
            "saved": str(saved) if saved else None,
            "trials": trials,
        }
    )


@dataclass
class Plan:
    """The variables that are to be set, checked one by one."""

    base: Settings
    variables: dict[str, str] = field(default_factory=dict)

    def settings(self) -> Settings:
        return self.base.with_values(**self.variables)

    def set_language(self, language: str | None) -> None:
        if language is not None:
            self.base.with_values(TOUCHSTONE_LANG=language)
            self.variables["TOUCHSTONE_LANG"] = language

    def choose(self, provider: str | None, model: str | None) -> None:
        """The chat model; without a model's name the first example of the service."""
        if provider is not None or model is not None:
            prefix = (provider or self.base.model("chat").partition(":")[0]).removesuffix(":")
            self.set_role("chat", f"{prefix}:{model or self._example(prefix)}")

    def set_role(self, role: str, name: str | None) -> None:
        """The model of ``role``; an empty name where the role can do without."""
        from apps.choices import variables

        if name is not None:
            chosen = variables(role, name)
            if name:
                split_name(name, self.base)
            self.variables |= chosen

    def set_service(self, base_url: str | None, key: str | None) -> None:
        """Base URL and key of the chat model's service."""
        from apps.choices import access

        if not base_url and not key:
            return
        prefix = self.settings().model("chat").partition(":")[0]
        row = services(self.base).get(prefix)
        if row is None:
            allowed = ", ".join(services(self.base))
            raise InputError(reason="bad_value", name="--provider", value=prefix, allowed=allowed)
        if base_url and not URL.fullmatch(base_url):
            wanted = Phrase("allowed.url")
            raise InvalidSetting(name=row.url_variable, value=base_url, allowed=wanted, where="--base-url")
        if key and row.key_variable is None:
            raise InputError(reason="no_key_needed", name=row.label)
        self.variables |= access(row, url=base_url or "", key=key or "")

    def _example(self, prefix: str) -> str:
        row = services(self.base).get(prefix)
        if row is not None and row.models:
            return row.models[0]
        if prefix == "embedded":
            return "smollm2"
        if row is None:
            split_name(f"{prefix}:?", self.base)  # says which names there are
        raise InputError(reason="bad_value", name="--model", value="", allowed=f"{prefix}:MODEL")


def hidden(variable: str, value: str) -> str:
    secret = isinstance(Settings({}, {variable: value}).get(variable), Secret)
    return masked(value) if secret else value


def try_models(settings: Settings, *, embedding: bool, out: Out) -> dict[str, Any]:
    """Call the chat model, and the embedding model when it was chosen now; say what came back and return it as data.

    Raises:
        TouchstoneError: one of them does not answer.
    """
    from apps.trial import try_chat, try_embedding
    from core.providers.embedded import memory_needed
    from core.runtime import open_runtime
    from core.types import LOCAL

    name = settings.model("chat")
    memory = memory_needed(name, settings)
    if memory is not None:
        out.say(out.t("init.memory", model=name, gib=f"{memory / 2**30:.1f}"))
    out.note(out.t("init.trying", model=name))
    with open_runtime(settings) as runtime:
        chat = result_of(try_chat(runtime, name, settings, LOCAL, out.language))
        done = chat.completion
        trials: dict[str, Any] = {
            "chat": {
                "model": name,
                "reply": done.text.strip() or (done.reasoning or "").strip(),
                "timings": asdict(done.timings),
                "usage": asdict(done.usage),
                "capabilities": asdict(chat.capabilities),
                "memory_bytes": memory,
            }
        }
        seconds = ["?" if s is None else f"{s:.2f}" for s in (done.timings.first_token_s, done.timings.total_s)]
        out.say(out.t("init.replied", model=name, first=seconds[0], seconds=seconds[1], reply=trials["chat"]["reply"]))
        if embedding:
            made = try_embedding(runtime, settings.model("embedding"), settings, LOCAL)
            trials["embedding"] = asdict(made)
            out.say(out.t("init.embedded", model=made.name, dim=made.dim, seconds=f"{made.total_s:.2f}"))
    return trials


def result_of(steps: Generator[Any, None, Result]) -> Result:
    """Run a generator to its end and give the value it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Questions:
    """The same choice by questions; Enter takes what stands in brackets."""

    def __init__(self, settings: Settings, out: Out) -> None:
        self.out = out
        self.plan = Plan(settings)
        self.rows: Mapping[str, Service] = services(settings)

    def ask(self) -> None:
        self._language()
        while True:
            self._model()
            if self._works():
                break
        self._roles()
        self._save()

    def _language(self) -> None:
        names = {"zh": "中文", "en": "English"}
        self.out.say("1  中文\n2  English")
        default = str(LANGUAGES.index(self.out.language) + 1)
        chosen = self._choice("语言 / Language", list(names), default)
        self.plan.set_language(chosen)
        self.out.language = chosen

    def _model(self) -> None:
        t = self.out.t
        names = [name for name in (*ENGINES, *self.rows) if name in self.rows or name in engines()]
        for number, name in enumerate(names, 1):
            label = self.rows[name].label if name in self.rows else t(f"models.engines.{name}")
            self.out.say(f"{number:>2}  {name:<12} {label}")
        prefix = self._choice(t("init.ask_provider"), names, "1")
        row = self.rows.get(prefix)
        if row is None:
            self._accept(
                lambda: self.plan.choose(prefix, "smollm2" if prefix == "embedded" else self._text(t("init.ask_path")))
            )
            return
        self.plan.choose(prefix, None)
        self._accept(lambda: self.plan.set_service(self._text(t("init.ask_base_url"), row.base_url), None))
        if row.key_variable:
            there = self.plan.settings().get(row.key_variable)
            hint = t("init.key_kept") if there else t("init.key_where", url=row.key_url or row.label)
            key = typer.prompt(f"{row.key_variable} ({hint})", default="", show_default=False, hide_input=True)
            self._accept(lambda: self.plan.set_service(None, key.strip()))
        offered = self._offered(row)
        for name in offered[:SHOWN_MODELS]:
            self.out.say(f"    {name}")
        default = next((name for name in row.models if name in offered), (*offered, *row.models, "")[0])
        self.plan.choose(prefix, self._text(t("init.ask_model"), default))

    def _offered(self, row: Service) -> list[str]:
        """What the server lists; nothing when it cannot be asked, which the trial will explain."""
        from core.providers.openai import list_models
        from core.providers.sync import run

        try:
            return run(list_models(row.name, self.plan.settings()))
        except TouchstoneError as error:
            self.out.note(error.text(self.out.language))
            return []

    def _works(self) -> bool:
        try:
            try_models(self.plan.settings(), embedding=False, out=self.out)
        except TouchstoneError as error:
            self.out.note(f"{self.out.t('error')} {error.text(self.out.language)}")
            return not typer.confirm(self.out.t("init.ask_again"), default=True)
        return True

    def _roles(self) -> None:
        """The other roles; the hint lists what the chosen service has for embeddings."""
        t = self.out.t
        row = self.rows.get(self.plan.settings().model("chat").partition(":")[0])
        if row and row.embeddings:
            self.out.say(t("init.embeddings", names=", ".join(f"{row.name}:{name}" for name in row.embeddings)))
        for role in ("embedding", "rerank", "judge"):
            present = self.plan.base.values[f"models.{role}"]
            self._accept(partial(self._role, role, present))

    def _role(self, role: str, present: str) -> None:
        hint = self.out.t(f"init.ask_{role}")
        name = self._text(hint, present) if present else typer.prompt(hint, default="", show_default=False).strip()
        if name != present:
            self.plan.set_role(role, name)

    def _save(self) -> None:
        t, variables = self.out.t, self.plan.variables
        self.out.say()
        for name, value in variables.items():
            self.out.say(f"{name}={hidden(name, value)}")
        if typer.confirm(t("init.ask_save", folder=self.plan.base.folder), default=True):
            self.out.say(t("init.saved", path=save_env(self.plan.base.folder, variables)))
        else:
            self.out.say(t("init.not_saved"))
        self.out.say(t("init.next"))

    def _choice(self, question: str, names: list[str], default: str) -> str:
        """A row's number or name."""
        while True:
            answer = typer.prompt(question, default=default).strip()
            if answer in names:
                return answer
            if answer.isdigit() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
            self.out.note(self.out.t("init.one_of", names=", ".join(names)))

    def _text(self, question: str, default: str | None = None) -> str:
        return str(typer.prompt(question, default=default)).strip()

    def _accept(self, step: Any) -> None:
        """Do ``step`` until what was typed is allowed."""
        while True:
            try:
                step()
            except TouchstoneError as error:
                self.out.note(error.text(self.out.language))
                if error.code != "invalid_setting" and error.code != "unknown_name":
                    raise
            else:
                return
