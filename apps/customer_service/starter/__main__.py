"""Talk with this shop's assistant in the terminal.

python -m apps.customer_service.starter                       # a conversation; an empty line ends it
python -m apps.customer_service.starter "几天内可以退货？"      # one question
"""

from __future__ import annotations

import sys

from apps.customer_service import CustomerService
from apps.customer_service.starter import INTENTS, POLICY, TOOLS
from core.types import LOCAL


def main(words: list[str]) -> None:
    shop = CustomerService.open(policy=POLICY, tools=TOOLS, intents=INTENTS)
    try:
        conversation = shop.conversations.create(LOCAL)
        if words:
            sys.stdout.write(f"{shop.ask(' '.join(words), conversation_id=conversation.id).text}\n")
            return
        while line := input("> ").strip():
            sys.stdout.write(f"{shop.ask(line, conversation_id=conversation.id).text}\n")
    finally:
        shop.close()


if __name__ == "__main__":
    main(sys.argv[1:])
