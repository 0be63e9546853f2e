"""Files to clean text with structure. Documents are data: nothing in them is run, fetched or obeyed.

The kind of a file follows from its suffix and is checked against its first bytes. Text is UTF-8 (with or
without a mark) or GB18030. Invisible characters (zero width, direction marks, tags, controls) are removed,
because they hide text from the reader and words from the search.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingFile, MissingPackage
from core.i18n import detect_language
from core.retrieval import formats, metadata
from core.retrieval.structure import Block

VERSION = 2  # raised when loading changes; documents are then read again at the next sync
MOST_BYTES = 50 * 2**20
MOST_CHARACTERS = 20_000_000
_MOST_UNZIPPED = 300 * 2**20
_MOST_PAGES = 5000
_PLAIN = {".txt", ".text", ".log", ".rst", ".adoc"}
_MARKDOWN = {".md", ".markdown", ".mdx"}
_HTML = {".html", ".htm", ".xhtml"}
_OFFICE = {".docx", ".pptx", ".xlsx"}
SUFFIXES = tuple(sorted(_PLAIN | _MARKDOWN | _HTML | _OFFICE | {".pdf", ".csv", ".tsv", ".json", ".jsonl"}))
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded document. Offsets of ``blocks``, passages and citations are characters of ``text``."""

    source: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    media_type: str
    language: str
    content_hash: str
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the front matter of Markdown


