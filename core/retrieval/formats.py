"""What each kind of file becomes: a text and its blocks.

HTML is reduced to Markdown here (only what a reader would see: no scripts, no hidden elements, no comments).
Tables with question and answer columns become question–answer pairs, other rows one line ``column: value; …``.
Where it is said what the columns are (:data:`ROLES`), each row becomes a section: its title as heading, its text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from core.errors import InputError
from core.i18n import detect_language
from core.retrieval.clean import clean
from core.retrieval.structure import Block, blocks

Loaded = tuple[str, list[Block], str | None]  # text, blocks, title when the file says one
ROLES = ("title", "text", "id", "url", "date")  # of columns; ``text`` may name several, separated by +
_QUESTION_COLUMNS = {"question", "questions", "q", "问题", "問題", "问", "提问", "标准问题", "标准问", "query", "ask"}
_ANSWER_COLUMNS = {"answer", "answers", "a", "答案", "回答", "答", "答复", "回复", "标准答案", "reply", "response"}
_MOST_ROWS = 200_000
_ROW_LIMIT = 1_000  # characters: a longer object is no row to be quoted whole
_DEEPEST = 40


def from_markdown(text: str) -> Loaded:
    front, start = _front_matter(text)
    found = [block for block in blocks(text, markdown=True) if block.start >= start]
    title = front.get("title") or next((b.title for b in found if b.kind == "heading" and b.level == 1), None)
    return text, found, title


def from_plain(text: str) -> Loaded:
    found = blocks(text, markdown=False)
    title = next((b.title for b in found if b.kind == "heading" and b.level == 1), None)
    return text, found, title


def from_pages(pages: Iterable[str]) -> Loaded:
    """Pages (of a PDF) as one text; every block knows its page, counted from 1."""
    text, found = "", []
    for number, page in enumerate(pages, 1):
        found.extend(blocks(page, markdown=False, page=number, offset=len(text)))
        text += page + "\n\n"
    return text, found, None


def from_csv(text: str, name: str, columns: Mapping[str, str] | None = None) -> Loaded:
    """Rows of a CSV or TSV file; the first row names the columns."""
    sample = text[:20_000]
    try:
        dialect: Any = csv.Sniffer().sniff(sample, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if name.lower().endswith(".tsv") else csv.excel
    dialect.doublequote = True
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(reason="unreadable_file", name=name, detail=str(error)) from error
    if len(rows) < 2:
        return from_plain(text)
    header = [cell.strip() for cell in rows[0]]
    if columns:
        _demand(columns, header, name)
        return from_sections((dict(zip(header, row, strict=False)) for row in rows[1:_MOST_ROWS]), columns)
    return from_rows((dict(zip(header, row, strict=False)) for row in rows[1:_MOST_ROWS]), text)


def from_json(text: str, name: str, columns: Mapping[str, str] | None = None, *, lines: bool) -> Loaded:
    """A JSON list of objects (or one object a line) as rows; a large object of objects as an outline of its keys."""
    values: list[Any] = []
    try:
        if lines:
            for number, line in enumerate(text.splitlines(), 1):
                where = f"{name}:{number}"
                if line.strip():
                    values.append(json.loads(line))
        else:
            where = name
            loaded = json.loads(text)
            large = len(text) > _ROW_LIMIT
            if (
                large
                and not columns
                and isinstance(loaded, dict)
                and not _only_list(loaded)
                and any(_nested(v) for v in loaded.values())
            ):
                found, structure, _ = from_markdown("\n\n".join(_outline(loaded, 1)))
                return found, structure, None
            values = loaded if isinstance(loaded, list) else _only_list(loaded) or [loaded]
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(reason="bad_json", where=where, detail=str(error) or "too deep") from error
    rows = [dict(_flat(value, "", 0)) for value in values[:_MOST_ROWS]]
    if columns:
        _demand(columns, list(dict.fromkeys(key for row in rows for key in row)), name)
        return from_sections(rows, columns)
    return from_rows(rows, text)


def from_sections(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Loaded:
    """Rows whose columns are known, each a heading and its text; id, url and date go with every block of it."""
    text, found = "", []
    for row in rows:
        title = _cell(row.get(columns.get("title", "")))
        parts = (clean(str(row.get(name) or "")).strip() for name in columns["text"].split("+"))
        body = "\n\n".join(part for part in parts if part)
        if not body:
            continue
        facts = {role: _cell(row.get(columns[role])) for role in ("id", "url", "date") if role in columns}
        if title:
            heading = f"## {title}"
            found.append(Block("heading", len(text), len(text) + len(heading), 2, title=title))
            text += f"{heading}\n\n"
        inner = blocks(body, markdown=True, offset=len(text))
        found.extend(
            replace(block, metadata={role: value for role, value in facts.items() if value}) for block in inner
        )
        text += f"{body}\n\n"
    return text, found, None


def _demand(columns: Mapping[str, str], there: list[str], name: str) -> None:
    """
    Raises:
        InputError: bad_value for a role that is not known, or without ``text``; data_column for a column that is
            not there.
    """
    for role in columns:
        if role not in ROLES:
            raise InputError(reason="bad_value", name="columns", value=role, allowed=", ".join(ROLES))
    if "text" not in columns:
        raise InputError(reason="bad_value", name="columns", value=dict(columns), allowed="text=COLUMN, …")
    for role, given in columns.items():
        for column in given.split("+") if role == "text" else [given]:
            if column not in there:
                raise InputError(reason="data_column", where=name, value=column, allowed=", ".join(there))


def from_rows(rows: Iterable[Mapping[str, Any]], sample: str) -> Loaded:
    """Rows as text: question–answer pairs where there are such columns, else one line per row."""
    zh = detect_language(sample[:5000]) == "zh"
    ask, reply = ("问：", "答：") if zh else ("Q: ", "A: ")
    text, found = "", []
    for row in rows:
        cells = {str(k).strip(): _cell(v) for k, v in row.items() if k is not None and _cell(v)}
        question = next((k for k in cells if k.lower() in _QUESTION_COLUMNS), None)
        answer = next((k for k in cells if k.lower() in _ANSWER_COLUMNS), None)
        start = len(text)
        if question and answer:
            extra = "".join(f"\n{k}: {v}" for k, v in cells.items() if k not in (question, answer))
            text += f"{ask}{cells[question]}\n{reply}{cells[answer]}{extra}"
            found.append(Block("faq", start, len(text), title=cells[question]))
        elif cells:
            text += (
                "；".join(f"{k}：{v}" for k, v in cells.items())
                if zh
                else "; ".join(f"{k}: {v}" for k, v in cells.items())
            )
            found.append(Block("table_row", start, len(text)))
        else:
            continue
        text += "\n\n" if question and answer else "\n"
    return text, found, None


def from_html(markup: str) -> Loaded:
    reader = _Reader()
    reader.feed(_without_comments(markup))
    reader.close()
    text, found, heading = from_markdown(reader.text())
    return text, found, " ".join(clean(reader.title).split()) or heading


def _without_comments(markup: str) -> str:
    """The markup without comments, declarations and processing instructions.

    The parser fails over malformed ones, and searches each unfinished one to the end of the text.
    """
    kept, at = [], 0
    for found in _DECLARATION.finditer(markup):
        start = found.start()
        if start < at:
            continue
        kept.append(markup[at:start])
        end, length = (markup.find("-->", start), 3) if found[0] == "<!--" else (markup.find(">", start), 1)
        if end < 0:
            return "".join(kept)
        at = end + length
    return "".join(kept) + markup[at:]


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(clean(str(value)).split())


def _only_list(value: Any) -> list[Any] | None:
    """The rows of ``{"data": [{…}, …]}``: the only list of objects in an object."""
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and v and all(isinstance(item, dict) for item in v)]
        if len(lists) == 1:
            return lists[0]
    return None


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _outline(value: Any, depth: int) -> Iterable[str]:
    """A nested object as Markdown: keys of objects are headings, texts are paragraphs and list items."""
    if depth > _DEEPEST:
        yield "…"
        return
    for key, inner in value.items() if isinstance(value, dict) else (("", item) for item in value):
        if _nested(inner):
            if key:
                yield f"{'#' * min(depth, 6)} {_cell(key)}"
            yield from _outline(inner, depth + 1)
        elif text := _cell(inner):
            yield f"{_cell(key)}: {text}" if key else f"- {text}"


def _flat(value: Any, path: str, depth: int) -> Iterable[tuple[str, Any]]:
    if depth > _DEEPEST:
        yield path, "…"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield path or "value", ", ".join(map(str, value))
        else:
            for number, item in enumerate(value, 1):
                yield from _flat(item, f"{path}.{number}" if path else str(number), depth + 1)
    else:
        yield path or "value", value


def _front_matter(text: str) -> tuple[dict[str, str], int]:
    """``key: value`` lines between two ``---`` at the very top, and where the text after them begins."""
    match = re.match(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|$)", text, re.DOTALL)
    if not match:
        return {}, 0
    pairs = (line.partition(":") for line in match[1].splitlines())
    return {key.strip().lower(): value.strip().strip("\"'") for key, colon, value in pairs if colon}, match.end()


_DECLARATION = re.compile(r"<!--|<!|<\?")
_SKIPPED = {
    "script",
    "style",
    "template",
    "noscript",
    "svg",
    "iframe",
    "object",
    "head",
    "nav",
    "form",
    "select",
    "canvas",
    "math",
}
_VOID = {"br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr"}
_BLOCK = {"p", "div", "section", "article", "main", "header", "footer", "ul", "ol", "table", "blockquote", "dl", "dd", "dt", "figure", "figcaption", "address", "details", "summary", "pre"}  # fmt: skip
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9])",
    re.IGNORECASE,
)


class _Reader(HTMLParser):
    """HTML to Markdown text. What a browser would not show is left out, wherever it is nested."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._out: list[str] = []
        self._skip: list[str] = []  # open elements from the outermost skipped one inwards
        self._cells: list[str] | None = None
        self._rows = 0
        self._in_title = False
        self._lists: list[int | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        if self._skip:
            if tag not in _VOID:
                self._skip.append(tag)
            return
        if tag in _SKIPPED or _is_hidden(dict(attrs)):
            if tag not in _VOID:
                self._skip.append(tag)
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._put("\n\n" + "#" * int(tag[1]) + " ")
        elif tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
            self._put("\n")
        elif tag == "li":
            count = self._lists[-1] if self._lists else None
            if count is not None:
                self._lists[-1] = count + 1
            self._put("\n" + "  " * max(0, len(self._lists) - 1) + (f"{count + 1}. " if count is not None else "- "))
        elif tag == "table":
            self._rows = 0
            self._put("\n\n")
        elif tag == "tr":
            self._cells = []
        elif tag in ("td", "th"):
            if self._cells is not None:
                self._cells.append("")
        elif tag == "br":
            self._put("\n" if self._cells is None else " ")
        elif tag in _BLOCK and self._cells is None:
            self._put("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if self._skip:
            if tag in self._skip:  # also closes what was left open inside
                while self._skip and self._skip.pop() != tag:
                    pass
            return
        if tag == "tr" and self._cells is not None:
            cells = [" ".join(cell.split()).replace("|", "/") for cell in self._cells]
            self._cells = None
            if any(cells):
                self._put("| " + " | ".join(cells) + " |\n")
                self._rows += 1
                if self._rows == 1:
                    self._put("|" + " --- |" * len(cells) + "\n")
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self._put("\n")
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6") or (tag in _BLOCK and self._cells is None):
            self._put("\n\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skip:
            if self._cells:
                self._cells[-1] += data
            else:
                text = re.sub(r"\s+", " ", data)
                self._put(text.lstrip() if not self._out or self._out[-1].endswith("\n") else text)

    def _put(self, text: str) -> None:
        self._out.append(text)

    def text(self) -> str:
        joined = clean("".join(self._out))  # entities stand for invisible characters too
        joined = re.sub(r"[ \t]+\n", "\n", joined)
        return re.sub(r"\n{3,}", "\n\n", joined).strip() + "\n"


def _is_hidden(attrs: Mapping[str, str | None]) -> bool:
    return (
        "hidden" in attrs or attrs.get("aria-hidden") == "true" or bool(_HIDDEN_STYLE.search(attrs.get("style") or ""))
    )
