"""Asks the sample shop thirty questions and writes what it says, misses included, to docs/*/transcript.md.

    python -m apps.customer_service.transcript docs

The questions are none of those the answers were tuned or tested on. A mark says whether the answer holds what a
person looking it up would have found; a question nothing answers is right when it is refused.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apps.customer_service import CustomerService
from core.settings import load_settings, override
from core.types import Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """``expected`` is a piece of a right answer; ``None``: the documents do not say."""

    question: str
    expected: str | None


QUESTIONS = (
    Asked("KT-310 烧水壶买回来几天内能退？", "15 天"),
    Asked("KT-210 能保温多久？", "2 小时"),
    Asked("KT-310 的 E2 是什么故障？", "干烧"),
    Asked("PS-600 可以寄到新疆吗？", "不能寄往"),
    Asked("TW-5 Pro 整机保修多长时间？", "18 个月"),
    Asked("金羽会员退货能多几天？", "15 天"),
    Asked("刻了字的杯子还能退吗？", "刻字"),
    Asked("音频产品的价格保护是几天？", "7 天"),
    Asked("周二杭州滨江店几点开门？", "14:00"),
    Asked("可以开增值税专用发票吗？", "专用发票"),
    Asked("RV-8 显示 E3 怎么办？", "尘盒"),
    Asked("礼品卡可以退吗？", "礼品卡"),
    Asked("你们有没有实体店在成都？", "成都"),
    Asked("TW-5 Pro 用的是蓝牙几点几？", None),
    Asked("今天的股票行情怎么样？", None),
    Asked("How long do I have to return a KT-310 kettle ordered from the UK?", "21 days"),
    Asked("What does E1 mean on the KT-310?", "E1"),
    Asked("Can I use the TW-5 Pro in the rain?", "IPX5"),
    Asked("How long is the warranty on the KT-210 bought abroad?", "24"),
    Asked("Can I send back a gift card?", "gift card"),
    Asked("When does the London shop open on 31 August 2026?", "11:00"),
    Asked("Do I have to pay customs duty?", "dut"),
    Asked("How long does a refund take after I cancel an order?", "3 working days"),
    Asked("Is the PS-600 allowed on a plane?", "PS-600"),
    Asked("How do I clean the limescale out of the kettle?", "descal"),
    Asked("Can I change the delivery address after ordering?", "address"),
    Asked("Within how many days do you match a lower price?", "14 days"),
    Asked("Do you sell treadmills?", None),
    Asked("Which Bluetooth version does the TW-5 Pro have?", None),
    Asked("Who won the football match last night?", None),
)
HEADS = {
    "en": (
        "# Transcript",
        "Thirty questions to the sample shop, answered by the embedded models without key, GPU or network. None of "
        "them was used to tune anything. ✓ and ✗ say whether the answer holds what a person looking it up would have "
        "found, or refuses where nothing answers. Written by `python -m apps.customer_service.transcript docs`.",
        "right",
    ),
    "zh": (
        "# 问答实录",
        "向示例商店提出的三十个问题，由随安装自带的模型回答，没有密钥、GPU 和网络。这些问题都没有用于调参。✓ 和 ✗ "
        "表示回答是否包含人工查阅会找到的内容，或者在文档没有答案时是否拒绝回答。由 "
        "`python -m apps.customer_service.transcript docs` 写出。",
        "答对",
    ),
}


def is_right(asked: Asked, answer: Answer) -> bool:
    if asked.expected is None:
        return answer.mode == "refused"
    return answer.mode != "refused" and asked.expected in answer.text


def page(language: str, answers: list[tuple[Asked, Answer]]) -> str:
    title, about, right = HEADS[language]
    count = sum(is_right(asked, answer) for asked, answer in answers)
    lines = [title, "", about, "", f"**{count} / {len(answers)}** {right}", ""]
    for asked, answer in answers:
        lines += [f"**{'✓' if is_right(asked, answer) else '✗'} {asked.question}**", ""]
        lines += [f"> {line}".rstrip() for line in answer.text.splitlines()]
        sources = dict.fromkeys(
            f"{c.title} ({Path(c.source).parent.name}/{Path(c.source).name})" for c in answer.citations
        )
        lines += [f"> — {'; '.join(sources)}"] if sources else []
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m apps.customer_service.transcript DOCS_FOLDER\n")
        return 2
    with tempfile.TemporaryDirectory() as home:
        shop = CustomerService.open(override(load_settings(environment={}), home=home))
        answers = [(asked, shop.ask(asked.question)) for asked in QUESTIONS]
        shop.close()
    for language in HEADS:
        Path(sys.argv[1], language, "transcript.md").write_text(page(language, answers), "utf-8")
    right = sum(is_right(asked, answer) for asked, answer in answers)
    sys.stdout.write(f"{right} of {len(answers)} right\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