def files(paths: Sequence[str | os.PathLike[str]]) -> Iterator[tuple[Path, Path | None]]:
    """Every supported file under ``paths`` with the folder it was found in (``None`` for a file named itself).

    Hidden files and folders are skipped, and so are links that leave their folder.

    Raises:
        MissingFile: a path that is not there.
    """
    seen: set[Path] = set()
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise MissingFile(path=str(path), needed_for="touchstone index")
        root = path.resolve()
        if root.is_file():
            if root not in seen:
                seen.add(root)
                yield root, None
            continue
        for folder, names, leaves in os.walk(root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for leaf in sorted(leaves):
                found = Path(folder) / leaf
                if leaf.startswith(".") or found.suffix.lower() not in SUFFIXES:
                    continue
                target = found.resolve()
                if target.is_relative_to(root) and target.is_file() and target not in seen:
                    seen.add(target)
                    yield target, root


def read(path: Path) -> bytes:
    """The bytes of ``path``.

    Raises:
        InputError: too large, or it cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(
                reason="file_too_large", name=path.name, size_mb=round(size / 2**20, 1), limit_mb=MOST_BYTES // 2**20
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(reason="unreadable_file", name=path.name, detail=error.strerror or str(error)) from error


def content_hash(data: bytes, *versions: int) -> str:
    """SHA-256 of ``data`` and of the versions of what reads it."""
    return hashlib.sha256(data + repr(versions).encode()).hexdigest()


def load(data: bytes, *, source: str, title: str | None = None, hash_: str = "") -> Document:
    """Read ``data`` by the suffix of ``source``; an unknown suffix is read as plain text.

    Raises:
        InputError: binary_file, bad_encoding, empty_file, file_too_large, unreadable_file, bad_json.
        core.errors.MissingPackage: the reader of this format is not installed.
    """
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    front: dict[str, Any] = {}
    suffix = Path(name).suffix.lower()
    if suffix == ".pdf":
        media_type, (text, found, own_title) = "application/pdf", _pdf(data, name)
    elif suffix in _OFFICE:
        media_type, (text, found, own_title) = "application/vnd.openxmlformats", _office(data, name, suffix)
    else:
        written = clean(decode(data, name))
        if suffix in _MARKDOWN:
            media_type, (text, found, own_title) = "text/markdown", formats.from_markdown(written)
            front = metadata.front_matter(written)
        elif suffix in _HTML:
            media_type, (text, found, own_title) = "text/html", formats.from_html(written)
        elif suffix in (".csv", ".tsv"):
            media_type, (text, found, own_title) = "text/csv", formats.from_csv(written, name)
        elif suffix in (".json", ".jsonl"):
            media_type, (text, found, own_title) = (
                "application/json",
                formats.from_json(written, name, lines=suffix == ".jsonl"),
            )
        else:
            media_type, (text, found, own_title) = "text/plain", formats.from_plain(written)
    if not any(c.isalnum() for c in text):
        raise InputError(reason="empty_file", name=name)
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            reason="file_too_large", name=name, size_mb=len(text) // 10**6, limit_mb=MOST_CHARACTERS // 10**6
        )
    chosen = title if title is not None else own_title or Path(name).stem
    language = detect_language(text[:20_000])
    return Document(source, chosen[:300], text, tuple(found), media_type, language, hash_, front)


def decode(data: bytes, name: str) -> str:
    """Text bytes as text.

    Raises:
        InputError: binary_file for data that is no text, bad_encoding for text of another encoding.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and len(data) % 2 == 0:
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            pass
    if b"\x00" in data[:8192] or data[:4] in (
        b"%PDF",
        b"PK\x03\x04",
        b"\x7fELF",
        b"\x89PNG",
        b"GIF8",
        b"\x1f\x8b\x08\x00",
    ):
        raise InputError(reason="binary_file", name=name, allowed=" ".join(SUFFIXES))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise InputError(reason="bad_encoding", name=name) from error
    # GB18030 accepts nearly any bytes: real Chinese text is mostly common characters and punctuation.
    common = sum(
        1 for c in text if c < "\x7f" or "\u3000" <= c <= "\u303f" or "\u4e00" <= c <= "\u9fa5" or c > "\uff00"
    )
    controls = sum(1 for c in text if c < " " and c not in "\t\n\r\f")
    if common < 0.9 * len(text) or controls > 0.01 * len(text):
        raise InputError(reason="binary_file" if controls else "bad_encoding", name=name, allowed=" ".join(SUFFIXES))
    return text


def clean(text: str) -> str:
    """``text`` with one kind of line break and without invisible characters."""
    text = (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\u2028", "\n")
        .replace("\u2029", "\n\n")
        .replace("\f", "\n")
    )
    return _INVISIBLE.sub("", text).replace("\u00a0", " ")


def _pdf(data: bytes, name: str) -> formats.Loaded:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    if not data.lstrip()[:5].startswith(b"%PDF"):
        raise InputError(reason="unreadable_file", name=name, detail="not a PDF")
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(reason="unreadable_file", name=name, detail="encrypted")
        if len(reader.pages) > _MOST_PAGES:
            raise InputError(reason="unreadable_file", name=name, detail=f"{len(reader.pages)} pages > {_MOST_PAGES}")
        text, found, _ = formats.from_pages(clean(page.extract_text() or "") for page in reader.pages)
        title = str(reader.metadata.title or "").strip() if reader.metadata else ""
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise InputError(reason="unreadable_file", name=name, detail=f"{type(error).__name__}: {error}") from error
    return text, found, clean(title) or None


def _office(data: bytes, name: str, suffix: str) -> formats.Loaded:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unzipped = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise InputError(reason="unreadable_file", name=name, detail=f"not {suffix}") from error
    if unzipped > _MOST_UNZIPPED:
        raise InputError(
            reason="file_too_large", name=name, size_mb=unzipped // 2**20, limit_mb=_MOST_UNZIPPED // 2**20
        )
    try:
        from markitdown import MarkItDown, MarkItDownException, MissingDependencyException, StreamInfo
    except ModuleNotFoundError as error:
        raise MissingPackage(package="markitdown", needed_for=suffix, install='pip install "touchstone-llm"') from error
    try:
        converted = MarkItDown(enable_plugins=False).convert_stream(
            io.BytesIO(data), stream_info=StreamInfo(extension=suffix)
        )
    except MissingDependencyException as error:
        install = f'pip install "markitdown[{suffix[1:]}]"'
        raise MissingPackage(package="markitdown", needed_for=suffix, install=install) from error
    except (MarkItDownException, ValueError, KeyError, zipfile.BadZipFile, OSError) as error:
        raise InputError(reason="unreadable_file", name=name, detail=type(error).__name__) from error
    return formats.from_markdown(clean(converted.text_content))
