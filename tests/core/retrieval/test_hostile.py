"""Documents built to harm: bombs, endless loops, tricks with names and links. The batch goes on, the reason is told."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError
from core.retrieval import load, reading
from core.retrieval.library import Library
from core.retrieval.reading import Limits, Readers, read_document
from tests.core.retrieval.conftest import found, sync
from tests.core.retrieval.test_load import docx, pdf

TIGHT = Limits(memory_mb=1024, cpu_s=4, wall_s=20)


def refused(data: bytes, name: str, limits: Limits = TIGHT) -> InputError:
    with pytest.raises(InputError) as caught:
        read_document(data, source=name, limits=limits)
    assert name in caught.value.text("zh")
    return caught.value


def office(parts: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return packed.getvalue()


TYPES = (
    b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default'
    b' Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="'
    b'/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main'
    b'+xml"/></Types>'
)
RELATIONS = (
    b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"'
    b' Target="word/document.xml"/></Relationships>'
)


def word(body: bytes) -> bytes:
    return office({"[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS, "word/document.xml": body})


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "ha">' + b"".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">'.encode() for n in range(1, 12)
) + b"]><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body><w:p><w:r><w:t>&a11;</w:t></w:r></w:p></w:body></w:document>"  # fmt: skip


def test_a_document_comes_back_from_its_process_as_it_was_read() -> None:
    for name, data in {
        "a.html": "<h1>题目</h1><p>内容 <b>粗</b></p>".encode(),
        "b.pdf": pdf(["Page one.", "Page two."]),
        "c.docx": docx("Returns within 15 days."),
    }.items():
        assert read_document(data, source=name, hash_="h") == load.load(data, source=name, hash_="h")
    large = ("---\n年份: 2025\ntags: [a, b]\nat: 2026-01-01\n---\n\n# 一\n\n" + "很长的一段文字。" * 100_000).encode()
    assert len(large) > reading.SMALL_BYTES
    read = read_document(large, source="l.md")
    assert read == load.load(large, source="l.md")
    assert dict(read.metadata) == {"年份": 2025, "tags": ["a", "b"], "at": "2026-01-01"}


def test_one_process_reads_many_files() -> None:
    readers = Readers()
    try:
        asked = {"source": "a.html", "title": None, "hash_": "", "columns": {}, "suffix": ".html"}
        for n in range(30):
            assert readers.read(f"<p>text {n}</p>".encode(), asked, Limits()).text == f"text {n}\n"
        (child,) = readers._idle
        assert child.served == 30
    finally:
        readers.close()


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("laughs.docx", lambda: word(LAUGHS)),
        ("bomb.docx", lambda: word(b"<a>" + b"0" * 250_000_000)),
        ("entries.xlsx", lambda: office({f"{n}": b"" for n in range(10_001)})),
        ("nested.docx", lambda: word(office({"a.zip": office({"b.zip": b"0" * 1000})}))),
        ("declared.pptx", lambda: office({"ppt/a.xml": b"0" * (301 * 2**20)})),
    ],
)
def test_office_bombs(name: str, made: Callable[[], bytes]) -> None:
    data = made()
    assert len(data) < 2_000_000
    started = time.monotonic()
    error = refused(data, name)
    assert error.reason in ("reader_slow", "reader_memory", "reader_died", "unreadable_file", "file_too_large")
    assert time.monotonic() - started < 25
    assert read_document(b"<p>next</p>", source="n.html", limits=TIGHT).text == "next\n"  # a new reader is there


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("TOP-SECRET")
    body = (
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
        "seen &x;</w:t></w:r></w:p></w:body></w:document>"
    ).encode()
    with pytest.raises(InputError) as caught:
        read_document(word(body), source="x.docx")
    assert caught.value.reason == "unreadable_file"
    assert "TOP-SECRET" not in str(caught.value)


def test_pdfs_that_harm() -> None:
    pages = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n"
    assert refused(pages, "loop.pdf").reason in ("unreadable_file", "empty_file", "reader_slow", "reader_died")
    assert refused(pdf(["x"])[:200], "cut.pdf").reason in ("unreadable_file", "empty_file")
    many = pdf(["x"]).replace(b"/Count 1", b"/Count 9").replace(b"/Kids [4 0 R]", b"/Kids [" + b"4 0 R " * 5001 + b"]")
    assert "5001 pages" in str(refused(many, "pages.pdf", Limits(cpu_s=30, wall_s=60)))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("deep.html", b"<div>" * 90_000 + b"text" + b"</div>" * 70_000),
        ("comments.html", b"<!--" * 249_000 + b"text"),
        ("attributes.html", b"<p " + b"a='" * 300_000 + b">text"),
        ("open.html", b"<" * 990_000),
        ("marked.html", b"<![" * 330_000),
        ("amp.html", b"&" * 990_000),
        ("declared.html", b"<!" * 490_000),
        ("cdata.html", b"<![CDATA[" * 100_000),
        ("processing.html", b"<?" * 490_000),
        ("deep.json", b"[" * 500_000),
        ("objects.json", b'{"a":' * 160_000 + b"1" + b"}" * 160_000),
        ("quotes.csv", (b"\"'" * 10_000 + b",;\t|") * 40),
        ("line.txt", b"a" * 990_000),
        ("han.txt", "漢".encode() * 330_000),
        ("hashes.md", b"#" * 990_000),
        ("pipes.md", b"|" * 990_000),
        ("fences.md", b"```\n" * 240_000),
        ("stars.md", b"**" * 490_000),
        ("items.md", b"- \n" * 330_000),
        ("dots.txt", b". " * 490_000),
        ("brackets.md", b"[](" * 330_000),
        ("front.md", b"---\n" * 240_000),
        ("questions.txt", "问：\n".encode() * 140_000),
    ],
)
def test_a_megabyte_of_anything_is_read_or_refused_in_bounded_time(name: str, data: bytes, library: Library) -> None:
    """What is read in this process must not hold it: load, split and index together."""
    assert len(data) <= reading.SMALL_BYTES
    started = time.process_time()
    reason = None
    with contextlib.suppress(InputError):
        try:
            asyncio.run(library.collection().add_bytes(data, name, embed=False))
        except InputError as error:
            reason = error.reason
            raise
    assert reason in (None, "empty_file", "unreadable_file", "bad_json")
    assert time.process_time() - started < 20


def test_processor_time_is_limited() -> None:
    started = time.monotonic()
    error = refused(b"</" * 490_000, "slow.html", Limits(cpu_s=1, wall_s=60))  # the parser is quadratic over these
    assert error.reason == "reader_slow"
    assert time.monotonic() - started < 30


def test_memory_is_limited() -> None:
    data = ("<p>" + "x" * 100 + "</p>").encode() * 9_000
    assert read_document(data, source="a.html").text
    assert refused(data * 40, "large.html", Limits(memory_mb=200, cpu_s=60)).reason in ("reader_memory", "reader_died")


def test_markup_that_trips_the_parser() -> None:
    for markup in (
        "<![if x]><p>shown</p>",
        "<!DOCTYPE html><p>shown</p>",
        "<?xml version='1.0'?><p>shown</p>",
        "<p>shown</p><!--",
    ):
        assert read_document(markup.encode(), source="a.html").text == "shown\n"
    assert read_document(b"<p>a<!-- hidden --> b</p><!-- <p>no</p> -->", source="a.html").text == "a b\n"


def test_a_reader_that_hangs_or_dies_fails_its_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "import sys, time; time.sleep(60)"
    dead = "import os, sys; sys.stdin.buffer.read(8); os._exit(3)"
    loud = "import sys; sys.stdout.buffer.write((2**40).to_bytes(8, 'big')); sys.stdout.flush(); sys.stdin.read()"
    original = reading.subprocess.Popen
    for code, expected in ((slow, "reader_slow"), (dead, "reader_died"), (loud, "reader_died")):
        readers = Readers()
        with monkeypatch.context() as patch:
            patch.setattr(
                reading.subprocess, "Popen", lambda command, code=code, **k: original([command[0], "-c", code], **k)
            )
            asked = {"source": "a.html", "title": None, "hash_": "", "columns": {}, "suffix": None}
            with pytest.raises(InputError) as caught:
                readers.read(b"<p>x</p>", asked, Limits(wall_s=1.5))
        assert caught.value.reason == expected
        assert readers._idle == []


GUARDED = """
import os, socket, subprocess, sys
from core.retrieval import read_worker
home, port = sys.argv[1], int(sys.argv[2])
sys.addaudithook(read_worker._Guard())
def tried(what):
    try:
        what()
    except PermissionError:
        return "refused"
    except Exception as error:
        return type(error).__name__
    return "done"
