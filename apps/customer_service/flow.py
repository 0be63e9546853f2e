"""The flow of a conversation: decide, find out whose account, prove it, collect the rest, quote, act. LangGraph drives it.

Each step is a node (:mod:`steps`) and each turn one run of the graph; where the conversation stands (:mod:`talk`) is
kept by LangGraph's SQLite checkpointer in the workspace, so that it goes on after a restart. A node runs again from its
top after a crash, so the only one that changes anything, ``act``, calls its tool with the id of the confirmation as
idempotency key.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from apps.customer_service import replies
from apps.customer_service.calling import Called, unsettled
from apps.customer_service.hearing import Heard
from apps.customer_service.policy import Policy
from apps.customer_service.replies import Reply
from apps.customer_service.state import State
from apps.customer_service.steps import Steps
from apps.customer_service.talk import Talk, from_data, to_data
from core.tools import Tools
from core.types import Caller
from core.workspace import Workspace

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Flow:
    """The graph over one workspace, for one policy and its tools. One turn of a conversation at a time."""

    def __init__(self, policy: Policy, tools: Tools, *, clock: Callable[[], float] = time.time) -> None:
        self.steps = Steps(policy, tools, clock)
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._opening = threading.Lock()
        self._turns = threading.Condition()
        self._running = 0
        self._graph: Any = None
        self._db: sqlite3.Connection | None = None

    @property
    def tools(self) -> Tools:
        return self.steps.tools

    # --- turns --------------------------------------------------------------------------------

    def turn(
        self,
        caller: Caller,
        conversation_id: str,
        heard: Heard,
        *,
        pressed: tuple[str, bool] | None = None,
        acts: bool = True,
        called: Sequence[Called] = (),
    ) -> list[Reply]:
        """What comes of a message, in order; more than one when an action cut short by a crash is made up for.

        Args:
            pressed: the button of a confirmation that the message stands for: its card's id, and whether it was yes.
            acts: whether the tools may be used; without them questions are answered and people asked for.
            called: what a model called for the message, checked (:mod:`calling`).
        """
        with self._alone(conversation_id):
            config = self._config(conversation_id)
            done = self._made_up(config)
            if done and (pressed or heard.command == "yes"):  # which is what the customer wants to know
                return done
            turn = {
                "heard": asdict(heard),
                "caller": [caller.tenant, caller.user],
                "conversation": conversation_id,
                "pressed": list(pressed) if pressed else None,
                "acts": acts,
                "called": [asdict(call) for call in called],
            }
            state = self.graph.invoke({"turn": turn, "reply": {}, "next": ""}, config, durability="sync")
            reply = Reply(**state["reply"])
            while acts and reply.kind == "say" and (state["talk"].get("task") or {}).get("queued"):
                turn = {**turn, "called": [], "pressed": None, "goes_on": True}
                state = self.graph.invoke({"turn": turn, "reply": {}, "next": ""}, config, durability="sync")
                reply = replies.both(reply, Reply(**state["reply"]))
            self._prune(conversation_id)
            return [*done, reply]

    def in_doubt(self, caller: Caller, conversation_id: str, heard: Heard) -> list[str]:
        """The customer's words to ask a model about, when the policy alone does not know what to do with a message.

        Empty when it knows. Nothing is kept and no tool called.
        """
        talk = self.talk(conversation_id)
        turn = {"heard": asdict(heard), "caller": [caller.tenant, caller.user], "conversation": conversation_id, "pressed": None, "acts": True}  # fmt: skip
        state = self.steps.decide({"talk": to_data(talk), "turn": turn})
        if not unsettled(self.steps, talk, heard, state):
            return []
        before = talk.task.said if talk.task else talk.offer[1] if talk.offer else ""
        return [*filter(None, (before,)), heard.text]

    def make_up(self, conversation_id: str) -> list[Reply]:
        """Finish an action that a crash cut short; what came of it."""
        with self._alone(conversation_id):
            return self._made_up(self._config(conversation_id))

    def _made_up(self, config: RunnableConfig) -> list[Reply]:
        kept = self.graph.get_state(config)
        if all(task.name != "act" for task in kept.tasks):  # begun, and perhaps done
            return []
        if (task := from_data(kept.values["talk"]).task) and task.intent not in self.steps.policy.intents:
            return []  # the policy no longer knows the wish: the journal says whether it was done
        return [Reply(**self.graph.invoke(None, config, durability="sync")["reply"])]

    def talk(self, conversation_id: str) -> Talk:
        """Where the conversation stands."""
        with self._in_use():
            kept = from_data(self.graph.get_state(self._config(conversation_id)).values.get("talk"))
        return kept.within(self.steps.policy.intents)

    def missed(self, conversation_id: str, missed: bool) -> bool:
        """Note whether the documents answered; says whether a person should take over."""
        with self._alone(conversation_id):
            talk = self.talk(conversation_id)
            talk = replace(talk, misses=talk.misses + 1 if missed else 0)
            self._put(conversation_id, talk)
            return talk.misses >= self.steps.policy.misses

    def reset(self, conversation_id: str) -> None:
        """Begin anew, after a person had the conversation; what was proved stays."""
        with self._alone(conversation_id):
            self._put(conversation_id, Talk(proved=self.talk(conversation_id).proved))

    def remind(self, conversation_id: str, language: Any) -> tuple[str, replies.Card | None] | None:
        """What the task in hand waits for, said again; ``None`` when there is none."""
        talk = self.talk(conversation_id)
        return self.steps.waiting_for(talk, language) if talk.task else None

    # --- the graph ----------------------------------------------------------------------------

    @property
    def graph(self) -> Any:
        """The compiled graph, made at its first use: LangGraph takes a second to import."""
        if self._graph is None:
            with self._opening:
                if self._graph is None:
                    self._graph = self._compiled(self.steps.tools.workspace)
        return self._graph

    def _compiled(self, workspace: Workspace) -> Any:
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph.graph import END, START, StateGraph

        steps = {
            "decide": self.steps.decide,
            "account": self.steps.account,
            "prove": self.steps.prove,
            "details": self.steps.details,
            "quote": self.steps.quote,
            "act": self.steps.act,
        }
        graph = StateGraph(State)
        for name, step in steps.items():
            graph.add_node(name, step)
            graph.add_conditional_edges(name, lambda state: state["next"], {**{n: n for n in steps}, "end": END})
        graph.add_edge(START, "decide")
        self._db = sqlite3.connect(workspace.path, timeout=workspace.busy_s, check_same_thread=False)
        return graph.compile(checkpointer=SqliteSaver(self._db))

    def close(self) -> None:
        """Close the database once the turns in hand are through: those whose caller has gone run on in their threads.

        SQLite crashes the process where one thread closes what another writes to. A turn that hangs in a tool keeps
        the connection, which goes with it.
        """
        with self._turns:
            through = self._turns.wait_for(lambda: not self._running, timeout=self.steps.tools.workspace.busy_s)
            if self._db is not None and through:
                self._db.close()
            self._db = self._graph = None

    def _config(self, conversation_id: str) -> RunnableConfig:
        return {"configurable": {"thread_id": conversation_id}}

    def _put(self, conversation_id: str, talk: Talk) -> None:
        self.graph.update_state(self._config(conversation_id), {"talk": to_data(talk), "next": "end"}, as_node="decide")
        self._prune(conversation_id)

    def _prune(self, conversation_id: str) -> None:
        """Keep the newest checkpoint only: what was before is in the messages and the journal."""
        with self.steps.tools.workspace.write() as db:
            (newest,) = db.execute(
                "SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id=? AND checkpoint_ns=''", (conversation_id,)
            ).fetchone()
            for table in ("checkpoints", "writes"):
                db.execute(f"DELETE FROM {table} WHERE thread_id=? AND checkpoint_id<?", (conversation_id, newest))

    @contextmanager
    def _alone(self, conversation_id: str) -> Iterator[None]:
        """One turn of a conversation at a time in this process: two tabs wait for one another."""
        with self._opening:
            lock = self._locks.get(conversation_id)
            if lock is None:
                lock = self._locks[conversation_id] = threading.Lock()
        with lock, self._in_use():
            yield

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """While this holds, :meth:`close` waits."""
        with self._turns:
            self._running += 1
        try:
            yield
        finally:
            with self._turns:
                self._running -= 1
                self._turns.notify_all()
