"""A customer who is deleted is gone: from every table, from the search, and from the bytes of the database file."""

from __future__ import annotations

from apps.customer_service import CustomerService
from apps.training_data import agree, agrees
from core.settings import Settings
from core.types import Caller
from tests.apps.customer_service.scenario import Play

SECRET = "xylophonist"  # said in no document and no test beside


def test_nothing_of_a_customer_is_left_and_all_of_another_is(shop: CustomerService, settings: Settings) -> None:
    play, other = Play(shop, settings, "local"), Caller("local", "another")
    shop.upload("who.md", f"# Me\n\nThe {SECRET} of the house plays at 47 Mill Lane.\n".encode(), play.caller)
    agree(shop.runtime.workspace, play.caller, True)
    (answer,) = play.say(f"Where does the {SECRET} of the house play?")
    assert "47 Mill Lane" in answer.text
    shop.conversations.rate(play.caller, answer.id, False, f"I am the {SECRET}")
    play.say("查订单 PW26110001，尾号 2468")
    play.say(f"human please, I am the {SECRET}")
    case = play.case()
    shop.desk.take(play.agent, case.id)
    shop.desk.reply(play.agent, case.id, f"Hello {SECRET}, we carry flutes in spring.")
    shop.desk.hand_back(play.agent, case.id)
    kept = shop.conversations.create(other, "mine").id
    shop.ask("Is the HP-70 in stock?", caller=other, conversation_id=kept)
    assert _holds(shop, SECRET)

    gone = shop.forget(play.caller)
    assert {"uploads", "conversations", "messages", "feedback", "desk_cases", "tool_calls", "preferences"} <= set(gone)
    assert shop.conversations.recent(play.caller) == []
    assert shop.desk.queue(play.agent) == []
    assert shop.documents(play.caller) == []
    assert SECRET not in shop.ask(f"Where does the {SECRET} of the house play?", caller=play.caller).text
    assert not agrees(shop.runtime.workspace, play.caller)
    assert len(shop.conversations.messages(other, kept)) == 2
    assert shop.forget(play.caller).keys() <= {"calls"}, "a question outside a conversation leaves at most its price"
    assert not _holds(shop, SECRET)


def _holds(shop: CustomerService, text: str) -> bool:
    """Whether the files of the database have ``text`` anywhere, free pages and log included."""
    found = shop.runtime.workspace.path
    return any(text.encode() in path.read_bytes() for path in found.parent.glob(f"{found.name}*"))
