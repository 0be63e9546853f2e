"""``touchstone recommend import``, ``fit`` and ``top`` from the outside: one's own shop in three commands."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.apps.test_cli import data, folder, touchstone

__all__ = ["folder"]  # the fixture: an empty folder and scripted models


@pytest.fixture
def files(folder: Path) -> tuple[str, str]:
    items, events = folder / "items.csv", folder / "events.csv"
    items.write_text("sku,name\n" + "".join(f"i{n},Thing {n}\n" for n in range(10)), "utf-8")
    rows = [f"u{user},i{(user + step) % 10},{1000 + step}" for user in range(10) for step in range(4)]
    events.write_text("buyer,item,timestamp\n" + "\n".join([*rows, "u1,i99,5", rows[0]]), "utf-8")
    return str(items), str(events)


COLUMNS = ("--column", "item.id=sku", "--column", "user=buyer")


def test_three_commands(files: tuple[str, str]) -> None:
    told = touchstone("recommend", "import", *files, *COLUMNS)
    assert told.exit_code == 0, told.output
    for line in ("10 of 10 items", "40 of 42 events", "1 are there twice", "1 are about items", "i99"):
        assert line in told.stdout
    fitted = touchstone("recommend", "fit")
    assert "near" in fitted.stdout
    top = data(touchstone("recommend", "top", "u3", "-n", "3", "--json"))
    assert len(top["picks"]) == 3
    assert top["left_out"] == {"seen": 4}
    assert {pick["id"] for pick in top["picks"]} <= {f"i{n}" for n in (7, 8, 9, 0, 1, 2)}
    shown = touchstone("recommend", "top", "u3", TOUCHSTONE_LANG="zh")
    assert "因为《Thing" in shown.stdout
    stranger = touchstone("recommend", "top", "nobody")
    assert "Nothing is known of 'nobody'" in stranger.stderr
    assert "taken by 4 people" in stranger.stdout


def test_a_folder_is_enough(folder: Path) -> None:
    (folder / "films").mkdir()
    (folder / "films" / "movies.csv").write_text(
        "movieId,title,genres\n1,Heat (1995),Crime\n2,Fargo (1996),Crime\n", "utf-8"
    )
    (folder / "films" / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,100\n8,3,2,90\n", "utf-8")
    told = touchstone("recommend", "import", str(folder / "films"))
    assert told.exit_code == 0, told.output
    assert "movies.csv, ratings.csv" in told.stderr
    for line in ("2 of 2 items", "1 of 2 events"):
        assert line in told.stdout


def test_methods_are_measured_on_own_files(files: tuple[str, str]) -> None:
    events = ("--interactions", files[1].replace("events", "known"))
    Path(events[1]).write_text(Path(files[1]).read_text("utf-8").replace("buyer", "user"), "utf-8")
    found = data(touchstone("evaluate", "recommend", *events, "--core", "0", "--json"))
    assert {"fused", "ease", "popularity", "intervals"} <= set(found)
    low, high = found["intervals"]["fused"]["hr@10"]
    assert low <= found["fused"]["hr@10"] <= high
    told = touchstone("evaluate", "recommend", *events, "--core", "0", "--protocol", "time")
    assert "fused minus popularity" in told.stdout
    for wrong, allowed in (("--protocol", "leave-one-out, time"), ("--split", "test, validation")):
        refused = touchstone("evaluate", "recommend", *events, wrong, "tomorrow")
        assert refused.exit_code
        assert allowed in refused.output


def test_a_person_is_forgotten(files: tuple[str, str]) -> None:
    touchstone("recommend", "import", *files, *COLUMNS)
    assert data(touchstone("recommend", "forget", "u3", "--json")) == {"user": "u3", "deleted": 4}
    assert "Nothing is known of 'u3'" in touchstone("recommend", "top", "u3").stderr
    assert data(touchstone("recommend", "forget", "u3", "--json"))["deleted"] == 0


def test_lists_of_everybody_are_written_with_their_reasons(files: tuple[str, str], tmp_path: Path) -> None:
    touchstone("recommend", "import", *files, *COLUMNS)
    target = tmp_path / "lists.csv"
    told = data(touchstone("recommend", "export", str(target), "-n", "2", "--people", "3", "--json"))
    rows = list(csv.DictReader(target.read_text("utf-8").splitlines()))
    assert told == {"people": 3, "rows": len(rows), "file": str(target)}
    top = data(touchstone("recommend", "top", rows[0]["user"], "-n", "2", "--json"))["picks"]
    mine = [row for row in rows if row["user"] == rows[0]["user"]]
    assert [(row["item"], row["rank"]) for row in mine] == [(p["id"], str(n)) for n, p in enumerate(top, 1)]
    assert all(row["reasons"] for row in rows)
    missing = tmp_path / "none.csv"
    assert touchstone("recommend", "export", str(missing), "-c", "nowhere").exit_code != 0
    assert not missing.exists()


def test_a_chat_model_may_help(folder: Path) -> None:
    found = data(
        touchstone("recommend", "top", "-c", "sample", "--says", "funny book", "-n", "3", "--assisted", "--json")
    )
    plain = data(touchstone("recommend", "top", "-c", "sample", "--says", "funny book", "-n", "3", "--json"))
    assert [pick["id"] for pick in found["picks"]] == [pick["id"] for pick in plain["picks"]], (
        "the demo prefers nothing"
    )
    assert all(pick["words"] == "" for pick in plain["picks"])


def test_the_sample_needs_no_import(folder: Path) -> None:
    found = data(touchstone("recommend", "top", "-c", "sample", "--says", "not scary, funny book", "-n", "4", "--json"))
    assert {pick["id"].partition("-")[0] for pick in found["picks"]} == {"book"}
    assert [said["name"] for said in found["understood"]] == ["scary", "funny", "book"]
    assert "funny: " in touchstone("recommend", "top", "-c", "sample", "--says", "funny book", "-n", "2").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (("top", "u"), 6, "no catalogue 'own'"),
        (("top",), 2, "--says or --likes"),
        (("top", "-c", "sample", "--likes", "film-99"), 6, "no item 'film-99'"),
        (("top", "u", "-c", "sample", "--diversity", "2"), 6, "0-1"),
        (("import", "absent.csv"), 3, "absent.csv"),
        (("import", "absent.csv", "--column", "nonsense"), 6, "nonsense"),
        (("import", "absent.csv", "-c", "sample"), 6, "catalogue is 'sample'"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: tuple[str, ...], code: int, wanted: str) -> None:
    result = touchstone("recommend", *arguments)
    assert result.exit_code == code, result.output
    assert wanted in result.stderr


def test_a_file_without_its_columns_changes_nothing(files: tuple[str, str]) -> None:
    refused = touchstone("recommend", "import", *files, "--column", "item.id=sku")
    assert refused.exit_code == 6
    assert "buyer, item, timestamp" in refused.stderr
    assert touchstone("recommend", "fit").exit_code == 6