print(
    tried(lambda: socket.create_connection(("127.0.0.1", port), timeout=2)),
    tried(lambda: socket.getaddrinfo("localhost", 80)),
    tried(lambda: subprocess.run(["true"])),
    tried(lambda: os.system("true")),
    tried(lambda: open(home + "/new.txt", "w")),
    tried(lambda: open(home + "/secret.txt")),
    tried(lambda: os.remove(home + "/secret.txt")),
    tried(lambda: os.fork()),
    tried(lambda: __import__("json.tool")),
)
"""


def test_what_a_reader_may_not_do(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        command = [reading.sys.executable, "-c", GUARDED, str(tmp_path), str(server.getsockname()[1])]
        done = reading.subprocess.run(command, cwd=reading.ROOT, capture_output=True, text=True, check=True, timeout=60)
        with pytest.raises(TimeoutError):
            server.accept()
    assert done.stdout.split() == ["refused"] * 8 + ["done"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt"]


def test_a_reader_sees_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    child = reading._Child(Limits().memory_mb)
    try:
        environment = Path(f"/proc/{child._process.pid}/environ")
        if environment.exists():
            assert b"sk-canary" not in environment.read_bytes()
    finally:
        child.kill()


def test_hidden_text_behind_entities_and_escapes() -> None:
    hidden = "\u200b\u202e\U000e0041\U000e0042\ufeff"
    entities = "".join(f"&#x{ord(c):x};" for c in hidden)
    escapes = json.dumps(hidden, ensure_ascii=True).strip('"')
    assert read_document(f"<title>a{entities}b</title><p>x{entities}y</p>".encode(), source="a.html").text == "xy\n"
    assert read_document(f"<title>a{entities}b</title><p>x</p>".encode(), source="a.html").title == "ab"
    assert load.load(f'[{{"a": "x{escapes}y \\ud800"}}]'.encode(), source="a.json").text == "a: xy\n"


def test_names_and_links(library: Library, tmp_path: Path) -> None:
    docs, outside = tmp_path / "docs", tmp_path / "outside"
    docs.mkdir()
    outside.mkdir()
    (outside / "secret.md").write_text("# Secret\n\nThe password is swordfish.\n")
    good = {
        "two\nlines.md": "alpha",
        "CON.md": "bravo",
        "rtl\u202egnp.md": "charlie",
        "x" * 240 + ".md": "delta",
        "A.md": "echo",
        "a.md": "foxtrot",
    }
    for name, text in good.items():
        (docs / name).write_text(f"{text} is here.\n")
    (docs / "link.md").symlink_to(outside / "secret.md")
    (docs / "up").symlink_to(outside)
    (docs / "loop.md").symlink_to(docs / "loop.md")
    (docs / "null.md").symlink_to("/dev/null")
    os.mkfifo(docs / "pipe.md")
    with open(os.path.join(os.fsencode(docs), b"\xff\xfe.md"), "w") as file:
        file.write("no text in the name")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if "home" not in path.parts}
    started = time.monotonic()
    report = sync(library, docs, embed=False)
    assert time.monotonic() - started < 10  # a pipe without a writer is not waited for
    reasons = {Path(row.source).name: row.error.reason for row in report.files if row.error}
    assert reasons == {
        "link.md": "skipped_link",
        "loop.md": "unreadable_file",
        "null.md": "skipped_link",
        "pipe.md": "skipped_special",
        "\ufffd\ufffd.md": "skipped_name",
    }
    assert report.count("added") == len(good)
    assert "swordfish" not in str([library.collection().document_text(d.id) for d in library.collection().documents()])
    for text in good.values():
        assert found(library, text)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if "home" not in path.parts} == before
    journal = {Path(e.source).name: e.status for e in library.collection().journal()[0].entries}
    assert journal["pipe.md"] == "skipped"
    assert journal["two\nlines.md"] == "added"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\windows\\system.ini", "a\x00b.txt", "", "  ", "C:\\x.txt"]
)
def test_names_of_uploads_stay_names(library: Library, name: str, tmp_path: Path) -> None:
    result = asyncio.run(library.collection().add_bytes(b"some text", name, embed=False))
    assert "/" not in result.source
    assert "\\" not in result.source
    assert "\x00" not in result.source
    assert result.source


def test_a_device_or_a_link_put_in_a_files_place_is_not_read(tmp_path: Path) -> None:
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("text")
    link.symlink_to(real)
    with pytest.raises(InputError) as caught:
        load.read(link)
    assert caught.value.reason == "unreadable_file"
    with pytest.raises(InputError) as caught:
        load.read(Path("/dev/zero"))
    assert caught.value.reason == "skipped_special"


def test_a_file_that_is_being_written_waits(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("first part")
    original = load.os.fstat
    calls = []

    def grows(descriptor: int) -> os.stat_result:
        calls.append(descriptor)
        if len(calls) == 2:
            with (docs / "a.md").open("a") as file:
                file.write(" and more")
        return original(descriptor)

    monkeypatch.setattr(load.os, "fstat", grows)
    (row,) = sync(library, docs).files
    assert (row.status, row.error.reason if row.error else None) == ("skipped", "file_changing")
    monkeypatch.undo()
    assert sync(library, docs).count("added") == 1


def test_a_folder_that_cannot_be_read_keeps_its_documents(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "kept.md").write_text("kept text")
    sync(library, folder)
    original = os.scandir

    def denied(path: str) -> object:
        if str(path) == str(inner):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", denied)
    report = sync(library, folder)
    assert report.count("removed") == 0
    assert [Path(row.source).name for row in report.files if row.status == "failed"] == ["inner"]
    monkeypatch.undo()
    assert found(library, "kept text")[0] == "kept"


def test_pages_of_the_own_network_are_not_fetched(library: Library) -> None:
    hits: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        report = asyncio.run(library.collection().sync([url, "http://169.254.169.254/latest/meta-data/"]))
        with contextlib.suppress(TimeoutError):
            hits.append(server.accept())
    assert [row.error.reason for row in report.files if row.error] == ["url_refused", "url_refused"]
    assert hits == []
