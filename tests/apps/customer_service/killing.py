"""A process killed between a confirmed write and the checkpoint of the flow: the write is done exactly once.

    python -m tests.apps.customer_service.killing 100

Each trial begins with an open confirmation. A child process presses it and is killed at a moment drawn anew: before the
write is committed, right after it, in the middle of LangGraph's checkpoint, or before the reply is stored. Then a
second process opens the same workspace and the customer presses again, types yes, or writes something else.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from apps.customer_service import CustomerService
from core.runtime import Runtime
from core.settings import Settings, load_settings, override
from core.types import Caller

ROOT = Path(__file__).parents[3]
CALLER = Caller("killed", "customer", frozenset())
MOMENTS = ("before_commit", "after_commit", "in_checkpoint", "before_reply")
AFTERWARDS = ("press", "yes", "other")


def settings(home: Path) -> Settings:
    plain = load_settings(home, {"TOUCHSTONE_HOME": str(home), "TOUCHSTONE_LANG": "en"})
    return override(plain, models__chat="embedded:smollm2", models__embedding="scripted:none")


def opened(home: Path) -> CustomerService:
    service = CustomerService(Runtime(settings(home)))
    service.assistant.clock = lambda: 1_795_665_600.0  # noon in Shanghai
    return service


def say(service: CustomerService, conversation: str, text: str, pressed: tuple[str, bool] | None = None) -> str:
    stream = service.stream(text, caller=CALLER, conversation_id=conversation, pressed=pressed)
    for _ in service.iterate(stream):
        pass
    return "\n".join(m.text for m in service.conversations.messages(CALLER, conversation)[-2:])


def confirmation(service: CustomerService, conversation: str) -> str:
    messages = service.conversations.messages(CALLER, conversation, limit=50)
    return str(next(m.card["id"] for m in reversed(messages) if m.card and m.card["kind"] == "confirm"))


def child(home: Path, conversation: str, moment: str) -> None:
    """Press the confirmation and die at ``moment``."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    from core.conversations import Draft
    from core.tools import calls

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    service = opened(home)
    graph_put, noted = SqliteSaver.put, calls.noted
    written: list[int] = []

    def watched(*arguments: object, **more: object) -> int:
        entry = noted(*arguments, **more)  # type: ignore[arg-type]
        if more.get("permission") == "write":
            if moment == "before_commit":
                die()
            written.append(entry)
        return entry

    def put(self: object, *arguments: object) -> object:
        if written and moment in ("after_commit", "in_checkpoint"):
            if moment == "in_checkpoint":
                graph_put(self, *arguments)  # type: ignore[arg-type]
            die()
        return graph_put(self, *arguments)  # type: ignore[arg-type]

    calls.noted = watched
    SqliteSaver.put = put  # type: ignore[method-assign,assignment]
    if moment == "before_reply":
        Draft.finish = die  # type: ignore[method-assign]
    say(service, conversation, "确认办理", (confirmation(service, conversation), True))


def trial(home: Path, number: int, draw: random.Random) -> str | None:
    """What went wrong; ``None`` when the order was cancelled exactly once and the customer was told."""
    moment, afterwards = draw.choice(MOMENTS), draw.choice(AFTERWARDS)
    service = opened(home)
    conversation = service.conversations.create(CALLER).id
    with service.runtime.workspace.write() as db:  # the shop's order is fresh in each trial
        for table in ("shop_orders", "shop_items", "shop_products", "tool_calls"):
            db.execute(f"DELETE FROM {table} WHERE tenant=?", (CALLER.tenant,))
    say(service, conversation, "取消订单 PW26110002 尾号 2468")
    card = confirmation(service, conversation)
    service.close()
    command = [sys.executable, "-m", "tests.apps.customer_service.killing", "child", str(home), conversation, moment]
    died = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    if died.returncode != -signal.SIGKILL:
        return f"{number} {moment}: the child ended with {died.returncode}"
    service = opened(home)
    try:
        pressed = (card, True) if afterwards == "press" else None
        told = say(service, conversation, {"press": "确认办理", "yes": "确认", "other": "在吗"}[afterwards], pressed)
        with service.runtime.workspace.read() as db:
            stock = db.execute("SELECT stock FROM shop_products WHERE tenant=? AND sku='HP-70'", (CALLER.tenant,))
            done = db.execute(
                "SELECT count(*) FROM tool_calls WHERE tenant=? AND tool='cancel_order' AND outcome='done'",
                (CALLER.tenant,),
            ).fetchone()[0]
            found = (int(stock.fetchone()[0]), int(done))
        if found != (1, 1):  # cancelled once: one piece back on the shelf, one row
            return f"{number} {moment} {afterwards}: stock and calls are {found}; {told}"
        text = "\n".join(m.text for m in service.conversations.messages(CALLER, conversation, limit=50))
        if moment in ("before_commit", "after_commit") and "已取消" not in text:
            return f"{number} {moment} {afterwards}: the customer was not told; {told}"
        return None
    finally:
        service.close()


def main(trials: int, seed: int = 0) -> list[str]:
    draw, wrong = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(trials):
            if problem := trial(Path(folder), number, draw):
                wrong.append(problem)
                sys.stderr.write(problem + "\n")
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        count = int(sys.argv[1])
        failed = main(count)
        sys.stdout.write(f"{count - len(failed)} of {count} trials: done once and told\n")
        sys.exit(bool(failed))
