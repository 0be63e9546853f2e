"""What a message says beside its words: a command, a mood, a value, an intent with its probability.

Commands and moods are rules, intents come from a trained head (:mod:`apps.customer_service.intents`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from apps.customer_service.slots import folded
from core.types import Language

Command = Literal["yes", "no", "cancel", "repeat", "human", "correct"]

_HUMAN = re.compile(
    r"转人工|(找|接|转|要|换|叫|喊)一?(个|位)?(真人|人工|活人|客服人员|人来)|人工(客服|服务|坐席)?[!！。.]*$|真人客服|有没有(真人|人工)|(别让?|不要|不想(要|跟|和))机器人(?=回|答|聊|说|客服|$)"
    r"|\b(talk|speak|chat|connect me|put me through|transfer me|get me)\b.{0,20}\b(person|human|someone|agent|representative|operator|manager|somebody)\b"
    r"|\b(real|actual|live) (person|human|agent)\b|\bhuman( agent)?,? please\b|^human[.!]*$|^(agent|representative|operator)[.!]*$|\bi (want|need) (a )?(human|person|agent)\b"
    r"|\b(no|not|do(n'?t| not) want)( to)?( (talk|chat))?( (to|with))?( (a|the|this|any|more))? (ro)?bots?\b(?! vac)",
    re.IGNORECASE,
)
# A call counts as a request alone: one may call a customer by a name, and couriers call or do not.
_BEGINS = r"(?:^|[.,!?;:] ?)(?:(?:ok|so|then|and|kindly|hi|hello) )*"
_REQUESTS = r"\b(?:please|pls|just|(?:(?:can|could|will|would) |(?:want|need|like|have|get|ask|tell) )(?:you|someone|somebody|anyone|them)(?: to| please| just| maybe)?) "
_NO_NAME = r"(?=$|[ ]*[.,!?;:)]| (?:please|pls|thanks?|now|today|tonight|tomorrow|this|next|later|again|first|instead|asap|soon|as soon|right|at|on|in|by|before|after|between|when|once|if|about|regarding|with|to|and|or)\b)"
_CALL = re.compile(
    rf"(?:{_BEGINS}|{_REQUESTS})(?:(?:(?:call|phone|ring) me|give me a (?:call|ring))(?: back)?|call back){_NO_NAME}"
    r"|(?<!快递)(?<!快递员)(?<!骑手)(?<!谁)(?<!没)(?<!没有)(?<!别)(?<!不要)(?<!不用)给我(?:回|打)一?个?电话(?![说问的])",
    re.IGNORECASE,
)
_YES = re.compile(
    r"(是的?|对的?|好的?|行|可以|确认|没错|同意|没问题|嗯+|好啊|确定|就这样|办吧|请办理|确认办理|yes|yep|yeah|yup|ok|okay|sure|confirm(ed)?|correct|right|go ahead|please do|do it|that'?s right|sounds good|fine)"
    r"([,，。.!！ ]*(谢谢|please|thanks?( you)?|的|吧|啊|确认|办吧|go ahead|do it|confirm|yes))*",
    re.IGNORECASE,
)
_NOT = (
    r"(不|不要了?|不用了?|不是|不行|不对|否|先不|先不要|暂时不|等等|等一下|慢着|不确认|no|nope|nah|not now|wait|hold on|not yet"
    r"|(先|暂时|请)?(别|不要|不用)(取消|退|改|换|办|办理|提交|确认|弄|动)(货|单|订单)?"
    r"|(please )?(don'?t|do not)( (cancel|return|change|do|submit|confirm|send)( (it|that|this|the order|anything))?( yet| now)?)?)"
)
_NO = re.compile(f"{_NOT}([,，。.!！ ]*({_NOT}|谢谢|please|thanks?( you)?|了|吧|用了|要了))*", re.IGNORECASE)
_CANCEL = re.compile(
    r"(那?还是)?(算了|不办了|不弄了|不退了|不改了|不查了|不取消了|不投诉了|别弄了|取消操作|放弃|取消吧?)(吧|了)?([,，。 ]*谢谢)?"
    r"|(ok,? )?(never ?mind|forget (it|about it)|cancel( that| this)?|stop( it| that)?|leave it|skip it|drop it|i changed my mind)([,. ]*(thanks?|please))?",
    re.IGNORECASE,
)
_REPEAT = re.compile(
    r"(请|麻烦)?(你)?(再说一(遍|次)|重复一(遍|下)|再讲一遍|说什么|刚才说什么|没看(懂|清|明白)|没听清)(了?吗|了|吧)?"
    r"|(please |can you |could you )?(repeat( that)?|say (that|it) again|come again|pardon( me)?|what did you (say|ask)|i did ?n'?t (get|catch|understand) that)( please)?",
    re.IGNORECASE,
)
_CORRECT = re.compile(
    r"^(不对|不是|错了|说错了|写错了|搞错了|我是说|更正|应该是|其实是?|no[,，. ]+|wrong|sorry[,，. ]+|i mean|i meant|actually|correction|it'?s not|not the)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"[?？]\s*$|吗|请问|告诉我|介绍一下|\b(tell me|explain)\b|怎么|多久|多少|几天|为什么|什么时候|哪[里些个]|能不能|可不可以"
    r"|^(how|what|when|where|which|who|why|can|could|do|does|is|are|will|would|may)\b",
    re.IGNORECASE,
)
_REQUESTS_IT = re.compile(
    r"(?<!不)(?:我|我们)(?:还|也|现在|就)?(?:想|要|需要|希望)|帮(?:我|忙|个忙)|麻烦|^请(?!问)|给我|^(?:取消|查|退|改|换|申请|投诉|列出|看看)(?!了)"
    r"|\b(?:i|we)(?:(?: (?:would|also|really|still))* (?:want|need|wish|like) to|['’]d (?:also )?like (?:to|you))\b|\bplease\b"
    r"|^(?:also |and |then )*(?:cancel|track|return|change|check|list|show|look up|send|open|file|find|give|let me|help me)\b",
    re.IGNORECASE,
)
_END = " .,!?。，！？~～…"
_ANGRY = (
    (
        re.compile(
            r"垃圾|骗子|坑人|气死|烦死|无语|什么破|太差|差劲|受够|忍不了|废物|滚|傻|他妈|妈的|投诉你们|曝光|打?12315|消协|起诉|没用的?(机器人|东西)"
            r"|\b(useless|ridiculous|unacceptable|fed up|furious|rubbish|garbage|scam|terrible|awful|pathetic|disgusting|wtf|bullshit|damn|stupid|idiots?|worst|sick of|joke)\b",
            re.IGNORECASE,
        ),
        2,
    ),
    (re.compile(r"第[二三四五六]次|说了(多少|几|两|三)遍|怎么还(没|不)|到底|一直没|等了.{0,6}(天|周|小时)|\b(again and again|third time|still (waiting|not)|how many times|for weeks|nobody (answers|helps))\b", re.IGNORECASE), 1),
    (re.compile(r"[!！]{2,}|[?？]{3,}"), 1),
)  # fmt: skip
_SHOUTED = re.compile(r"\b[A-Z]{4,}\b")
ANGRY = 3  # weight from which a customer counts as frustrated
_ANGRY_AGAIN = 2  # the same, when the message before was angry too


@dataclass(frozen=True, slots=True)
class Heard:
    """A message understood. ``intent`` is ``None`` when nothing is known about it; ``anger`` adds up what points to it.

    ``meant``: by slot, what of its catalogue the message may mean (:mod:`catalogues`).
    """

    text: str
    language: Language
    command: Command | None = None
    wants_person: bool = False
    anger: int = 0
    intent: str | None = None
    probability: float = 0.0
    probabilities: Mapping[str, float] = field(default_factory=dict)
    in_scope: bool = True
    meant: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def frustrated(self, before: int) -> bool:
        """Whether to hand over; ``before`` is the anger of the message before."""
        return self.anger >= ANGRY or (self.anger >= _ANGRY_AGAIN and before >= _ANGRY_AGAIN)

    def asks_only(self) -> bool:
        """Whether it is a question to the documents, whatever values it names."""
        return is_question(self.text) and self.intent == "question" and self.probability >= 0.5


def command_of(text: str) -> Command | None:
    """What a message commands that does nothing else.

    >>> [command_of(text) for text in ("好的，谢谢", "No thanks", "等等，先别取消", "算了", "Say that again please", "不对，是 TW-5")]
    ['yes', 'no', 'no', 'cancel', 'repeat', 'correct']
    >>> command_of("Can I cancel an order?") is None
    True
    """
    plain = folded(text).strip(_END)
    for command, pattern in (("cancel", _CANCEL), ("yes", _YES), ("no", _NO), ("repeat", _REPEAT)):
        if pattern.fullmatch(plain):
            return command  # type: ignore[return-value]  # one of them
    return "correct" if _CORRECT.match(plain) else None


def wants_person(text: str) -> bool:
    """Whether the customer asks for a person.

    >>> wants_person("转人工"), wants_person("can you call me back"), wants_person("人工刻字要多久？")
    (True, True, False)
    >>> wants_person("give me a call"), wants_person("you can call me Sam")
    (True, False)
    """
    plain = folded(text)
    return bool(_HUMAN.search(plain) or _CALL.search(plain))


def is_question(text: str) -> bool:
    """Whether a message is put as a question.

    >>> is_question("怎么退货"), is_question("Can I return it"), is_question("退掉水壶")
    (True, True, False)
    """
    return bool(_ASKS.search(text))


def is_request(text: str) -> bool:
    """Whether a message is put as a wish; what has been done is none.

    >>> is_request("帮我取消订单"), is_request("Cancel it, please"), is_request("I cancelled it last week"), is_request("我退了货")
    (True, True, False, False)
    """
    return bool(_REQUESTS_IT.search(folded(text).strip(_END)))


def anger_of(text: str) -> int:
    """How much in a message points to frustration; 0 is calm."""
    plain = folded(text)
    found = sum(weight * min(2, len(pattern.findall(plain))) for pattern, weight in _ANGRY)
    shouted = [word for word in _SHOUTED.findall(plain) if not word.isdigit()]
    return found + (1 if len(shouted) >= 3 else 0)
