"""What a message does in a conversation: small talk, a follow-up, or a question that stands alone.

Rules, not a model: they cost microseconds, work in Chinese and English without any model, and err on the side
of treating a message as a question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from apps.customer_service import spoken
from apps.customer_service.spoken import plain
from core.retrieval import tokens
from core.types import Language

SmallTalk = Literal["greeting", "thanks", "farewell", "identity", "abilities", "language", "wordless"]

_PATTERNS: dict[SmallTalk, re.Pattern[str]] = {
    "greeting": re.compile(
        r"(你好|您好|你们好|大家好|哈[喽啰罗]|嗨+|喂|hi+|hello|hey|hiya|howdy|good (morning|afternoon|evening)|早(上好|安)?|上午好|中午好|下午好|晚上好"
        r"|在(吗|么|不在)|有人(在)?(吗|么)|(is )?(anyone|anybody|somebody|someone) (there|here)|客服(你好|在吗)?)"
        r"( (there|all|team|everyone))?"
    ),
    "thanks": re.compile(
        r"((好的?|行|嗯+|ok|okay|great|perfect|cool) ?)?((太|非常|十分|真是)?(谢谢|感谢|多谢|谢啦|谢了|谢|辛苦)(你|您|你们|了|啦)*(的?(帮助|帮忙|解答|回答))?|"
        r"(many )?(thanks|thank you|thx|ty|cheers|much appreciated)( (so|very) much| a lot| a bunch| again)?"
        r"( for (your|the|all your) (help|answer|reply|time|info|information))?)"
        r"|好的|明白了?|知道了|收到|了解了?|ok|okay|got it|great|perfect|i see"
        r"|没(有)?(别的|其他的?|什么)?(问题|事)了?|没(有)?别的了|就这些了?|问题?(已经)?解决了|that'?s (all|it)( (for now|i needed))?|that is (all|it)|no(thing)? (else|more questions)|all good( now)?"
    ),
    "farewell": re.compile(
        r"(再见|拜拜|回头见|晚安|下次见|good ?bye|bye( bye)?|see you( later)?|good ?night|have a (nice|good) day)"
    ),
    "identity": re.compile(
        r"(请问)?(你是(谁|什么|机器人|人工|真人|ai)(吗|么)?|你叫什么(名字)?|who are you|what are you|what( is|'?s) your name|are you (a )?(bot|robot|human|real|person|ai))"
    ),
    "abilities": re.compile(
        r"(你(能|会|可以)(做|干|帮我做|回答)?(什么|些什么|哪些|啥)(问题)?|你有什么(功能|用)|怎么用你?|帮助|help|what can (you do|i ask)( for me| you)?|how (can you help|does this work)( me)?)"
    ),
}
_PLEASED = re.compile("[👍👌🙏👏✅❤💐🌹🎉😀-😆😊😍🤗🥰]")
_CLAUSE_END = re.compile(r"[,，.。!！?？;；:：~～…\n、]+")
_PIECE = re.compile(f"(.*?)(?:{_CLAUSE_END.pattern}|$)", re.DOTALL)
_SOFT = re.compile(r"[呀啊哦呢吧哈哟耶噢]+$")

_POINTS_BACK = re.compile(
    r"它|[这那](个|款|种|些|台|件|时|样|里|边)|上面|刚才|前面|前者|后者|同样|一样吗"
    r"|\b(it|its|this one|that one|they|them|those|these|the same|the other|the latter|the former)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^(那么?|还有|另外|如果|要是|但是?|不过|然后|所以|和|跟|换成|and|but|so|then|what about|how about|what if|also|or)(?=[\W一-鿿]|$)"
    r"|(呢|咧)[?？!！。 ]*$",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"那么?|还有|另外|如果|要是|换成|呢|的话|what about|how about|what if|\b(and|but|so|then|also|or|the|for|with|a|an)\b",
    re.IGNORECASE,
)


def small_talk(text: str) -> SmallTalk | None:
    """The kind of small talk ``text`` consists of, or ``None`` when it says anything more.

    >>> small_talk("你好呀！"), small_talk("Thanks a lot!"), small_talk("👍"), small_talk("你好，KT-210 能退吗？")
    ('greeting', 'thanks', 'thanks', None)
    """
    kinds = [_kind(clause) for clause in _clauses(text)]
    if not kinds:
        return ("thanks" if _PLEASED.search(text) else "wordless") if text.strip() else None
    if None in kinds:
        return None
    weighty = [kind for kind in kinds if kind not in ("greeting", "thanks")]
    return weighty[0] if weighty else kinds[-1]


def without_courtesy(text: str) -> str:
    """``text`` without greetings before and thanks after the question, nor a wish for a language.

    >>> without_courtesy("你好，KT-210 能退吗？谢谢！"), without_courtesy("请用英文回答：KT-210 能退吗？")
    ('KT-210 能退吗？', 'KT-210 能退吗？')
    """
    _, text = spoken.begun_with(text)
    pieces = [match[0] for match in _PIECE.finditer(text) if match[0]]
    while pieces and _is_courtesy(pieces[0]):
        pieces.pop(0)
    while pieces and _is_courtesy(pieces[-1]):
        pieces.pop()
    return "".join(pieces).strip(" ,，、\n") or text.strip()


def standalone(question: str, earlier: Sequence[str]) -> str:
    """What to search for: a follow-up completed with what was asked before it, anything else as it is.

    ``earlier`` are the questions of the conversation, oldest first. A product code in the follow-up takes the
    place of the one in the question before.

    >>> standalone("那 KT-310 呢？", ["KT-210 几天内可以退货？"])
    'KT-310 几天内可以退货？'
    >>> standalone("How long is its warranty?", ["Can I return the KT-210?"])
    'Can I return the KT-210? How long is its warranty?'
    >>> standalone("怎么开发票？", ["KT-210 几天内可以退货？"])
    '怎么开发票？'
    """
    subject = ""
    for asked in (*(q for q in earlier if not small_talk(q)), question):
        asked = without_courtesy(asked)
        subject = _completed(asked, subject) if subject and _follows(asked) else asked
    return subject


def language_asked(text: str) -> Language | None:
    """The language in which ``text`` asks to be answered.

    >>> language_asked("请用英文回答：KT-210 保修多久？"), language_asked("How long? In Chinese please."), language_asked("发票有英文的吗")
    ('en', 'zh', None)
    """
    begun, _ = spoken.begun_with(text)
    return begun or next(filter(None, map(spoken.requested, _clauses(text))), None)


def language_in(text: str, earlier: Sequence[str], default: str) -> Language:
    """The language to answer ``text`` in: what was asked for last, else its own, else that of the newest before it.

    >>> language_in("PW26110001", ["where is my order?", "我要退货", "2468"], "en")
    'zh'
    >>> language_in("保修多久？", ["请用英文回答"], "zh")
    'en'
    """
    for said in (text, *reversed(earlier)):
        if asked := language_asked(said):
            return asked
    for before in earlier:
        default = spoken.language_of(before, default)
    return spoken.language_of(text, default)


def points_back(question: str) -> bool:
    """Whether a question says "it" or 这款 of what was named before."""
    return bool(_POINTS_BACK.search(question))


def _follows(question: str) -> bool:
    return points_back(question) or bool(_GOES_ON.search(question))


def _completed(question: str, before: str) -> str:
    asked, known = tokens.PRODUCT.findall(question), tokens.PRODUCT.findall(before)
    if asked and known:
        before = tokens.PRODUCT.sub(lambda _: asked[0], before)
        if not plain(_FRAME.sub(" ", tokens.PRODUCT.sub(" ", question))):
            return before
    return f"{before} {question}"


def _clauses(text: str) -> list[str]:
    return [clause for clause in _CLAUSE_END.split(text) if plain(clause)]


def _is_courtesy(clause: str) -> bool:
    return not plain(clause) or _kind(clause) in ("greeting", "thanks", "farewell", "language")


def _kind(clause: str) -> SmallTalk | None:
    said = plain(clause)
    if not said:
        return None
    for candidate in (said, _SOFT.sub("", said)):
        for kind, pattern in _PATTERNS.items():
            if pattern.fullmatch(candidate):
                return kind
    return "language" if spoken.requested(clause) else None
