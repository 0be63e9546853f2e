"""Scripted conversations: a YAML list of them, played against the real service and the sample shop.

A step is one of:
  say: TEXT · press: yes|no (the newest card) · restart · agent: take|reply|hand_back · withdraw
  upload: TEXT of a document · break: TOOL (its next calls raise) · mend · hours: open|closed · at: minutes later
and may expect:
  has: texts that the reply holds · lacks · card: kind · silent: nothing is said · cause: of an open case
  mode: of the answer (answered: in the way of the model in use) · notice: what the answer tells of itself, or null
  done: number of rows by table, returns that the shop comes with left out, or the state of an order · tools: those that ran, in their order
A conversation with `model` is played with that one alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from apps.customer_service import CustomerService
from apps.customer_service.shop.data import prepare
from apps.customer_service.shop.tools import SHOP_TOOLS
from core.runtime import Runtime
from core.settings import Settings
from core.tools import Journal, Tools
from core.transcripts import StoredMessage
from core.types import Caller

FOLDER = Path(__file__).parent / "scenarios"
AGENT = "agent-1"
HOUR = {"open": 12, "closed": 3}


def scenarios() -> list[dict[str, Any]]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        found += yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


@dataclass
class Play:
    """One conversation of one customer of a tenant of its own."""

    service: CustomerService
    settings: Settings
    tenant: str
    answered: str = "extractive"

    def __post_init__(self) -> None:
        self.caller = Caller(self.tenant, "customer", frozenset())
        self.agent = Caller(self.tenant, AGENT, frozenset({"agent"}))
        self.conversation = self.service.conversations.create(self.caller).id
        prepare(self.service.runtime.workspace, self.tenant)
        self.loaded = self._rows("shop_returns")  # the shop comes with some
        self.later_s = 0.0
        self.set_hours("open")

    def set_hours(self, hours: str) -> None:
        today = datetime.now(ZoneInfo("Asia/Shanghai")).replace(hour=HOUR[hours], minute=0)
        self.start = today.timestamp()
        self.service.assistant.clock = lambda: self.start + self.later_s

    def messages(self) -> list[StoredMessage]:
        return self.service.conversations.messages(self.caller, self.conversation, limit=200)

    def say(self, text: str, pressed: tuple[str, bool] | None = None) -> list[StoredMessage]:
        """What the service says to a message."""
        before = len(self.messages())
        for _ in self.service.iterate(
            self.service.stream(text, caller=self.caller, conversation_id=self.conversation, pressed=pressed)
        ):
            pass
        return [message for message in self.messages()[before:] if message.role != "user"]

    def card(self, kind: str = "confirm") -> dict[str, Any]:
        return next(dict(m.card) for m in reversed(self.messages()) if m.card and m.card["kind"] == kind)

    def case(self) -> Any:
        return self.service.assistant.cases.of_conversation(self.caller, self.conversation)

    def restart(self) -> None:
        self.service.close()
        self.service = CustomerService(Runtime(self.settings))
        self.service.assistant.clock = lambda: self.start + self.later_s

    def break_tool(self, name: str) -> None:
        """The tool raises what a tool may raise when its system is down."""

        def down(*_: Any, **__: Any) -> None:
            raise ConnectionError("the warehouse does not answer")

        definitions = [replace(t, function=down) if t.name == name else t for t in SHOP_TOOLS]
        self._with(definitions)

    def _with(self, definitions: Any) -> None:
        assistant = self.service.assistant
        assistant.flow.steps.tools = Tools(definitions, assistant.flow.tools.workspace)

    def mend(self) -> None:
        self._with(SHOP_TOOLS)

    def count(self, table: str) -> int:
        """The rows of a table, without the returns that the shop comes with."""
        return self._rows(table) - (self.loaded if table == "shop_returns" else 0)

    def _rows(self, table: str) -> int:
        with self.service.runtime.workspace.read() as db:
            return int(db.execute(f"SELECT count(*) FROM {table} WHERE tenant=?", (self.tenant,)).fetchone()[0])

    def order(self, number: str, column: str = "status") -> str:
        with self.service.runtime.workspace.read() as db:
            query = f"SELECT {column} FROM shop_orders WHERE tenant=? AND number=?"
            return str(db.execute(query, (self.tenant, number)).fetchone()[0])

    def calls(self, outcome: str = "done") -> list[str]:
        entries = Journal(self.service.runtime.workspace).entries(self.caller, conversation_id=self.conversation)
        return [entry.tool for entry in reversed(entries) if entry.outcome == outcome]

    # --- steps --------------------------------------------------------------------------------

    def step(self, step: dict[str, Any]) -> None:
        said: list[StoredMessage] = []
        if "say" in step:
            said = self.say(str(step["say"]))
        elif "press" in step:
            yes = step["press"] is True or step["press"] == "yes"
            words = ("Confirm", "Not now") if self.tenant.startswith("en") else ("确认办理", "先不办")
            said = self.say(words[0 if yes else 1], (self.card()["id"], yes))
        elif "restart" in step:
            self.restart()
        elif "agent" in step:
            said = self._agent(step)
        elif "withdraw" in step:
            before = len(self.messages())
            assert self.service.desk.withdraw(self.caller, self.conversation)
            said = self.messages()[before:]
        elif "break" in step:
            self.break_tool(step["break"])
        elif "mend" in step:
            self.mend()
        elif "upload" in step:
            self.service.upload("note.md", step["upload"].encode(), self.caller)
        elif "hours" in step:
            self.set_hours(step["hours"])
        elif "at" in step:
            self.later_s += 60.0 * step["at"]
        self.check(step, said)

    def _agent(self, step: dict[str, Any]) -> list[StoredMessage]:
        desk, before, case = self.service.desk, len(self.messages()), self.case()
        match step["agent"]:
            case "take":
                desk.take(self.agent, case.id)
            case "hand_back":
                desk.hand_back(self.agent, case.id)
            case text:
                desk.reply(self.agent, case.id, text)
        return self.messages()[before:]

    def check(self, step: dict[str, Any], said: list[StoredMessage]) -> None:
        text = "\n".join(message.text for message in said)
        for wanted in _listed(step.get("has")):
            assert wanted in text, f"'{wanted}' is not in: {text}"
        for unwanted in _listed(step.get("lacks")):
            assert unwanted not in text, f"'{unwanted}' is in: {text}"
        if "silent" in step:
            assert (said == []) is step["silent"], text
        if "card" in step:
            kinds = [message.card["kind"] for message in said if message.card]
            assert step["card"] in kinds if step["card"] else not kinds, (kinds, text)
        if "mode" in step:
            modes = [answer.mode for message in said if (answer := message.answer())]
            assert (self.answered if step["mode"] == "answered" else step["mode"]) in modes, (modes, text)
        if "notice" in step:
            notices = [notice for message in said if (answer := message.answer()) for notice in answer.notices]
            assert _listed(step["notice"]) == [code for code in notices if code != "embedding_down"], (notices, text)
        if "cause" in step:
            case = self.case()
            assert (case.cause if case else None) == step["cause"], (case, text)
        for what, wanted in step.get("done", {}).items():
            if what.startswith("PW"):
                status = self.order(what)
                assert status == wanted, (what, status, text)
            else:
                assert self.count(what) == wanted, (what, self.count(what), text)
        if "tools" in step:
            assert self.calls() == _listed(step["tools"]), self.calls()


def _listed(value: Any) -> list[str]:
    return [] if value is None else [str(v) for v in value] if isinstance(value, list) else [str(value)]


@contextmanager
def opened(settings: Settings) -> Iterator[CustomerService]:
    service = CustomerService(Runtime(settings))
    service.prepare()
    try:
        yield service
    finally:
        service.close()
