"""Is the answer text right? Exact match and F1 as SQuAD and CMRC 2018 define them.

English is compared by words after dropping case, punctuation and articles. Chinese is compared by
characters, runs of other scripts by words. Each function takes one prediction and all right answers and
returns the best score over the answers. No answers at all means that the question cannot be answered:
then an empty prediction scores 1 and any other 0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = "\u4e00-\u9fa5"
# Exactly the characters that CMRC's script drops: "‘" and "…" are not among them.
_CMRC_DROPPED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_NARROW = re.compile(r"[a-z0-9]")
_WIDE = f"\u3000-\u303f\uff00-\uffef{_HAN}"
_SPACE_BY_WIDE = re.compile(rf"(?<=[{_WIDE}]) | (?=[{_WIDE}])")
_CMRC_TOKEN = re.compile(rf"[{_HAN}]|[^\s{_HAN}\w]|[^\s{_HAN}\W]+(?:[.,'][^\s{_HAN}\W]+)*")


def squad_exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 when the normalized prediction equals a normalized answer.

    Source: Rajpurkar et al. 2016 and 2018, https://rajpurkar.github.io/SQuAD-explorer/ (evaluation script 2.0).

    >>> squad_exact_match("The  Eiffel tower!", ["eiffel tower", "tower"])
    1.0
    """
    predicted = squad_words(prediction)
    return max(float(predicted == squad_words(answer)) for answer in answers or [""])


def squad_f1(prediction: str, answers: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall, words counted with repetition. Source: as above.

    "eiffel tower paris" against "eiffel tower": precision 2/3, recall 1, F1 0.8.

    >>> round(squad_f1("the Eiffel tower, Paris", ["Eiffel tower"]), 4)
    0.8
    """
    predicted = squad_words(prediction)
    return max(_f1(predicted, squad_words(answer), _shared_words) for answer in answers or [""])


def squad_words(text: str) -> list[str]:
    """Lower-case words without punctuation and articles.

    >>> squad_words("A state-of-the-art model")
    ['stateoftheart', 'model']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_ASCII_PUNCTUATION)).split()


def cmrc_exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 when the prediction equals an answer once case and CMRC's list of punctuation are dropped.

    Source: Cui et al. 2019, https://github.com/ymcui/cmrc2018 (cmrc2018_evaluate.py, ``calc_em_score``).

    >>> cmrc_exact_match("《红楼梦》。", ["红楼梦"])
    1.0
    """
    predicted = _cmrc_plain(prediction)
    return max(float(predicted == _cmrc_plain(answer)) for answer in answers or [""])


def cmrc_f1(prediction: str, answers: Sequence[str]) -> float:
    """F1 of the longest run of tokens that prediction and answer share (a substring, not a bag).

    Source: as above, ``calc_f1_score``. Changed: runs without Chinese are split by a regular expression
    where the script calls nltk's tokenizer, so clitics ("it's") stay one token here.

    "在1987年" has tokens 在, 1987, 年; the answer "1987年" shares two: precision 2/3, recall 1, F1 0.8.

    >>> round(cmrc_f1("在1987年", ["1987年"]), 4)
    0.8
    """
    predicted = cmrc_tokens(prediction)
    return max(_f1(predicted, cmrc_tokens(answer), _longest_common_run) for answer in answers or [""])


def cmrc_tokens(text: str) -> list[str]:
    """Chinese characters one by one, other runs as words.

    >>> cmrc_tokens("iPhone 15售价5,999元！")
    ['iphone', '15', '售', '价', '5,999', '元']
    """
    return _CMRC_TOKEN.findall(_cmrc_plain(text))


def exact_match(prediction: str, answers: Sequence[str], language: str = "en") -> float:
    """CMRC's definition for ``zh``, SQuAD's otherwise."""
    return (cmrc_exact_match if language == "zh" else squad_exact_match)(prediction, answers)


def f1(prediction: str, answers: Sequence[str], language: str = "en") -> float:
    """CMRC's definition for ``zh``, SQuAD's otherwise."""
    return (cmrc_f1 if language == "zh" else squad_f1)(prediction, answers)


def holds(texts: Sequence[str], answers: Sequence[str]) -> float:
    """1 when one of ``texts`` contains one of ``answers``; case and spacing do not matter, whole words do.

    >>> holds(["It opened on 2 May 1987."], ["2 may  1987"])
    1.0
    >>> holds(["The party began."], ["art"])
    0.0
    """
    wanted = [_whole(spaced) for answer in answers if (spaced := _evenly_spaced(answer))]
    return float(any(pattern.search(text) for text in map(_evenly_spaced, texts) for pattern in wanted))


def quotes(texts: Sequence[str], sentences: Sequence[str]) -> float:
    """1 when one of ``texts`` contains one of ``sentences``, or is at least half of one.

    For evidence given as whole sentences, which two splitters do not always cut alike.

    >>> quotes(["Mice lived longer."], ["Mice lived longer. (P = 0.01)"])
    1.0
    >>> quotes(["Mice lived"], ["Mice lived longer, by a third, than those of the other group."])
    0.0
    """
    if holds(texts, sentences):
        return 1.0
    given, wanted = map(_evenly_spaced, texts), [_evenly_spaced(sentence) for sentence in sentences]
    return float(any(len(text) >= len(other) / 2 and text in other for text in given for other in wanted))


def places(text: str, answer: str) -> list[tuple[int, int]]:
    """Where ``answer`` stands in ``text``, as ``(start, end)``; case and white space do not matter.

    >>> places("On 2  May, then on 2 May.", "2 may")
    [(3, 9), (19, 24)]
    """
    characters = [re.escape(c) for c in answer if not c.isspace()]
    if not characters:
        return []
    return [match.span() for match in re.finditer(r"\s*".join(characters), text, re.IGNORECASE)]


def _evenly_spaced(text: str) -> str:
    """One space between words, none beside a Chinese character or Chinese punctuation."""
    return _SPACE_BY_WIDE.sub("", " ".join(text.lower().split()))


def _whole(text: str) -> re.Pattern[str]:
    """``text``, not cut out of a longer word or number."""
    head = r"(?<![a-z0-9])" if _NARROW.match(text[0]) else ""
    tail = r"(?![a-z0-9])" if _NARROW.match(text[-1]) else ""
    return re.compile(head + re.escape(text) + tail)


def _cmrc_plain(text: str) -> str:
    return text.lower().strip().translate(_CMRC_DROPPED)


def _f1(
    predicted: Sequence[str], answer: Sequence[str], shared: Callable[[Sequence[str], Sequence[str]], int]
) -> float:
    if not predicted or not answer:
        return float(len(predicted) == len(answer))
    return 2 * shared(predicted, answer) / (len(predicted) + len(answer))


def _shared_words(left: Sequence[str], right: Sequence[str]) -> int:
    return sum((Counter(left) & Counter(right)).values())


def _longest_common_run(left: Sequence[str], right: Sequence[str]) -> int:
    longest, previous = 0, [0] * (len(right) + 1)
    for token in left:
        current = [0]
        for column, other in enumerate(right):
            current.append(previous[column] + 1 if token == other else 0)
        longest = max(longest, *current)
        previous = current
    return longest
