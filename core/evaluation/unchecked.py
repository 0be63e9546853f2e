"""The baseline of answers that a model writes: what was found is pasted before the question, and what comes back is the answer.

So do chains of a retriever, a prompt and a model: the four best passages, the advice to say so when one does not know, no
threshold, no check. It is given the same search and the same model as the system beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from core.i18n import detect_language
from core.providers.complete import complete

if TYPE_CHECKING:
    from core.contracts import ChatModel
    from core.evaluation.corpus import Corpus

SOURCES = 4  # passages
_PROMPTS = {
    "en": "Answer the question with the help of these passages. If you do not know the answer, say that you do not know. "
    "Three sentences at most.\n\n{passages}\n\nQuestion: {question}\nAnswer:",
    "zh": "请根据下面的段落回答问题。如果不知道答案，就说不知道。最多三句话。\n\n{passages}\n\n问题：{question}\n回答：",
}
# Said of oneself or of what one was given; "the price does not include VAT" and 水会提前沸腾而无法断电 are answers.
_DECLINES = re.compile(
    r"\bI (?:do not|don['’]t|cannot|can['’]t|could not|am not|am unable)\b|\b(?:not known|unknown|no information|not possible to (?:answer|determine|say))\b"
    r"|\b(?:passages?|texts?|contexts?|documents?|sources?|information)\b[^.\n]{0,40}\b(?:do|does|did|is|are)(?: not|n['’]t)\b"
    r"|不知道|不清楚|无法(?:回答|确定|得知|判断)|不能(?:回答|确定)"
    r"|(?:段落|资料|材料|原文|文本|文中|文章|上文|信息)[^。\n]{0,12}(?:没有|未|不)|没有(?:明确)?(?:提到|提及|提供|说明|给出)",
    re.IGNORECASE,
)


async def pasted(corpus: Corpus, question: str, chat: ChatModel) -> dict[str, Any]:
    """What :func:`core.evaluation.judges.answer_task` judges of a ``written`` answer.

    Raises:
        core.errors.ProviderError: the model does not answer.
    """
    passages = "\n\n".join(text for _, text in await corpus.passages(question, SOURCES))
    prompt = _PROMPTS["zh" if detect_language(question) == "zh" else "en"]
    text = (await complete(chat, prompt.format(passages=passages, question=question))).text
    return {"answered": not declines(text), "quotes": None, "confidence": None, "text": text}


def declines(text: str) -> bool:
    """Whether an answer says that it does not know, or that the passages do not say.

    >>> declines("The passages do not mention a price."), declines("The price does not include delivery.")
    (True, False)
    >>> declines("段落中没有提到价格。"), declines("海拔太高时水壶无法自动断电。")
    (True, False)
    """
    return not text.strip() or _DECLINES.search(text) is not None
