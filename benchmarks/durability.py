"""Durability: processes killed at many points, several writers, readers beside writers, damaged files, full disks.

Each part counts what must be zero: documents that were acknowledged and are gone, documents in part or twice,
searches that miss something without saying so, and errors that are not of our own tree. The short form of every
part runs in the test suite (tests/core/retrieval/test_durability.py).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Result, Table, Target

if TYPE_CHECKING:
    from core.retrieval.library import Library

POINTS = 200
SEED = 20261125
DOCUMENTS = 14
_context = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
_context.set_forkserver_preload(
    ["core.retrieval.library", "core.retrieval.seal", "core.providers.scripted", "chromadb", "numpy"]
)


def run() -> Result:
    return result([kills(POINTS), writers(3), readers(), damages(), database_damages(), disk_full()])


def result(parts: Sequence[Outcome]) -> Result:
    rows: list[list[str | float | None]] = [
        [
            part.name,
            str(part.trials),
            str(part.lost),
            str(part.partial),
            str(part.silent),
            str(part.untyped),
            part.detail,
        ]
        for part in parts
    ]
    total = {name: sum(getattr(part, name) for part in parts) for name in ("lost", "partial", "silent", "untyped")}
    return Result(
        "durability",
        ("Durability: nothing lost, nothing silent", "持久性：不丢失，不静默出错"),
        [
            Table(
                ("What was done to the workspace", "对工作区做了什么"),
                [
                    ("fault", "故障"), ("trials", "次数"), ("lost", "丢失"), ("in part or twice", "残缺或重复"),
                    ("silently wrong", "静默错误"), ("other errors", "其他错误"), ("of these", "其中"),
                ],
                rows,
            )
        ],
        [
            Target(("acknowledged documents lost", "已确认却丢失的文档"), total["lost"], 0, ""),
            Target(("documents in part or twice", "残缺或重复的文档"), total["partial"], 0, ""),
            Target(("searches that were silently wrong", "静默出错的检索"), total["silent"], 0, ""),
            Target(("errors outside our own tree, or crashes", "不属于自有错误类型的错误或崩溃"), total["untyped"], 0, ""),
        ],
        raw={part.name: part.__dict__ for part in parts},
    )  # fmt: skip


@dataclass
class Outcome:
    """What a part found. All but ``trials`` must be zero."""

    name: str
    trials: int = 0
    lost: int = 0
    partial: int = 0
    silent: int = 0
    untyped: int = 0
    detail: str = ""
    notes: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        for name in ("lost", "partial", "silent", "untyped"):
            setattr(self, name, getattr(self, name) + other.get(name, 0))
        self.notes += other.get("notes", [])


# --- a library in this process, and work in others --------------------------------------------------


@contextmanager
def opened(home: Path, vectors: str = "chroma") -> Iterator[Library]:
    from core.providers.scripted import open_embedding
    from core.retrieval.library import Library
    from core.settings import load_settings
    from core.workspace import Workspace

    workspace = Workspace.open(home)
    model = open_embedding("hash", engine="scripted", settings=load_settings(home, {}))
    library = Library(workspace, model, vectors=vectors)  # type: ignore[arg-type]
    try:
        yield library
    finally:
        library.close()
        workspace.close()


def apart(work: Callable[..., Any], *arguments: Any, timeout_s: float = 300.0) -> dict[str, Any]:
    """``work(*arguments)`` in a process of its own: what it returned, or how it ended."""
    here, there = _context.Pipe(duplex=False)
    process = _context.Process(target=_reporting, args=(there, work, *arguments))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv() if here.poll(timeout_s) else {}
    except EOFError:
        found = {}
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()
    if not found:
        found = {"untyped": 1, "notes": [f"{work.__name__}{arguments} ended with {process.exitcode}"]}
    return found


def _reporting(there: Any, work: Callable[..., Any], *arguments: Any) -> None:
    _quiet()
    from core.errors import TouchstoneError

    try:
        there.send(work(*arguments))
    except TouchstoneError as error:
        there.send({"error": type(error).__name__, "message": str(error)})
    except BaseException as error:  # noqa: BLE001  # it is what is looked for
        there.send({"untyped": 1, "notes": [f"{work.__name__}{arguments}: {type(error).__name__}: {error}"]})


def _quiet() -> None:
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for the rest of this process
    os.dup2(sys.stderr.fileno(), 2)


# --- kill -9 ----------------------------------------------------------------------------------------


def kills(points: int, seed: int = SEED) -> Outcome:
    """Kill ``points`` indexing processes: half at our own commit points, half at any moment.

    A round edits, adds and removes documents; the process is killed; another one checks everything that was
    acknowledged, goes on where it stopped and checks again.
    """
    chance = random.Random(seed)
    outcome = Outcome(f"kill -9 at {points} points")
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        for trial in range(2 * points):  # some end before they are killed: these are checked, too, and not counted
            if killed == points:
                break
            if trial % 10 == 0:
                home, docs = Path(folder) / f"home{trial}", Path(folder) / f"docs{trial}"
                docs.mkdir()
            _edit(docs, chance, trial)
            acknowledged = docs.with_name(f"ack{trial}")
            vectors = "chroma" if trial % 4 else "exact"
            nth = chance.randint(1, 70) if trial % 2 else 0
            process = _context.Process(target=_index_until_killed, args=(home, docs, acknowledged, vectors, nth))
            process.start()
            if not nth:
                _wait_for(acknowledged, process)
                time.sleep(chance.random() * 0.4)
                if process.pid and process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
            process.join(120)
            killed += process.exitcode == -signal.SIGKILL
            names = acknowledged.read_text().split() if acknowledged.exists() else []
            found = apart(_check_and_go_on, home, docs, names, vectors)
            if "error" in found:
                found = {"untyped": 1, "notes": [found["message"]]}
            if any(found.get(name) for name in ("lost", "partial", "silent", "untyped")):
                found.setdefault("notes", []).append(f"trial {trial}, nth {nth}, {vectors}")
            outcome.add(found)
            outcome.trials += 1
    outcome.detail = f"{killed} killed before the end"
    return outcome


def _edit(docs: Path, chance: random.Random, trial: int) -> None:
    for n in range(DOCUMENTS):
        path = docs / f"{n}.md"
        if not path.exists() or chance.random() < 0.4:
            word = f"w{trial}x{n}y"
            path.write_text(
                f"# Item {n}\n\nThe code word of item {n} is {word}.\n\n## More of {n}\n\nSecond part {word}.\n"
            )
    if chance.random() < 0.5:
        (docs / f"{chance.randrange(DOCUMENTS)}.md").unlink(missing_ok=True)


def _wait_for(path: Path, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)


def _index_until_killed(home: Path, docs: Path, acknowledged: Path, vectors: str, nth: int) -> None:
    _quiet()
    from core import workspace
    from core.retrieval import applied, chroma, index, keyword, seal
    from core.retrieval import vectors as stored

    seen = 0

    def point() -> None:
        nonlocal seen
        seen += 1
        if seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def wrapped(*a: Any, **k: Any) -> Any:
            point()
            result = original(*a, **k)
            point()
            return result

        setattr(owner, name, wrapped)

    around(keyword, "add")
    around(stored, "put")
    around(chroma.ChromaIndex, "upsert")
    around(chroma.ChromaIndex, "delete")
    around(applied.Applied, "_enter")
    around(seal.Seal, "open")
    around(seal.Seal, "close")
    around(workspace.Workspace, "write")
    index.EMBED_BATCH, applied.BATCH = 4, 5

    with acknowledged.open("a") as told, opened(home, vectors) as library:

        def progress(step: Any) -> None:
            if step.stage == "files":
                told.write(f"{step.name}\n")
                told.flush()

        asyncio.run(library.collection().sync([docs], progress=progress))


def _check_and_go_on(home: Path, docs: Path, acknowledged: list[str], vectors: str) -> dict[str, Any]:
    """What a kill left, then the rest of the work, then everything."""
    found: dict[str, Any] = {"lost": 0, "partial": 0, "silent": 0, "untyped": 0, "notes": []}
    with opened(home, vectors) as library:
        there = _state(library, found)
        for name in acknowledged:
            path = docs / name
            if there.get(str(path)) != path.read_text():
                found["lost"] += 1
                found["notes"].append(f"{name} was acknowledged and is not there as it was")
        report = asyncio.run(library.collection().sync([docs]))
        again = {Path(row.source).name for row in report.files if row.status in ("added", "updated")}
        if again & set(acknowledged):
            found["partial"] += 1
            found["notes"].append(f"done again: {sorted(again & set(acknowledged))}")
        expected = {str(path): path.read_text() for path in docs.glob("*.md")}
        if _state(library, found) != expected:
            found["lost"] += 1
            found["notes"].append("after going on the documents are not those of the folder")
        if library.collection().info().pending:
            found["lost"] += 1
            found["notes"].append("vectors are missing after going on")
        found["silent"] += _unfound(library, found["notes"])
    return found


def _state(library: Library, found: dict[str, Any]) -> dict[str, str]:
    """Text by source; counts documents in part, twice, or that their own words do not find."""
    index = library.collection()
    if not index.id():
        return {}
    texts = {}
    with library.workspace.read() as db:
        numbers = [row[0] for row in db.execute("SELECT number FROM passages ORDER BY number")]
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            found["partial"] += 1
    from core.retrieval import keyword

    with library.workspace.read() as db:
        terms = sorted(keyword.numbers(db, index.id()))
    if terms != numbers:
        found["partial"] += 1
        found["notes"].append("keyword index and passages differ")
    for document in index.documents():
        passages = index.passages(document.id)
        texts[document.source] = index.document_text(document.id)
        if len(passages) != 2 or len({p.text for p in passages}) != 2:
            found["partial"] += 1
            found["notes"].append(f"{document.source} has {len(passages)} passages")
        word = texts[document.source].split(" is ")[1].split(".")[0]
        hits = asyncio.run(index.search(word, 30))
        if document.id not in {hit.passage.document_id for hit in hits if hit.keyword_rank}:
            found["silent"] += 1
            found["notes"].append(f"{word} does not find {document.source}")
        if len({hit.passage.id for hit in hits}) != len(hits):
            found["partial"] += 1
    return texts


def _unfound(library: Library, notes: list[str]) -> int:
    """Passages whose own vector does not find them first, with no notice that says so."""
    from core.retrieval import vectors

    index, model = library.collection(), library.embedding_model()
    assert model is not None
    leg = library.leg(index.id(), model)
    missing = 0
    with library.workspace.read() as db:
        rows = db.execute(
            "SELECT id, number, text_hash FROM passages WHERE collection_id = ?", (index.id(),)
        ).fetchall()
        stored = vectors.get(db, model.name, [row["text_hash"] for row in rows])
    for row in rows:
        near = leg.search(stored[row["text_hash"]], 5)
        own = near.cosines[near.numbers == row["number"]]
        if (own if len(own) else near.cosines).max(initial=0.0) < 0.99:
            missing += 1
            notes.append(f"passage {row['id']} is not found by its own vector")
    return missing


# --- several processes ------------------------------------------------------------------------------


def writers(count: int, documents: int = 40) -> Outcome:
    """``count`` processes index into one collection at once, each a folder of its own and one that all share."""
    outcome = Outcome(f"{count} writers", trials=count)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shared = _folder(Path(folder) / "shared", 10, "shared")
        folders = [_folder(Path(folder) / f"own{n}", documents, f"own{n}") for n in range(count)]
        ends = [_context.Pipe(duplex=False) for _ in range(count)]
        started = [
            _context.Process(target=_reporting, args=(there, _index, home, [own, shared]))
            for own, (_, there) in zip(folders, ends, strict=True)
        ]
        for process in started:
            process.start()
        for here, _ in ends:
            found = here.recv() if here.poll(300) else {"untyped": 1, "notes": ["a writer did not end"]}
            if "error" in found:
                found = {"untyped": 1, "notes": [found["message"]]}
            outcome.add(found)
        for process in started:
            process.join(10)
        outcome.add(apart(_all_there, home, [shared, *folders]))
    outcome.detail = f"{count * documents + 10} documents"
    return outcome


def _folder(folder: Path, count: int, word: str) -> Path:
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.md").write_text(
            f"# {word} {n}\n\nThe code word of {word} {n} is {word}x{n}y.\n\n## More\n\nPart two of {word} {n}.\n"
        )
    return folder


def _index(home: Path, folders: list[Path]) -> dict[str, Any]:
    from core.retrieval import applied

    applied.BATCH = 7
    with opened(home) as library:
        report = asyncio.run(library.collection().sync(folders))
    return {"untyped": report.count("failed")}


def _all_there(home: Path, folders: list[Path]) -> dict[str, Any]:
    found: dict[str, Any] = {"lost": 0, "partial": 0, "silent": 0, "untyped": 0, "notes": []}
    with opened(home) as library:
        asyncio.run(library.collection().embed_pending())
        expected = {str(path): path.read_text() for folder in folders for path in folder.glob("*.md")}
        there = _state(library, found)
        found["lost"] += len(expected.keys() - there.keys())
        found["partial"] += len(there.keys() - expected.keys())
        found["silent"] += _unfound(library, found["notes"])
        index, model = library.collection(), library.embedding_model()
        assert model is not None
        if library.leg(index.id(), model).notices:
            found["silent"] += 1
            found["notes"].append("Chroma was not used, so that its vectors were not looked at")
    return found


def readers(documents: int = 60) -> Outcome:
    """A process asks without pause while another one indexes; what was acknowledged before a question is found."""
    outcome = Outcome("reader beside a writer")
    with tempfile.TemporaryDirectory() as folder:
        home, acknowledged = Path(folder) / "home", Path(folder) / "told"
        docs = _folder(Path(folder) / "docs", documents, "item")
        here, there = _context.Pipe(duplex=False)
        writer = _context.Process(target=_reporting, args=(there, _index_slowly, home, docs, acknowledged))
        writer.start()
        there.close()
        _wait_for(acknowledged, writer)
        found = apart(_read_beside, home, docs, acknowledged, documents)
        if "error" in found:
            found = {"untyped": 1, "notes": [found["message"]]}
        outcome.add(found)
        outcome.add(here.recv() if here.poll(120) else {"untyped": 1, "notes": ["the writer did not end"]})
        writer.join(10)
    outcome.trials = found.get("questions", 0)
    outcome.detail = f"{found.get('answered', 0)} of {outcome.trials} asked of Chroma"
    return outcome


def _index_slowly(home: Path, docs: Path, acknowledged: Path) -> dict[str, Any]:
    from core.retrieval import applied

    applied.BATCH = 3
    with opened(home) as library:
        index = library.collection()
        for n in range(0, len(list(docs.iterdir()))):
            report = asyncio.run(index.sync([docs / f"{n}.md"]))
            if report.notices or report.count("added") != 1:
                return {"untyped": 1, "notes": [str(report)]}
            with acknowledged.open("a") as told:
                told.write(f"{n}\n")
    return {}


def _read_beside(home: Path, docs: Path, acknowledged: Path, documents: int) -> dict[str, Any]:
    found: dict[str, Any] = {"silent": 0, "notes": [], "questions": 0, "answered": 0}
    deadline = time.monotonic() + 240
    with opened(home) as library:
        index, model = library.collection(), library.embedding_model()
        assert model is not None
        done: list[str] = []
        while len(done) < documents and time.monotonic() < deadline:
            done = acknowledged.read_text().split()
            asked = done[-1]
            hits = asyncio.run(index.search(f"item {asked} itemx{asked}y", 6))
            first = next((hit for hit in hits if hit.passage.source == str(docs / f"{asked}.md")), None)
            found["questions"] += 1
            if first is None or first.keyword_rank is None or first.vector_rank is None:
                found["silent"] += 1
                found["notes"].append(f"item {asked} was acknowledged and is not found by both legs")
            found["answered"] += library.leg(index.id(), model)._index_seen is not None
        time.sleep(1.0)  # the writer has ended: from now on Chroma is asked
        found["silent"] += _unfound(library, found["notes"])
        if library.leg(index.id(), model)._index_seen is None or library.leg(index.id(), model).notices:
            found["silent"] += 1
            found["notes"].append("Chroma is not asked after the writer has ended")
    return found


# --- damage -----------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "deleted": lambda path, _: path.unlink(),
    "emptied": lambda path, _: path.write_bytes(b""),
    "truncated": lambda path, _: os.truncate(path, path.stat().st_size // 2),
    "zeroed": lambda path, _: path.write_bytes(bytes(path.stat().st_size)),
    "4 KB overwritten": lambda path, chance: _overwrite(path, chance),
}


def _overwrite(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(chance.randrange(max(1, path.stat().st_size - 4096)))
        file.write(chance.randbytes(min(4096, path.stat().st_size)))


def damages(kinds: tuple[str, ...] = tuple(KINDS), files: tuple[str, ...] = (), seed: int = SEED) -> Outcome:
    """Damage each file of the Chroma folder in each way; search must stay right or say so, and rebuild must mend it."""
    outcome = Outcome("Chroma files damaged")
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, home = Path(folder) / "whole", Path(folder) / "home"
        rows = "".join(
            f"What is the code of part {n}?,The code of part {n} is c{n * 7919 % 10007}x{n}.\n" for n in range(1300)
        )
        (Path(folder) / "parts.csv").write_text(f"question,answer\n{rows}")
        outcome.add(apart(_index_whole, whole, Path(folder) / "parts.csv"))
        there = sorted(p.relative_to(whole / "chroma").as_posix() for p in (whole / "chroma").rglob("*") if p.is_file())
        names = [name for name in there if not files or Path(name).name in files]
        cases = [(name, kind) for name in names for kind in kinds]
        if not files:
            cases += [
                (str(Path(names[0]).parent), "folder deleted"),
                ("../chroma.seal.json", "4 KB overwritten"),
                ("../chroma.seal.json", "deleted"),
            ]
        noticed = 0
        for name, kind in cases:
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(whole, home)  # keeps the times, as the seal wants them
            if kind == "folder deleted":
                shutil.rmtree(home / "chroma" / name)
            else:
                KINDS[kind](home / "chroma" / name, chance)
            found = apart(_ask_damaged, home)
            if "error" in found:
                found = {"untyped": 1, "notes": [found["message"]]}
            if any(found.get(n) for n in ("silent", "untyped", "lost")):
                found.setdefault("notes", []).append(f"{name} {kind}")
            noticed += bool(found.get("noticed"))
            outcome.add(found)
            outcome.trials += 1
    outcome.detail = f"{noticed} noticed, the others harmless"
    return outcome


def _index_whole(home: Path, source: Path) -> dict[str, Any]:
    with opened(home) as library:
        report = asyncio.run(library.collection().sync([source]))
        found = {"lost": report.count("failed"), "notes": [str(report.files)] if report.count("failed") else []}
        found["silent"] = _ask(library)[1]
    return found


def _ask(library: Library) -> tuple[bool, int]:
    """Whether a notice was given, and how many of 25 questions were answered otherwise than exact search does."""
    from core.retrieval.library import Library

    model = library.embedding_model()
    index, exact = library.collection(), Library(library.workspace, model, vectors="exact").collection()
    wrong, notices = 0, set()
    for n in range(0, 1300, 52):
        query = f"code of part {n}"
        found, right = asyncio.run(index.find(query, 10)), asyncio.run(exact.find(query, 10))
        notices |= set(found.notices)
        shared = {h.passage.id for h in found.hits} & {h.passage.id for h in right.hits}
        wrong += len(shared) < 9 or found.hits[0].passage.id != right.hits[0].passage.id
    return "index_damaged" in notices, wrong


def _ask_damaged(home: Path) -> dict[str, Any]:
    from core.retrieval import upkeep

    with opened(home) as library:
        noticed, wrong = _ask(library)
        asyncio.run(upkeep.rebuild(library))
        after, still = _ask(library)
        _index, model = library.collection(), library.embedding_model()
        assert model is not None
        held = library.store.index(_name(library), model.dim).count()
    lost = (held != 1300) + after
    notes = [f"after rebuild: {held} vectors, notice {after}, {still} wrong"] if lost or still else []
    return {"noticed": noticed, "silent": wrong + still, "lost": lost, "notes": notes}


def _name(library: Library) -> str:
    with library.workspace.read() as db:
        return str(db.execute("SELECT name FROM vector_indexes").fetchone()[0])


def database_damages(seed: int = SEED) -> Outcome:
    """Damage the database itself: a typed error, never an empty workspace; and a backup brings everything back."""
    outcome = Outcome("database damaged, restored from a backup")
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, home, packed = Path(folder) / "whole", Path(folder) / "home", Path(folder) / "backup.zip"
        docs = _folder(Path(folder) / "docs", 40, "item")
        outcome.add(apart(_index, whole, [docs]))
        outcome.add(apart(_back_up, whole, packed))
        for kind in ("truncated", "zeroed", "4 KB overwritten", "4 KB overwritten", "4 KB overwritten"):
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(whole, home)
            KINDS[kind](home / "touchstone.db", chance)
            found = apart(_open_damaged, home, [docs])
            if found.get("error") in ("StoreDamaged", "StoreError", "StoreTooNew"):
                found = {}
            outcome.add(found)
            outcome.add(apart(_put_back, home, packed))
            outcome.add(apart(_all_there, home, [docs]))
            outcome.trials += 1
    return outcome


def _back_up(home: Path, packed: Path) -> dict[str, Any]:
    from core.backup import backup

    with opened(home) as library:
        backup(library.workspace, packed)
    return {"done": True}


def _put_back(home: Path, packed: Path) -> dict[str, Any]:
    from core.backup import restore

    restore(home, packed)
    return {"done": True}


def _open_damaged(home: Path, folders: list[Path]) -> dict[str, Any]:
    """Use everything; whatever is damaged must be told by a typed error, or be harmless to what is read."""
    from core.retrieval import upkeep

    with opened(home, "exact") as library:
        asyncio.run(upkeep.rebuild(library))
    return _all_there(home, folders)


# --- full disk --------------------------------------------------------------------------------------


def disk_full() -> Outcome:
    """Index until no byte more may be written; then everything acknowledged is there, and it goes on with room."""
    outcome = Outcome("disk full", trials=1)
    with tempfile.TemporaryDirectory() as folder:
        home, acknowledged = Path(folder) / "home", Path(folder) / "told"
        docs = _folder(Path(folder) / "docs", 400, "item")
        found = apart(_fill, home, docs, acknowledged, 900_000)
        if found.get("error") not in ("StoreError", "StoreDamaged"):
            outcome.add({"untyped": 1, "notes": [f"filling ended with {found}"]})
        names = acknowledged.read_text().split() if acknowledged.exists() else []
        outcome.add(apart(_check_and_go_on, home, docs, names, "exact"))
    outcome.detail = f"{len(names)} of 400 documents acknowledged before"
    return outcome


def _fill(home: Path, docs: Path, acknowledged: Path, most: int) -> dict[str, Any]:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    with acknowledged.open("a") as told, opened(home, "exact") as library:

        def progress(step: Any) -> None:
            if step.stage == "files":
                told.write(f"{step.name}\n")
                told.flush()

        asyncio.run(library.collection().sync([docs], progress=progress))
    return {"done": True}


if __name__ == "__main__":
    print(json.dumps(run().raw, indent=1, default=str))
