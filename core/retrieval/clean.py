"""Text as a reader sees it: one kind of line break, and nothing invisible.

Invisible characters (zero width, direction marks, tags, controls, halves of surrogate pairs) hide text from the
reader and words from the search, so they are removed wherever text comes from: also from a JSON string's escapes
and an HTML page's entities, which stand for them after the file's own text was cleaned.
"""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_LINES = str.maketrans({"\r": "\n", "\u2028": "\n", "\u2029": "\n\n", "\f": "\n", "\u00a0": " "})


def clean(text: str) -> str:
    """``text`` with one kind of line break and without invisible characters."""
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").translate(_LINES))
