r"""Text of others on a page: what a document or a model wrote must show as text and do nothing.

Streamlit draws Markdown with extensions that can load an image from anywhere, make links, typeset formulas, draw
diagrams and icons. Backslashes stop what the parser sees; some extensions (bare addresses, emoji, icons, arrows)
look at the finished text again, so a word joiner (U+2060, invisible, no width) is put inside what they look for.

:func:`inert` shows a text letter by letter; :func:`formatted` keeps the harmless part of Markdown.

>>> print(inert("**5 < 7** [a](http://b)").replace("\u2060", "~"))
\*\*5 \< 7\*\* \[a\]\(http\:~\/\/b\)
"""

from __future__ import annotations

import re

JOINER = "\u2060"
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_ACTING = r"(?<=:)(?=[\w+/:]|-1)|(?<=@)(?=\w)|(?<=www)(?=\.)"
_ARROWS = r"(?<=[<>~=\-])(?=[<>=\-])"
_SEEN_AGAIN = re.compile(_ACTING, re.IGNORECASE)
_SEEN_OR_CHANGED = re.compile(f"{_ACTING}|{_ARROWS}", re.IGNORECASE)
_MARKUP = re.compile(r"([\\`<>\[\]$&{}])")
_QUOTE_MARK = re.compile(r"^( {0,3}\\> ?)+")
_CODE_SPAN = re.compile(r"(?<!`)`([^`|\n]+)`(?!`)")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([A-Za-z0-9+#]{0,12})")
_CODE_LANGUAGES = frozenset(
    ["bash", "c", "cpp", "css", "go", "html", "java", "javascript", "json", "python", "rust", "sh", "sql", "toml", "ts",
     "xml", "yaml"]
)  # fmt: skip


def inert(text: str) -> str:
    """Markdown that shows ``text`` as it is written, on one line; a paragraph break becomes a space."""
    return _escaped(plain(text), _PUNCTUATION, _SEEN_OR_CHANGED)


def plain(text: str) -> str:
    """``text`` on one line and without characters that only steer; for where text is no Markdown, as in a text node."""
    return " ".join(UNSEEN.sub("", text).split())


def inert_lines(text: str) -> str:
    """Like :func:`inert`, with the line breaks of ``text`` kept."""
    return "  \n".join(inert(line) for line in text.splitlines() if line.strip())


def formatted(text: str) -> str:
    """Markdown that keeps headings, lists, tables, emphasis and code of ``text``, and nothing that acts.

    Links, images, HTML, formulas, diagrams, Streamlit's directives and icons show as the characters they are
    written with. Code is put out in a canonical form, so that what counts as code here is code for the browser too.
    """
    lines: list[str] = []
    code: list[str] | None = None
    fence, label = "", ""
    for line in UNSEEN.sub("", text.expandtabs(4)).splitlines():
        opening = _FENCE.match(line)
        if code is None and opening:
            code, fence, label = [], opening[1], opening[2].lower()
        elif code is not None and _closes(line, fence):
            lines += _code_block(code, label)
            code = None
        elif code is not None:
            code.append(line)
        else:
            lines.append(_formatted_line(line))
    if code is not None:
        lines += _code_block(code, label)
    return "\n".join(lines)


def _formatted_line(line: str) -> str:
    pieces: list[str] = []
    end = 0
    for span in _CODE_SPAN.finditer(line):
        pieces += [_escaped(line[end : span.start()], _MARKUP, _SEEN_AGAIN), span[0]]
        end = span.end()
    pieces.append(_escaped(line[end:], _MARKUP, _SEEN_AGAIN))
    text = "".join(pieces)
    quote = _QUOTE_MARK.match(text)
    return text if quote is None else quote[0].replace("\\", "") + text[quote.end() :]


def _escaped(text: str, marks: re.Pattern[str], joints: re.Pattern[str]) -> str:
    """``text`` with a backslash before ``marks`` and a word joiner at ``joints``."""
    return JOINER.join(marks.sub(r"\\\1", piece) for piece in joints.split(text))


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and set(bare) == {fence[0]}


def _code_block(code: list[str], label: str) -> list[str]:
    """A fence longer than any run of backticks inside, at the left margin, closed."""
    longest = max((len(run) for line in code for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["", fence + (label if label in _CODE_LANGUAGES else ""), *code, fence, ""]
