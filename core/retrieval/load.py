"""Files to clean text with structure. Documents are data: nothing in them is run, fetched or obeyed.

The kind of a file follows from its suffix and is checked against its first bytes. Text is UTF-8 (with or
without a mark) or GB18030. Invisible characters (zero width, direction marks, tags, controls) are removed,
because they hide text from the reader and words from the search.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, MissingFile, MissingPackage
from core.i18n import detect_language
from core.retrieval import formats, metadata
from core.retrieval.clean import clean
from core.retrieval.structure import Block

VERSION = 3  # raised when loading changes; documents are then read again at the next sync
MOST_BYTES = 50 * 2**20
MOST_CHARACTERS = 20_000_000
# A link that was put in the file's place is not followed, and a pipe that nobody writes to is not waited for.
_NEVER_WAIT = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MOST_UNZIPPED = 300 * 2**20
_MOST_ENTRIES = 10_000  # of an Office file
_MOST_PAGES = 5000
_PLAIN = {".txt", ".text", ".log", ".rst", ".adoc"}
_MARKDOWN = {".md", ".markdown", ".mdx"}
_HTML = {".html", ".htm", ".xhtml"}
_OFFICE = {".docx", ".pptx", ".xlsx"}
SUFFIXES = tuple(sorted(_PLAIN | _MARKDOWN | _HTML | _OFFICE | {".pdf", ".csv", ".tsv", ".json", ".jsonl"}))
RISKY = frozenset(_HTML | _OFFICE | {".pdf"})  # read in a process of their own, however small


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


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file looks like from outside; it looks otherwise after any change."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class Listing:
    """``files`` to read with the folder each was found in (``None`` for one named itself), and what is not read.

    ``skipped`` says why, by path; what lies under one of ``unreadable`` may be there or not.
    """

    files: tuple[tuple[Path, Path | None], ...]
    skipped: Mapping[str, InputError]
    unreadable: tuple[Path, ...]


def files(paths: Sequence[str | os.PathLike[str]]) -> Listing:
    """Every supported file under ``paths``.

    Hidden files and folders are left out without a word, and so are kinds of files that are not supported.
    Links that leave their folder, devices, pipes and names that are no text are skipped with a reason.

    Raises:
        MissingFile: a path that is not there.
    """
    seen: dict[Path, Path | None] = {}
    skipped: dict[str, InputError] = {}
    unreadable: list[Path] = []

    def failed(error: OSError) -> None:
        folder = Path(error.filename or ".")
        unreadable.append(folder)
        skipped[printable(folder)] = InputError(
            reason="unreadable_file", name=printable(folder), detail=error.strerror or type(error).__name__
        )

    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise MissingFile(path=str(path), needed_for="touchstone index")
        root = path.resolve()
        if not root.is_dir():
            _take(root, root, None, seen, skipped)
            continue
        for folder, names, leaves in os.walk(root, onerror=failed):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for leaf in sorted(leaves):
                found = Path(folder) / leaf
                if not leaf.startswith(".") and found.suffix.lower() in SUFFIXES:
                    _take(found, root, root, seen, skipped)
    return Listing(tuple(seen.items()), skipped, tuple(unreadable))


def _take(
    found: Path, inside: Path, root: Path | None, seen: dict[Path, Path | None], skipped: dict[str, InputError]
) -> None:
    """Enter ``found`` under ``seen``, or under ``skipped`` with the reason."""
    name = printable(found)
    try:
        target = found.resolve()
        str(target).encode()
        if not target.is_relative_to(inside):
            skipped[name] = InputError(reason="skipped_link", name=name, folder=str(inside))
        elif target.is_file():
            seen.setdefault(target, root)
        else:
            skipped[name] = InputError(reason="skipped_special", name=name)
    except UnicodeEncodeError:
        skipped[name] = InputError(reason="skipped_name", name=name)
    except (OSError, RuntimeError) as error:  # a link that leads to itself is a RuntimeError
        skipped[name] = InputError(reason="unreadable_file", name=name, detail=type(error).__name__)


def printable(path: Path) -> str:
    """The path as text, with stand-ins for bytes that are no characters."""
    return os.fsencode(path).decode("utf-8", "replace")


def read(path: Path) -> bytes:
    """The bytes of the regular file ``path``; see :func:`read_stamped`."""
    return read_stamped(path)[0]


def read_stamped(path: Path) -> tuple[bytes, Stamp]:
    """The bytes of the regular file ``path``, and its stamp. Nothing is followed and nothing waited for.

    Raises:
        InputError: file_too_large, unreadable_file, skipped_special (a device, a pipe), file_changing (somebody
            writes it now).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT)
    except OSError as error:
        raise InputError(reason="unreadable_file", name=path.name, detail=error.strerror or str(error)) from error
    with open(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise InputError(reason="skipped_special", name=path.name)
        try:
            data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise InputError(reason="unreadable_file", name=path.name, detail=error.strerror or str(error)) from error
        after = os.fstat(descriptor)
    if len(data) > MOST_BYTES:
        raise too_large(path.name, max(len(data), after.st_size))
    if Stamp.of(before) != Stamp.of(after) or len(data) != after.st_size:
        raise InputError(reason="file_changing", name=path.name)
    return data, Stamp.of(after)


def too_large(name: str, size: int) -> InputError:
    return InputError(
        reason="file_too_large", name=name, size_mb=round(size / 2**20, 1), limit_mb=round(MOST_BYTES / 2**20, 1)
    )


def content_hash(data: bytes, *versions: object) -> str:
    """SHA-256 of ``data`` and of the versions of what reads it."""
    return hashlib.sha256(data + repr(versions).encode()).hexdigest()


def load(
    data: bytes,
    *,
    source: str,
    title: str | None = None,
    hash_: str = "",
    columns: Mapping[str, str] | None = None,
    suffix: str | None = None,
) -> Document:
    """Read ``data`` by ``suffix``, or by that of ``source``; an unknown suffix is read as plain text.

    Files of strangers are read through :func:`core.retrieval.reading.read_document`, which sets limits.

    Args:
        columns: what the columns of CSV and JSON rows are (:data:`core.retrieval.formats.ROLES`); each row then
            becomes a section of its own.

    Raises:
        InputError: binary_file, bad_encoding, empty_file, file_too_large, unreadable_file, bad_json.
        core.errors.MissingPackage: the reader of this format is not installed.
    """
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    front: dict[str, Any] = {}
    suffix = suffix or Path(name).suffix.lower()
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
            media_type, (text, found, own_title) = "text/csv", formats.from_csv(written, name, columns)
        elif suffix in (".json", ".jsonl"):
            media_type, (text, found, own_title) = (
                "application/json",
                formats.from_json(written, name, columns, lines=suffix == ".jsonl"),
            )
        else:
            media_type, (text, found, own_title) = "text/plain", formats.from_plain(written)
    if not any(c.isalnum() for c in text):
        raise InputError(reason="empty_file", name=name)
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            reason="file_too_large", name=name, size_mb=len(text) // 10**6, limit_mb=MOST_CHARACTERS // 10**6
        )
    chosen = title if title is not None else own_title or clean(Path(name).stem).replace("\n", " ")
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
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise InputError(reason="unreadable_file", name=name, detail=f"not {suffix}") from error
    if len(entries) > _MOST_ENTRIES:
        raise InputError(reason="unreadable_file", name=name, detail=f"{len(entries)} entries > {_MOST_ENTRIES}")
    unzipped = sum(entry.file_size for entry in entries)
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
