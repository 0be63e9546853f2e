"""What a manager changes and tries out: the policy, the intents, a message. All of it counts from the next message on.

Every call needs the role ``admin``. One policy and one head serve all tenants of a workspace, so that only an admin of
the workspace's own tenant, ``local``, changes them. Curated answers are each tenant's own: see :class:`Curated`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing

from apps.customer_service.assistant import Assistant
from apps.customer_service.curated import Curated
from apps.customer_service.knowledge import Knowledge
from apps.customer_service.manager import must_be_admin
from apps.customer_service.policy_versions import Version
from apps.customer_service.teaching import Taught, Teaching
from apps.customer_service.tryout import Tryout, try_out
from core.errors import InputError, NotAllowed
from core.i18n import Phrase
from core.retrieval.answer import AnswerDone
from core.runtime import Runtime
from core.training.label_errors import Suspect
from core.types import LOCAL, Answer, Caller


class Control:
    """Over one assistant and what it knows."""

    def __init__(self, assistant: Assistant, knowledge: Knowledge, curated: Curated, runtime: Runtime) -> None:
        self._assistant = assistant
        self._knowledge = knowledge
        self._curated = curated
        self._runtime = runtime

    # --- the policy ---------------------------------------------------------------------------

    def policy_text(self, caller: Caller) -> str:
        """The policy in use, as YAML."""
        must_be_admin(caller)
        return self._assistant.policies.text(self._runtime.workspace)

    def policy_history(self, caller: Caller) -> list[Version]:
        """Saved versions, newest first."""
        must_be_admin(caller)
        return self._assistant.policies.history(self._runtime.workspace)

    def save_policy(self, caller: Caller, text: str) -> None:
        """Let ``text`` be the policy; an empty one is the shop's file.

        Raises:
            InputError, InvalidSetting: it is no policy, with the line; the one in use stays.
            NotAllowed: see the module.
        """
        _must_be_of_the_house(caller)
        self._assistant.policies.save(self._runtime.workspace, caller, text)

    # --- intents ------------------------------------------------------------------------------

    def taught(self, caller: Caller) -> dict[str, list[str]]:
        """Sentences taught on the page, by intent."""
        must_be_admin(caller)
        return Teaching(self._runtime).sentences(caller)

    def teach(self, caller: Caller, intent: str, texts: Iterable[str]) -> int:
        """Keep sentences of an intent of the policy; how many there were. Errors as in :meth:`Teaching.teach`."""
        _must_be_of_the_house(caller)
        self._must_be_known(intent)
        return Teaching(self._runtime).teach(caller, intent, texts)

    def forget(self, caller: Caller, intent: str) -> None:
        """Take back what was taught of an intent; a head that learned it keeps it until the next is trained."""
        _must_be_of_the_house(caller)
        Teaching(self._runtime).forget(caller, intent)

    async def suspects(self, caller: Caller) -> list[Suspect]:
        """Taught sentences that look like another intent of the policy. Errors as in :meth:`Teaching.suspects`."""
        _must_be_of_the_house(caller)
        return await Teaching(self._runtime).suspects(caller, list(self._assistant.policy.intents))

    def settle(self, caller: Caller, text: str, intent: str | None) -> None:
        """Say of which intent of the policy a taught sentence is, after a look; ``None`` takes it back."""
        _must_be_of_the_house(caller)
        if intent is not None:
            self._must_be_known(intent)
        Teaching(self._runtime).settle(caller, text, intent)

    def _must_be_known(self, intent: str) -> None:
        known = self._assistant.policy.intents
        if intent not in known:
            raise InputError(reason="bad_value", name="intent", value=intent, allowed=", ".join(known))

    async def train(self, caller: Caller) -> Taught:
        """Train a head on all that is known of the policy's intents, and judge it; :meth:`use` lets it serve.

        An intent of the policy that nothing is known of is left out: rules alone lead to it.
        """
        _must_be_of_the_house(caller)
        teaching = Teaching(self._runtime)
        return await teaching.train(caller, teaching.teachable(caller, list(self._assistant.policy.intents)))

    def use(self, caller: Caller, taught: Taught) -> None:
        """Let a trained head serve."""
        _must_be_of_the_house(caller)
        Teaching(self._runtime).use(caller, taught)

    def back(self, caller: Caller) -> None:
        """Let the head serve that served before."""
        _must_be_of_the_house(caller)
        Teaching(self._runtime).back(caller)

    def serving(self, caller: Caller) -> int | None:
        """The version of the head in use; ``None`` for the shipped one."""
        must_be_admin(caller)
        return Teaching(self._runtime).serving()

    # --- trying out ---------------------------------------------------------------------------

    async def try_out(self, caller: Caller, text: str, language: str) -> tuple[Tryout, Answer | None]:
        """What would come of a message, and the answer of people or, in quotes, of the documents; nothing is kept."""
        must_be_admin(caller)
        found = await try_out(self._assistant, caller, text, language)
        if found.what != "answer":
            return found, None
        if entry := await self._curated.find(caller, text, found.language):
            return found, Answer(text, "curated", entry.text, language=found.language)
        answers = self._knowledge.answer(
            text, (), caller=caller, language=found.language, sample=self._assistant.is_sample, quotes=True
        )
        async with aclosing(answers) as events:
            async for event in events:
                if isinstance(event, AnswerDone):
                    return found, event.answer
        raise RuntimeError("the events of an answer ended without it")


def _must_be_of_the_house(caller: Caller) -> None:
    must_be_admin(caller)
    if caller.tenant != LOCAL.tenant:
        raise NotAllowed(action=Phrase("customer_service.manager.change"), role=f"admin ({LOCAL.tenant})")
