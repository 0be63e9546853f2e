"""The steps of the flow: each reads where the conversation stands and what was said, and gives what comes next.

Nothing a document says reaches this module: it hears the customer, a button of the page, and calls of a model that were
checked against the customer's own words (:mod:`calling`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from apps.customer_service import replies
from apps.customer_service.facts import Facts
from apps.customer_service.hearing import Heard, is_question, is_request
from apps.customer_service.meant import likeliest, surely
from apps.customer_service.policy import IntentRule, Need, Policy, in_language
from apps.customer_service.replies import Reply
from apps.customer_service.slots import Value, find
from apps.customer_service.state import State, caller, choices_shown, done, hand_off, in_hand, is_choice
from apps.customer_service.talk import PUT_ASIDE, Talk, Task, from_data, to_data
from core.errors import BadArguments, StepLimit, ToolFailed, ToolRefused, TouchstoneError, code_of
from core.tools import Tools
from core.tools.definition import Permission

_LIKELY_WITH_VALUE = 0.25  # probability of a wish that is enough when the message names the account it needs
_WISH = 0.9  # probability from which a message that fills a slot of the task in hand is a wish of its own all the same
RETRIES = 2  # times a slot is asked for in vain before a person takes over
_BARE = re.compile(r"[\s,，。.!！:：#]|订单号?|order|number|no|是|is|my|the|it'?s", re.IGNORECASE)


class Steps:
    """The nodes of the graph, for one policy and its tools."""

    def __init__(self, policy: Policy, tools: Tools, clock: Callable[[], float]) -> None:
        self.policy = policy
        self.tools = tools
        self.clock = clock

    # --- nodes --------------------------------------------------------------------------------

    def decide(self, state: State) -> State:
        talk, heard = from_data(state.get("talk")).within(self.policy.intents), Heard(**state["turn"]["heard"])
        was_angry, talk = talk.anger, replace(talk, anger=heard.anger)
        pressed = state["turn"]["pressed"]
        if state["turn"].get("goes_on") and talk.task:  # the second wish of a message
            return {"talk": to_data(replace(talk, task=replace(talk.task, queued=False))), "next": "account"}
        if heard.wants_person:
            return hand_off(talk, "asked")
        if pressed and state["turn"]["acts"]:
            return self._pressed(talk, heard, str(pressed[0]), bool(pressed[1]))
        rule = self._meant(heard)
        if rule and rule.do == "hand_off" and not self._is_reply(talk, heard):
            said = in_language(rule.say, heard.language)
            return hand_off(talk, "asked" if rule.asked else "rule", rule.name, text=said)
        if self.policy.frustration and heard.frustrated(was_angry):
            return hand_off(talk, "frustration")
        if not state["turn"]["acts"]:
            return done(replace(talk, task=None, offer=None), Reply("answer", question=heard.text))
        if heard.command == "repeat" and talk.last:
            return done(talk, Reply("say", talk.last["text"], talk.last.get("card")))
        if (called := state["turn"].get("called")) and (begun := self._called(talk, heard, called)):
            return begun
        if talk.offer:
            return self._offered(talk, heard, rule)
        if talk.task:
            return self._with_task(talk, talk.task, heard, rule)
        return self._fresh(talk, heard, rule)

    def _fresh(self, talk: Talk, heard: Heard, rule: IntentRule | None) -> State:
        """Nothing is in hand: begin what is wished, ask when in doubt, else ask the documents."""
        if heard.command in ("yes", "no", "cancel"):
            return done(talk, Reply("say", replies.say("nothing_open", heard.language)))
        rule = rule or self._of_its_value(heard)
        if rule and rule.do == "tool":
            return self._begin(talk, rule, heard)
        if rule and rule.do == "clarify":
            text, card = replies.clarification(self.policy, rule, heard.language)
            return done(replace(talk, offer=("", heard.text)), Reply("say", text, card))
        likely = self.policy.intents.get(heard.intent or "")
        if (
            rule is None
            and likely is not None
            and likely.name in self.policy.unsure
            and heard.in_scope
            and heard.probability >= self.policy.likely
            and not is_question(heard.text)
        ):
            text, card = replies.offer(likely, heard.language)
            return done(replace(talk, offer=(likely.name, heard.text)), Reply("say", text, card))
        return done(talk, Reply("answer", question=heard.text))

    def _of_its_value(self, heard: Heard) -> IntentRule | None:
        """What a message is about that names an order, say: the likeliest wish that needs one.

        A question is only that where such a wish is the likeliest of all: "where is PW26110003?".
        """
        for slot, intent in self.policy.bare.items():
            value = self.find(slot, heard)
            bare = not _BARE.sub("", heard.text.upper().replace(str(value), ""))
            if value is None:
                continue
            needing = [
                (heard.probabilities.get(name, 0.0), name)
                for name, rule in self.policy.intents.items()
                if any(need.slot == slot and not need.optional for need in rule.needs)
            ]
            best, name = max(needing, default=(0.0, intent))
            if not bare and is_question(heard.text) and not (name == heard.intent and best >= self.policy.likely):
                continue
            return self.policy.intents[name if best >= _LIKELY_WITH_VALUE and not bare else intent]
        return None

    def _called(self, talk: Talk, heard: Heard, called: Sequence[Mapping[str, Any]]) -> State | None:
        """The tasks that a model's calls stand for; ``None`` when they say nothing new.

        Of one call, what rules find counts before what the model read. Of two, the model says which value is whose.
        """
        talk, tasks = replace(talk, offer=None), []
        for call in called:
            rule = self.policy.intents[call["intent"]]
            mine = talk.task if talk.task and talk.task.intent == rule.name else None
            task = self._updated(talk, rule, mine, heard, free=False)[0] if mine else self._task(talk, rule, heard)
            ruled = {name: value for name, value in task.slots.items() if name not in task.by_model}
            slots = (
                {**task.slots, **call["slots"]}
                if len(called) > 1 and not mine
                else {**task.slots, **call["slots"], **ruled}
            )
            read = tuple(name for name in task.by_model if name not in call["slots"])
            told = replace(task, slots=slots, hints={**task.hints, **call["hints"]}, by_model=read)
            if mine and (told.slots, told.hints) == (mine.slots, mine.hints):
                return None
            tasks.append(replace(told, card="", tries=0) if mine else told)
        first, *rest = tasks
        talk = talk if talk.task and talk.task.intent == first.intent else talk.put_aside()
        waiting = (*talk.aside, *(replace(task, queued=True) for task in reversed(rest)))[-PUT_ASIDE:]
        return {"talk": to_data(replace(talk, task=first, aside=waiting)), "next": "account"}

    def _begin(self, talk: Talk, rule: IntentRule, heard: Heard) -> State:
        return {"talk": to_data(replace(talk, task=self._task(talk, rule, heard), offer=None)), "next": "account"}

    def _task(self, talk: Talk, rule: IntentRule, heard: Heard) -> Task:
        """A wish with what rules find of it in the message."""
        task = Task(rule.name, said=heard.text, meant=heard.meant)
        for need in rule.needs:
            value = self.find(need.slot, heard)
            if value is None and not need.options and (value := self.read(need.slot, heard)) is not None:
                task = task.with_read(need.argument, value)
                continue
            if value is None and need.slot == rule.identity and talk.is_proved(talk.known.get(need.slot), self.clock()):
                value = talk.known[need.slot]
            if value is not None and not need.options:
                task = task.with_slots(**{need.argument: value})
        return task

    def _offered(self, talk: Talk, heard: Heard, rule: IntentRule | None) -> State:
        """The reply to "do you want to …?" or "which of these?"; anything else is a message of its own."""
        intent, text = talk.offer or ("", "")
        talk = replace(talk, offer=None)
        labels = (replies.say("yes", heard.language), replies.say("no_question", heard.language))
        if intent and (heard.command == "yes" or heard.text == labels[0]):
            return self._begin(talk, self.policy.intents[intent], replace(heard, text=text))
        if intent and (heard.command in ("no", "cancel") or heard.text == labels[1]):
            return done(talk, Reply("answer", question=text))
        for named in self.policy.intents.values():
            if heard.text in named.title.values() and named.do == "tool":
                return self._begin(talk, named, heard)
        return self._with_task(talk, talk.task, heard, rule) if talk.task else self._fresh(talk, heard, rule)

    def _with_task(self, talk: Talk, task: Task, heard: Heard, rule: IntentRule | None) -> State:
        mine = self.policy.intents[task.intent]
        if heard.command == "cancel" or (heard.command == "no" and task.card):
            return self._dropped(talk, mine, heard)
        if heard.command == "yes" and task.card:
            return {"talk": to_data(talk), "next": "act"}
        if heard.asks_only():
            return done(talk, Reply("answer", question=heard.text))
        other = rule is not None and rule.do == "tool" and rule.name != task.intent
        changed, fresh = self._updated(talk, mine, task, heard, free=not other)
        if fresh and (is_choice(talk, heard) or not (other and heard.probability >= _WISH)):
            return {"talk": to_data(replace(talk, task=changed)), "next": "account"}
        if other and rule is not None:
            return self._begin(talk.put_aside(), rule, heard)
        if heard.command == "correct" and task.card:
            text = replies.say("what_changes", heard.language)
            return done(replace(talk, task=replace(task, card="")), Reply("say", text))
        if is_question(heard.text) or not (task.asked or task.card):
            return done(talk, Reply("answer", question=heard.text))
        if task.tries + 1 >= RETRIES:
            return hand_off(talk, "misses")
        talk = replace(talk, task=replace(task, tries=task.tries + 1))
        text, card = self.waiting_for(talk, heard.language)
        return done(talk, Reply("say", replies.say("not_understood", heard.language, ask=text), card))

    def of_a_piece(self, talk: Talk, heard: Heard) -> bool:
        """Whether a message is dealt with as a whole, whatever it asks: a command, a person is called for, a free text."""
        rule = self._meant(heard)
        asked = next((n.slot for n in self._needs(talk.task) if talk.task and n.argument == talk.task.asked), "")
        return (
            heard.command in ("yes", "no", "cancel", "repeat")
            or heard.wants_person
            or (self.policy.frustration and heard.frustrated(talk.anger))
            or (rule is not None and rule.do == "hand_off")
            or (asked != "" and self.policy.slots[asked].kind == "text")
        )

    def begins_with_a_text(self, heard: Heard) -> bool:
        """Whether a message surely begins a wish that it gives a free text for, such as a complaint: questions in it are its."""
        rule = self._meant(heard)
        texts = [need for need in self._needs(rule) if self.policy.slots[need.slot].kind == "text"]
        return any(self.find(need.slot, heard) is not None for need in texts)

    def is_wish(self, heard: Heard) -> bool:
        """Whether a part of a message, which is no question, surely wants something done."""
        rule = self._meant(heard)
        return rule is not None and rule.do == "tool" and heard.probability >= _WISH and is_request(heard.text)

    def _needs(self, of: Task | IntentRule | None) -> tuple[Need, ...]:
        rule = self.policy.intents[of.intent] if isinstance(of, Task) else of
        return rule.needs if rule else ()

    def account(self, state: State) -> State:
        """Find out which account the task is about."""
        talk, heard = from_data(state["talk"]), Heard(**state["turn"]["heard"])
        task, rule = in_hand(talk), self.policy.intents[in_hand(talk).intent]
        need = next((n for n in rule.needs if n.slot == rule.identity), None)
        if need is None or (need.argument not in task.slots and need.optional):
            return {"next": "details"}
        if need.argument not in task.slots:
            kept = Facts(self.tools.workspace).of(caller(state), need.slot)
            return self._asked(talk, task, rule, need, heard, [{"value": v, "zh": v, "en": v} for v in kept])
        return {"next": "prove"}

    def prove(self, state: State) -> State:
        """Nothing of an account is told before its customer has proved who they are."""
        talk, heard = from_data(state["talk"]), Heard(**state["turn"]["heard"])
        task, rule, identity = in_hand(talk), self.policy.intents[in_hand(talk).intent], self.policy.identity
        need = next(n for n in rule.needs if n.slot == rule.identity)
        account = task.slots[need.argument]
        if identity is None or talk.is_proved(account, self.clock()):
            return {"next": "details"}
        proof = find(self.policy.slots[identity.proof], heard.text, today=self.today(), asked=task.asked == "proof")
        if proof is None:
            text = in_language(self.policy.slots[identity.proof].ask, heard.language)
            return done(replace(talk, task=replace(task, asked="proof")), Reply("say", text))
        tool = self.tools[identity.tool]
        named = next(a.name for a in tool.arguments if a.name != "proof")
        try:
            found = self._turn(state).call(identity.tool, {named: account, "proof": proof}).value
        except ToolRefused as refused:
            wrong = talk.wrong_proofs + 1
            talk = replace(talk, wrong_proofs=wrong, task=replace(task, asked="proof", tries=0))
            if wrong >= identity.tries:
                talk = replace(talk, wrong_proofs=0)
                return hand_off(talk, "rule", task.intent, code_of(refused), text=refused.text(heard.language))
            return done(talk, Reply("say", refused.text(heard.language)))
        except TouchstoneError as broken:
            return self._broken(talk, broken)
        now = self.clock()
        proved = {**talk.proved, **dict.fromkeys(map(str, found.get("accounts", [account])), now), str(account): now}
        talk = replace(talk, proved=proved, wrong_proofs=0, task=replace(task, asked="", tries=0))
        Facts(self.tools.workspace).note(caller(state), need.slot, str(account))
        return {"talk": to_data(replace(talk, known={**talk.known, need.slot: account})), "next": "details"}

    def details(self, state: State) -> State:
        """Collect what the tool still needs; what is the only possibility is not asked for."""
        talk, heard = from_data(state["talk"]), Heard(**state["turn"]["heard"])
        task, rule = in_hand(talk), self.policy.intents[in_hand(talk).intent]
        for need in rule.needs:
            if need.optional or (need.argument in task.slots and not need.options):
                continue
            choices: Sequence[Mapping[str, str]] = ()
            if need.options:
                if need.argument in task.slots:
                    continue
                try:
                    choices = self._choices(state, need, task)
                except ToolRefused as refused:
                    return self._refused(talk, refused, heard)
                except TouchstoneError as broken:
                    return self._broken(talk, broken)
                if not choices and rule.none:
                    return self._nothing(talk, task, rule, heard)
                value = self.find(need.slot, heard, asked=task.asked == need.argument, choices=choices)
                if value is None and task.said:
                    value = self.find(need.slot, replace(heard, text=task.said), choices=choices)
                if value is None and task.hints.get(need.argument) in [choice["value"] for choice in choices]:
                    value = task.hints[need.argument]
                if value is None:  # what was named in vain is not taken for what is left: the tool says what is wrong
                    value = self.find(need.slot, heard) or self.find(need.slot, replace(heard, text=task.said))
                if value is None and len(choices) == 1:
                    value = choices[0]["value"]
                if value is not None:
                    task = task.with_slots(**{need.argument: value})
                    continue
                among = {choice["value"] for choice in choices}
                value = self.read(need.slot, heard, among) or surely(task.meant.get(need.slot, ()), among)
                if value is not None:
                    task = task.with_read(need.argument, value)
                    continue
            return self._asked(talk, task, rule, need, heard, choices)
        return {"talk": to_data(replace(talk, task=replace(task, asked="", tries=0))), "next": "quote"}

    def quote(self, state: State) -> State:
        """Say what a write would do and ask for a yes; a read needs neither."""
        talk, heard = from_data(state["talk"]), Heard(**state["turn"]["heard"])
        task, rule = in_hand(talk), self.policy.intents[in_hand(talk).intent]
        if self.tools[rule.tool].permission == "read":
            return {"next": "act"}
        values: dict[str, Any] = dict(task.slots)
        if rule.preview:
            wanted = {a.name for a in self.tools[rule.preview].arguments}
            try:
                arguments = {name: value for name, value in task.slots.items() if name in wanted}
                values |= self._turn(state).call(rule.preview, arguments).value
            except ToolRefused as refused:
                return self._refused(talk, refused, heard)
            except BadArguments as wrong:
                return self._wrong(talk, task, rule, wrong, heard)
            except TouchstoneError as broken:
                return self._broken(talk, broken)
        task = replace(task, card=secrets.token_urlsafe(9))
        text, card = replies.confirmation(self.policy, rule, task.card, values, heard.language)
        return done(replace(talk, task=task), Reply("say", text, card))

    def act(self, state: State) -> State:
        """Call the tool. The one node that changes something: its key is the id of the confirmation."""
        talk, heard = from_data(state["talk"]), Heard(**state["turn"]["heard"])
        task, rule = in_hand(talk), self.policy.intents[in_hand(talk).intent]
        need = next((n for n in rule.needs if n.slot == rule.identity), None)
        if need is not None and need.argument in task.slots and not talk.is_proved(task.slots[need.argument], self.clock()):  # fmt: skip
            return {"talk": to_data(replace(talk, task=replace(task, card=""))), "next": "prove"}  # it took too long
        try:
            result = self._turn(state, write=bool(task.card)).call(rule.tool, dict(task.slots), key=task.card or None)
        except ToolRefused as refused:
            return self._refused(talk, refused, heard)
        except BadArguments as wrong:
            return self._wrong(talk, task, rule, wrong, heard)
        except TouchstoneError as broken:
            return self._broken(talk, broken)
        values = {**task.slots, **(result.value if isinstance(result.value, Mapping) else {"value": result.value})}
        text = replies.filled(rule.done, values, heard.language)
        known = {
            n.slot: task.slots[n.argument] for n in rule.needs if n.argument in task.slots and n.slot == rule.identity
        }
        talk = replace(talk.without_task(), known={**talk.known, **known}, misses=0)
        return self._then_back(talk, heard, text, Reply("say", card=values.get("card"), done=rule.tool, values=values))

    # --- parts of nodes -----------------------------------------------------------------------

    def _meant(self, heard: Heard) -> IntentRule | None:
        """The rule of an intent that is sure enough to act on; a question to the documents is none."""
        rule = self.policy.intents.get(heard.intent or "")
        sure = heard.in_scope and heard.probability >= self.policy.sure
        return rule if rule and sure and rule.do != "answer" else None

    def _pressed(self, talk: Talk, heard: Heard, card: str, yes: bool) -> State:
        if talk.task and talk.task.card == card:
            if yes:
                return {"talk": to_data(talk), "next": "act"}
            return self._dropped(talk, self.policy.intents[talk.task.intent], heard)
        return done(talk, Reply("say", replies.say("card_gone", heard.language)))

    def _dropped(self, talk: Talk, rule: IntentRule, heard: Heard) -> State:
        text = replies.say("dropped", heard.language, title=in_language(rule.title, heard.language))
        return self._then_back(talk.without_task(), heard, text)

    def _is_reply(self, talk: Talk, heard: Heard) -> bool:
        """Whether a message is a value that was asked for; a free text is none, it may say anything."""
        if talk.task is None or not talk.task.asked:
            return False
        rule = self.policy.intents[talk.task.intent]
        need = next((n for n in rule.needs if n.argument == talk.task.asked), None)
        if need is None or self.policy.slots[need.slot].kind == "text":
            return False
        found = self.find(need.slot, heard, asked=True, choices=choices_shown(talk))
        return found is not None or self.read(need.slot, heard) is not None

    def _updated(self, talk: Talk, rule: IntentRule, task: Task, heard: Heard, *, free: bool) -> tuple[Task, bool]:
        """The task with what the message says of its slots, and whether it says anything.

        ``free``: whether a text without a mark counts as the value of the free text that was asked for.
        """
        said = False
        if task.asked == "proof":
            identity = self.policy.identity
            slot = self.policy.slots[identity.proof] if identity else None
            said = slot is not None and find(slot, heard.text, today=self.today(), asked=True) is not None
        for need in rule.needs:
            asked = task.asked == need.argument
            kind = self.policy.slots[need.slot].kind
            if kind == "text" and asked and (not free or heard.command in ("no", "correct")):
                asked = False
            listed = bool(need.options or self.policy.slots[need.slot].catalogue)
            shown = choices_shown(talk) if asked and listed else ()
            value = self.find(need.slot, heard, asked=asked, choices=shown)
            if value is None and shown and not need.options:  # neither of those that were asked about
                value = self.find(need.slot, heard)
            by_model = value is None and asked
            if by_model:
                value = self.read(need.slot, heard, {row["value"] for row in shown} if shown else None)
                if value is None and shown and not need.options:
                    value = self.read(need.slot, heard)
            if value is None or value == task.slots.get(need.argument):
                continue
            said = True
            if need.slot == rule.identity:  # another account: what was chosen from the old one goes
                task = replace(task, slots={n.argument: task.slots[n.argument] for n in rule.needs if n.argument in task.slots and not n.options})  # fmt: skip
            if need.options:
                task = replace(
                    task, slots={k: v for k, v in task.slots.items() if k != need.argument}, asked=need.argument
                )
            else:
                task = task.with_read(need.argument, value) if by_model else task.with_slots(**{need.argument: value})
        return replace(task, card="", tries=0) if said else task, said

    def _asked(self, talk: Talk, task: Task, rule: IntentRule, need: Need, heard: Heard, choices: Any = ()) -> State:
        text, card = replies.ask(rule, self.policy.slots[need.slot], heard.language, choices)
        if not choices and (candidates := likeliest(heard.meant.get(need.slot, ()))):
            text, card = replies.which(candidates, heard.language)
        return done(replace(talk, task=replace(task, asked=need.argument)), Reply("say", text, card))

    def waiting_for(self, talk: Talk, language: Any) -> tuple[str, replies.Card | None]:
        """What the task in hand waits for, said again."""
        task = in_hand(talk)
        rule = self.policy.intents[task.intent]
        if task.card and (card := talk.last.get("card")) and card.get("id") == task.card:
            return replies.say("confirm", language, text=card["text"][language]), card
        if task.asked == "proof" and self.policy.identity:
            return in_language(self.policy.slots[self.policy.identity.proof].ask, language), None
        need = next((n for n in rule.needs if n.argument == task.asked), None)
        if need is None:
            return replies.say("go_on", language, title=in_language(rule.title, language)), None
        text, card = replies.ask(rule, self.policy.slots[need.slot], language)
        kept = talk.last.get("card")
        return text, kept if card is None and kept and kept.get("kind") == "choices" else card

    def _refused(self, talk: Talk, refused: ToolRefused, heard: Heard) -> State:
        """The tool's own rules forbid it: say why, and the task is done."""
        return self._then_back(talk.without_task(), heard, refused.text(heard.language))

    def _nothing(self, talk: Talk, task: Task, rule: IntentRule, heard: Heard) -> State:
        """There is nothing to choose from: say so, and offer what may be wanted instead."""
        text, talk = replies.filled(rule.none, task.slots, heard.language), talk.without_task()
        if not rule.instead or talk.task:
            return self._then_back(talk, heard, text)
        more, card = replies.offer(self.policy.intents[rule.instead], heard.language)
        said = task.said or heard.text
        return done(replace(talk, offer=(rule.instead, said)), Reply("say", f"{text}\n\n{more}", card))

    def _then_back(self, talk: Talk, heard: Heard, text: str, reply: Reply | None = None) -> State:
        """Say ``text``, and what a task that comes back waits for; ``reply`` is the rest of what is told.

        One that waited for a proof which has been given since goes on at once.
        """
        reply = reply or Reply("say")
        card = reply.card
        if talk.task and talk.task.asked == "proof":
            rule = self.policy.intents[talk.task.intent]
            account = next((talk.task.slots.get(n.argument) for n in rule.needs if n.slot == rule.identity), None)
            if talk.is_proved(account, self.clock()):
                talk = replace(talk, task=replace(talk.task, queued=True, asked=""))
        if talk.task and not talk.task.queued:
            more, waiting = self.waiting_for(talk, heard.language)
            title = in_language(self.policy.intents[talk.task.intent].title, heard.language)
            text = f"{text}\n\n{replies.say('back_to', heard.language, title=title, ask=more)}"
            card = card or waiting
        return done(talk, replace(reply, text=text, card=card))

    def _wrong(self, talk: Talk, task: Task, rule: IntentRule, wrong: BadArguments, heard: Heard) -> State:
        """A slot has a value the tool does not take: say so and ask for it again."""
        name = str(wrong.params.get("name", ""))
        need = next((n for n in rule.needs if n.argument == name), None)
        if need is None:
            return self._broken(talk, wrong)
        kept = {argument: value for argument, value in task.slots.items() if argument != name}
        text, card = replies.ask(rule, self.policy.slots[need.slot], heard.language)
        text = f"{wrong.text(heard.language)} {text}"
        return done(replace(talk, task=replace(task, slots=kept, asked=name, card="")), Reply("say", text, card))

    def _broken(self, talk: Talk, broken: TouchstoneError) -> State:
        """A tool failed: a person takes over. A mistake of ours must not look like one of the customer's."""
        if not isinstance(broken, ToolFailed | StepLimit | BadArguments):
            raise broken
        return hand_off(talk, "tool_failure", in_hand(talk).intent, code_of(broken))

    def _choices(self, state: State, need: Need, task: Task) -> list[Mapping[str, str]]:
        tool = self.tools[need.options or ""]
        wanted = {argument.name for argument in tool.arguments}
        return self._turn(state).call(tool.name, {k: v for k, v in task.slots.items() if k in wanted}).value

    def find(self, slot: str, heard: Heard, *, asked: bool = False, choices: Any = ()) -> Value | None:
        """What a message says of a slot of the policy, by rules."""
        return find(self.policy.slots[slot], heard.text, today=self.today(), asked=asked, choices=choices)

    def read(self, slot: str, heard: Heard, among: Container[str] | None = None) -> Value | None:
        """What a message means of a slot's catalogue; ``among`` are the values that are possible, any by default."""
        return surely(heard.meant.get(slot, ()), among)

    def _turn(self, state: State, *, write: bool = False) -> Any:
        allowed: frozenset[Permission] = frozenset({"read", "write"} if write else {"read"})
        return self.tools.turn(caller(state), conversation_id=state["turn"]["conversation"], allowed=allowed)

    def today(self) -> Any:
        return datetime.fromtimestamp(self.clock(), ZoneInfo(self.policy.hours.zone)).date()
