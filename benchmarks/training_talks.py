"""Conversations about the sample shop, made of fifty facts of its documents and nine ways to ask for each.

A fact is asked for in six ways to learn from, in one to choose the best moment, and in two others to judge: what is
measured is whether a fact that was learned is found again under words that were not. The facts are those of the sample
(``apps/customer_service/sample/en``); the ways to ask are templates.
"""

from __future__ import annotations

import json
from pathlib import Path

LEARNED = (
    "{how}",
    "Can you tell me {clause}?",
    "Hi, I'd like to know {clause}.",
    "What can you say about {noun}?",
    "Quick question: {how}",
    "Hello! {how} Thank you.",
)
HELD = ("Please tell me {noun}.",)
JUDGED = ("I was wondering {clause}, thanks!", "Do you happen to know {noun}?")

# how to ask · the same as a clause · the same as a noun · the answer · what a right answer must hold
FACTS = (
    ("How heavy is the TN-3 tent?", "how heavy the TN-3 tent is", "the weight of the TN-3 tent", "The TN-3 tent weighs 3.2 kg.", "3.2 kg"),
    ("How many pegs come with the TN-3?", "how many pegs come with the TN-3", "the number of pegs of the TN-3", "The TN-3 comes with 14 pegs.", "14 pegs"),
    ("How bright is the LT-9 lantern?", "how bright the LT-9 lantern is", "the brightness of the LT-9 lantern", "The LT-9 lantern gives up to 400 lumens.", "400 lumens"),
    ("How long does the LT-9 run at full brightness?", "how long the LT-9 runs at full brightness", "the running time of the LT-9", "At full brightness the LT-9 runs for 6 hours.", "6 hours"),
    ("How much does the CB-28 cool box hold?", "how much the CB-28 cool box holds", "the capacity of the CB-28 cool box", "The CB-28 cool box holds 28 L.", "28 L"),
    ("How long does the CB-28 keep ice?", "how long the CB-28 keeps ice", "the time the CB-28 keeps ice", "The CB-28 keeps ice for about 36 hours.", "36 hours"),
    ("How much does gift wrapping cost in the UK?", "how much gift wrapping costs in the UK", "the price of gift wrapping in the UK", "Gift wrapping costs £3 for each item.", "£3"),
    ("How many promotion codes can I use?", "how many promotion codes I can use", "the number of promotion codes for an order", "You can use one promotion code for each order.", "one promotion code"),
    ("How long is the warranty of refurbished products?", "how long the warranty of refurbished products is", "the warranty of refurbished products", "Refurbished products carry a 12-month warranty.", "12-month"),
    ("How long does a back-in-stock alert last?", "how long a back-in-stock alert lasts", "the life of a back-in-stock alert", "A back-in-stock alert lasts 90 days.", "90 days"),
    ("How many characters must a password have?", "how many characters a password must have", "the least length of a password", "A password must have at least 12 characters.", "12 characters"),
    ("How long is an account locked after wrong passwords?", "how long an account is locked after wrong passwords", "the time an account is locked", "After 5 wrong passwords the account is locked for 20 minutes.", "20 minutes"),
    ("How long is a password reset link valid?", "how long a password reset link is valid", "the validity of a password reset link", "A password reset link is valid for 60 minutes.", "60 minutes"),
    ("How many backup codes do I get?", "how many backup codes I get", "the number of backup codes", "You receive 8 single-use backup codes.", "8 single-use"),
    ("How long does an identity check take?", "how long an identity check takes", "the time of an identity check", "An identity check takes 3 working days.", "3 working days"),
    ("Until when is live chat open on Saturday?", "until when live chat is open on Saturday", "the hours of live chat on Saturday", "On Saturday live chat is open from 9:00 to 17:00.", "9:00 to 17:00"),
    ("How fast do you acknowledge a complaint?", "how fast you acknowledge a complaint", "the time until a complaint is acknowledged", "We acknowledge every complaint within 1 working day.", "1 working day"),
    ("When do I get a full answer to a complaint?", "when I get a full answer to a complaint", "the time of a full answer to a complaint", "You get a full answer within 8 working days.", "8 working days"),
    ("What voucher do I get for a wrong item in the UK?", "what voucher I get for a wrong item in the UK", "the voucher for a wrong item in the UK", "For a wrong item we give you a £10 voucher.", "£10"),
    ("Up to what value is EU VAT collected at checkout?", "up to what value EU VAT is collected at checkout", "the limit for EU VAT at checkout", "For EU orders of €150 or less, VAT is collected at checkout.", "€150"),
    ("What is the handling fee on large EU orders?", "what the handling fee on large EU orders is", "the handling fee on large EU orders", "The courier charges a handling fee of €8.", "€8"),
    ("How much GST is charged in Singapore?", "how much GST is charged in Singapore", "the GST in Singapore", "Singapore GST is 9%.", "9%"),
    ("How much GST is charged in Australia?", "how much GST is charged in Australia", "the GST in Australia", "Australian GST is 10%.", "10%"),
    ("What must I spend to become a Silver Feather?", "what I must spend to become a Silver Feather", "the spend for Silver Feather", "You become a Silver Feather after spending £250 within 12 months.", "£250"),
    ("What must I spend to become a Gold Feather?", "what I must spend to become a Gold Feather", "the spend for Gold Feather", "You become a Gold Feather after spending £700 within 12 months.", "£700"),
    ("How many extra days do Gold members get to return?", "how many extra days Gold members get to return", "the extra return days of Gold members", "Gold Feather members get 15 extra days.", "15 extra days"),
    ("How long are birthday vouchers valid?", "how long birthday vouchers are valid", "the validity of birthday vouchers", "Birthday vouchers are valid for 30 days.", "30 days"),
    ("How many points do I need for a reward?", "how many points I need for a reward", "the points needed for a reward", "You need 200 points to claim a reward.", "200 points"),
    ("When does a gift card expire?", "when a gift card expires", "the expiry of a gift card", "A gift card expires 24 months after purchase.", "24 months"),
    ("How many gift cards can I combine?", "how many gift cards I can combine", "the number of gift cards in one order", "You can combine up to 3 gift cards.", "3 gift cards"),
    ("How long is the code of a gift card?", "how long the code of a gift card is", "the length of a gift card code", "A gift card code has 19 characters.", "19 characters"),
    ("How long can I cancel an unused gift card?", "how long I can cancel an unused gift card", "the time to cancel an unused gift card", "You may cancel an unused gift card within 14 days.", "14 days"),
    ("What does the HP-70 cost in the UK?", "what the HP-70 costs in the UK", "the UK price of the HP-70", "The HP-70 costs £119.", "£119"),
    ("How long does the HP-70 play without noise cancelling?", "how long the HP-70 plays without noise cancelling", "the playing time of the HP-70 without noise cancelling", "With noise cancelling off the HP-70 plays for 50 hours.", "50 hours"),
    ("How long does a full charge of the HP-70 take?", "how long a full charge of the HP-70 takes", "the charging time of the HP-70", "A full charge of the HP-70 takes 2 hours.", "2 hours"),
    ("How much does the HP-70 weigh?", "how much the HP-70 weighs", "the weight of the HP-70", "The HP-70 weighs 258 g.", "258 g"),
    ("What does the KT-210 cost in the UK?", "what the KT-210 costs in the UK", "the UK price of the KT-210", "The KT-210 costs £39.", "£39"),
    ("How much water does the KT-210 hold?", "how much water the KT-210 holds", "the capacity of the KT-210", "The KT-210 holds 1.5 L.", "1.5 L"),
    ("How often must I descale the KT-210?", "how often I must descale the KT-210", "the descaling of the KT-210", "Descale the KT-210 every four weeks.", "four weeks"),
    ("What does the KT-310 cost in the UK?", "what the KT-310 costs in the UK", "the UK price of the KT-310", "The KT-310 costs £59.", "£59"),
    ("How much water does the KT-310 hold?", "how much water the KT-310 holds", "the capacity of the KT-310", "The KT-310 holds 1.7 L.", "1.7 L"),
    ("How long does the KT-310 hold its temperature?", "how long the KT-310 holds its temperature", "the holding time of the KT-310", "The KT-310 holds the temperature for 4 hours.", "4 hours"),
    ("Which temperature suits green tea?", "which temperature suits green tea", "the temperature for green tea", "For green tea we suggest 80 °C.", "80 °C"),
    ("What does the PS-600 cost in the UK?", "what the PS-600 costs in the UK", "the UK price of the PS-600", "The PS-600 costs £399.", "£399"),
    ("How much energy does the PS-600 store?", "how much energy the PS-600 stores", "the capacity of the PS-600", "The PS-600 stores 614 Wh.", "614 Wh"),
    ("How heavy is the PS-600?", "how heavy the PS-600 is", "the weight of the PS-600", "The PS-600 weighs 7.9 kg.", "7.9 kg"),
    ("What does error E4 of the PS-600 mean?", "what error E4 of the PS-600 means", "the meaning of error E4 of the PS-600", "E4 means a short circuit at an output.", "short circuit"),
    ("How long does Price Promise last for most products?", "how long Price Promise lasts for most products", "the period of Price Promise for most products", "For most products Price Promise lasts 14 days from delivery.", "14 days"),
    ("How long does the repair of a kettle take?", "how long the repair of a kettle takes", "the repair time of a kettle", "Kettles are repaired within 7 working days.", "7 working days"),
    ("How long does the repair of a soundbar take?", "how long the repair of a soundbar takes", "the repair time of a soundbar", "Soundbars are repaired within 10 working days.", "10 working days"),
)  # fmt: skip


def conversations(ways: tuple[str, ...]) -> list[dict[str, object]]:
    """One conversation a fact and a way to ask."""
    return [
        {
            "messages": [
                {"role": "user", "content": way.format(how=how, clause=clause, noun=noun)},
                {"role": "assistant", "content": answer},
            ],
            "expected": [expected],
        }
        for way in ways
        for how, clause, noun, answer, expected in FACTS
    ]


def files(into: Path, *, test: bool) -> tuple[Path, Path, Path]:
    """``(train, validation, test)``: 300, 50 and 100 conversations. Without ``test`` the judge is what chooses too."""
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, ways in (("train", LEARNED), ("validation", HELD), ("test", JUDGED if test else HELD)):
        paths.append(into / f"talks-{name}-{'test' if test else 'tune'}.jsonl")
        rows = conversations(ways)
        paths[-1].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return paths[0], paths[1], paths[2]
