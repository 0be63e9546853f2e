"""The short form of ``python -m benchmarks durability``: nothing lost, nothing in part, nothing silent, no stray error."""

from __future__ import annotations

import os

import pytest

from benchmarks import durability
from benchmarks.durability import Outcome

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills with signals")


def clean(outcome: Outcome) -> Outcome:
    assert (outcome.lost, outcome.partial, outcome.silent, outcome.untyped) == (0, 0, 0, 0), outcome.notes
    return outcome


def test_killed_at_eight_points() -> None:
    outcome = clean(durability.kills(8, seed=7))
    assert int(outcome.detail.split()[0]) == 8, "hardly any process was killed, so little was tested"


def test_three_writers() -> None:
    clean(durability.writers(3, documents=8))


def test_a_reader_beside_a_writer() -> None:
    outcome = clean(durability.readers(12))
    assert outcome.trials > 12


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("truncated", ("data_level0.bin", "chroma.sqlite3")),
        ("4 KB overwritten", ("index_metadata.pickle", "link_lists.bin")),
    ],
)
def test_damaged_chroma_files(kind: str, files: tuple[str, ...]) -> None:
    outcome = clean(durability.damages((kind,), files))
    assert outcome.trials == 2
    assert int(outcome.detail.split()[0]) == 2, "damage was not noticed"


def test_a_damaged_database_and_its_backup() -> None:
    assert clean(durability.database_damages()).trials == 5


def test_a_full_disk() -> None:
    outcome = clean(durability.disk_full())
    assert 0 < int(outcome.detail.split()[0]) < 400, "the disk was not full"


def test_the_check_sees_what_it_looks_for(tmp_path: object) -> None:
    """A document that is taken away, and one that is in part, are counted."""
    from pathlib import Path

    home, docs = Path(str(tmp_path)) / "home", Path(str(tmp_path)) / "docs"
    docs.mkdir()
    durability._edit(docs, durability.random.Random(1), 0)
    names = sorted(path.name for path in docs.iterdir())
    durability.apart(durability._index, home, [docs])
    assert not any(durability._check_and_go_on(home, docs, names, "exact")[n] for n in ("lost", "partial", "silent"))
    with durability.opened(home, "exact") as library, library.workspace.write() as db:
        db.execute("DELETE FROM documents WHERE source = ?", (str(docs / names[0]),))
        row = db.execute("SELECT id FROM passages ORDER BY id DESC LIMIT 1").fetchone()
        db.execute("DELETE FROM passages WHERE id = ?", (row[0],))
    found = durability._check_and_go_on(home, docs, names, "exact")
    assert found["lost"] >= 1
    assert found["partial"] >= 1
