"""The Chinese rows of this project, to train with and, apart from them, to test on: ``[+name]``, ``[-name]`` and
``[=name]`` in a line mark its companies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from apps.financial_sentiment.masking import mask
from apps.financial_sentiment.public import Row
from core.errors import InputError

FILE = Path(__file__).parent / "data" / "zh_train.txt"
FORUM_FILE = FILE.with_name("zh_forum.txt")
LENDER_FILE = FILE.with_name("zh_lenders.txt")
NAMED_FILE = FILE.with_name("zh_named.txt")
POST_FILE = FILE.with_name("zh_posts.txt")
NOTICE_FILE = FILE.with_name("zh_notices.txt")
TEST_FILE = FILE.with_name("zh_test.txt")
TEST_SHA256 = "b163677ebfa3d6014107604906ca432dd1195bdd0146b114b3f6e7be340fe2ea"  # of the frozen file: a change makes another test
_MARK = re.compile(r"\[([+=-])([^\]]+)\]")
_LABELS = {"+": "positive", "=": "neutral", "-": "negative"}


def rows(path: Path = FILE) -> list[Row]:
    """A row for each marked company of each line."""
    lines = path.read_text("utf-8").splitlines()
    return [row for number, line in enumerate(lines) if line and line[0] != "#" for row in marked(line, number)]


def forum_rows() -> list[Row]:
    """Posts and notices that name no company."""
    return _unnamed(FORUM_FILE, "forum", -10_000)


def lender_rows() -> list[Row]:
    """More of them, most about lenders, payment and wealth platforms."""
    return _unnamed(LENDER_FILE, "lender", -20_000)


def later_rows() -> list[Row]:
    """Those written for release 4: named companies, posts, notices."""
    named = [replace(row, id=f"named:{row.id}", group=row.group - 30_000) for row in rows(NAMED_FILE)]
    return [*named, *_unnamed(POST_FILE, "post", -40_000), *_unnamed(NOTICE_FILE, "notice", -50_000)]


def _unnamed(path: Path, name: str, group: int) -> list[Row]:
    """The mood is the first character of a line."""
    lines = path.read_text("utf-8").splitlines()
    return [
        Row(f"{name}:{number}", line[2:], "", _LABELS[line[0]], group - number, mask(line[2:], ()))
        for number, line in enumerate(lines)
        if line[0] != "#"
    ]


def test_rows() -> list[Row]:
    """The frozen test set, which nothing may be chosen by.

    Raises:
        InputError: (``data_mismatch``) the file is not the one that was frozen.
    """
    found = hashlib.sha256(TEST_FILE.read_bytes()).hexdigest()
    if found != TEST_SHA256:
        raise InputError(reason="data_mismatch", where=TEST_FILE.name, detail=f"SHA-256 {found}")
    return rows(TEST_FILE)


def marked(line: str, number: int = 0) -> Iterator[Row]:
    """
    >>> [(r.entity, r.label, r.masked.whole) for r in marked("[+甲]大涨，[-乙]大跌")]
    [('甲', 'positive', 'xtargetx 大涨， xotherx 大跌'), ('乙', 'negative', 'xotherx 大涨， xtargetx 大跌')]
    """
    text, end, places = "", 0, []
    for found in _MARK.finditer(line):
        text += line[end : found.start()]
        places.append((found[2], _LABELS[found[1]], (len(text), len(text) + len(found[2]))))
        text += found[2]
        end = found.end()
    text += line[end:]
    spans = [span for _, _, span in places]
    for name, label, span in places:
        masked = mask(text, [span], [other for other in spans if other != span])
        yield Row(f"zh:{number}:{name}", text, name, label, -1 - number, masked, len({p[1] for p in places}) > 1)
