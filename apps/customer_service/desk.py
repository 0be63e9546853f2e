"""The agent desk as plain Python: the queue, taking over, answering, handing back.

Every call needs the role ``agent``. What a person writes is stored in the customer's own conversation, whose page shows
it within a second or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.customer_service import replies
from apps.customer_service.assistant import Assistant
from apps.customer_service.curated import Curated
from apps.customer_service.dialog import small_talk
from apps.customer_service.facts import Facts
from apps.customer_service.handover import Case
from apps.customer_service.hearing import command_of, wants_person
from apps.customer_service.policy import in_language
from core.conversations import Conversations
from core.errors import InputError, NotAllowed
from core.i18n import Phrase
from core.tools import Journal, JournalEntry
from core.transcripts import StoredMessage
from core.types import Caller, Language

REPLY_LIMIT = 4000  # characters


@dataclass(frozen=True, slots=True)
class Customer:
    """What the desk knows of a customer beside the open conversation."""

    user: str
    conversations: int
    cases: int
    calls: Sequence[JournalEntry]  # what was done for them in this conversation, newest first
    facts: Sequence[str]  # what they agreed to have remembered


class Desk:
    """The desk over one assistant, its conversations and its curated answers."""

    def __init__(self, assistant: Assistant, conversations: Conversations, curated: Curated) -> None:
        self._assistant = assistant
        self._conversations = conversations
        self._curated = curated

    def queue(self, caller: Caller) -> list[Case]:
        """Open cases: those that wait longest first, then those taken."""
        _must_be_agent(caller)
        return self._assistant.cases.queue(caller)

    def case(self, caller: Caller, case_id: int) -> Case:
        _must_be_agent(caller)
        return self._assistant.cases.get(caller, case_id)

    def messages(self, caller: Caller, case: Case, *, limit: int = 60) -> list[StoredMessage]:
        """The conversation of a case, oldest first."""
        _must_be_agent(caller)
        return self._conversations.messages(_owner(caller, case), case.conversation_id, limit=limit)

    def customer(self, caller: Caller, case: Case) -> Customer:
        _must_be_agent(caller)
        owner = _owner(caller, case)
        workspace = self._assistant.flow.tools.workspace
        with workspace.read() as db:
            (cases,) = db.execute(
                "SELECT count(*) FROM desk_cases WHERE tenant=? AND user=?", (caller.tenant, case.user)
            ).fetchone()
        calls = Journal(workspace).entries(owner, conversation_id=case.conversation_id, limit=20)
        conversations = len(self._conversations.recent(owner, limit=1000))
        return Customer(case.user, conversations, cases, calls, Facts(workspace).of(owner))

    def take(self, caller: Caller, case_id: int) -> Case:
        """Take over a waiting case; the customer is told.

        Raises:
            InputError: somebody else has it, or it is closed.
        """
        _must_be_agent(caller)
        before = self._assistant.cases.get(caller, case_id)
        if not self._assistant.cases.take(caller, case_id):
            now = self._assistant.cases.get(caller, case_id)
            reason = "case_closed" if now.state == "closed" else "case_taken"
            raise InputError(reason=reason, case=case_id, agent=now.agent or "–")
        if before.state == "waiting":
            text = replies.say("taken", before.language)
            self._say(caller, before, "assistant", text, {"kind": "taken", "name": caller.user})
        return self._assistant.cases.get(caller, case_id)

    def reply(self, caller: Caller, case_id: int, text: str) -> None:
        """Answer the customer.

        Raises:
            InputError: the text is empty or too long, or the case is not the caller's.
        """
        _must_be_agent(caller)
        text = text.strip()
        if not text or len(text) > REPLY_LIMIT:
            raise InputError(reason="reply_length", length=len(text), limit=REPLY_LIMIT)
        case = self._mine(caller, case_id)
        self._say(caller, case, "agent", text, {"kind": "agent", "name": caller.user})

    def hand_back(self, caller: Caller, case_id: int) -> None:
        """Give the conversation back to the assistant; the customer is told.

        What the person answered to a question of the customer is proposed to the manager as a curated answer.
        """
        _must_be_agent(caller)
        case = self._mine(caller, case_id)
        if self._assistant.cases.close(caller, case_id):
            self._propose(caller, case)
            self._assistant.flow.reset(case.conversation_id)
            text = replies.say("handed_back", case.language)
            self._say(caller, case, "assistant", text, {"kind": "handed_back"})

    def withdraw(self, caller: Caller, conversation_id: str) -> bool:
        """The customer goes back to the assistant on their own; needs no role. ``False`` when no case was open."""
        self._conversations.get(caller, conversation_id)
        case = self._assistant.cases.of_conversation(caller, conversation_id)
        if case is None or not self._assistant.cases.close(caller, case.id):
            return False
        self._assistant.flow.reset(conversation_id)
        self._say(caller, case, "assistant", replies.say("withdrawn", case.language), {"kind": "handed_back"})
        return True

    def canned(self, language: Language) -> list[str]:
        """The policy's canned answers in a customer's language."""
        return [in_language(texts, language) for texts in self._assistant.policy.canned]

    def _propose(self, caller: Caller, case: Case) -> None:
        """Propose the longest reply to what was asked before the case; what was about one order answers nobody else."""
        rule = self._assistant.policy.intents.get(case.intent or "")
        if rule is not None and rule.do == "tool":
            return
        messages = self.messages(caller, case)
        taken_at = case.taken_at or case.created_at
        replies_ = [m.text for m in messages if m.role == "agent" and m.at >= taken_at]
        asked = [m.text for m in messages if m.role == "user" and m.at < taken_at and _asks(m.text)]
        if replies_ and asked:
            text = max(replies_, key=len)
            self._curated.propose(caller, case.conversation_id, asked[-1], text, case.language)

    def _mine(self, caller: Caller, case_id: int) -> Case:
        case = self._assistant.cases.get(caller, case_id)
        if case.state != "taken" or case.agent != caller.user:
            reason = {"closed": "case_closed", "waiting": "case_waiting"}.get(case.state, "case_taken")
            raise InputError(reason=reason, case=case_id, agent=case.agent or "–")
        return case

    def _say(self, caller: Caller, case: Case, role: str, text: str, card: dict[str, str]) -> None:
        self._conversations.say(_owner(caller, case), case.conversation_id, role, text, card=card)  # type: ignore[arg-type]


def _owner(caller: Caller, case: Case) -> Caller:
    return Caller(caller.tenant, case.user, frozenset())


def _asks(text: str) -> bool:
    """Whether a message may be a question, and not a wish for a person, an answer to the assistant or a greeting."""
    return not (wants_person(text) or command_of(text) or small_talk(text))


def _must_be_agent(caller: Caller) -> None:
    if "agent" not in caller.roles:
        raise NotAllowed(action=Phrase("customer_service.desk.action"), role="agent")
