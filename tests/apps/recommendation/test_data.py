"""Catalogues and interactions from files: the known layouts, other column names, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.recommendation.data import Item, read_events, read_items, with_years
from apps.recommendation.folders import look
from core.errors import InputError, MissingFile, code_of

KNOWN = frozenset({"1", "2", "B00X"})


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


LAYOUTS = {
    "movielens": ("ratings.csv", "userId,movieId,rating,timestamp\n7,1,4.5,100\n7,2,3.0,50\n"),
    "recbole": (
        "x.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t1\t4.5\t100\n7\t2\t3\t50\n",
    ),
    "recbole in sequences": (
        "s.inter",
        "user_id:token\titem_id_list:token_seq\titem_id:token\n7\t2\t1\n",
    ),
    "movielens 1M": ("ratings.dat", "7::1::4.5::100\n7::2::3::50\n"),
    "amazon without a head": ("a.csv", "7,1,4.5,100\n7,2,3.0,50\n"),
    "amazon reviews": (
        "r.jsonl",
        '{"reviewerID": "7", "asin": "1", "overall": 4.5, "unixReviewTime": 100}\n'
        '{"reviewerID": "7", "asin": "2", "overall": 3.0, "unixReviewTime": 50}\n',
    ),
    "dates": ("d.csv", "user,item,value,date\n7,1,4.5,1970-01-01 00:01:40\n7,2,3,1970-01-01 00:00:50\n"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_known_layouts(tmp_path: Path, name: str) -> None:
    events, found = read_events(write(tmp_path, *LAYOUTS[name]), known=KNOWN)
    assert [(event.user, event.item) for event in events] == [("7", "2"), ("7", "1")], "oldest first"
    assert found.kept == 2
    if "sequences" in name:
        assert found.undated
    else:
        assert [(event.value, event.at) for event in events] == [(3.0, 50.0), (4.5, 100.0)]
        assert found.unordered


def test_parquet_and_milliseconds(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "e.parquet"
    pd.DataFrame({"user_id": [1.0, 1.0], "item_id": [1, 2], "timestamp": [1.6e12, 1.7e12]}).to_parquet(path)
    events, _ = read_events(path)
    assert [(event.user, event.at) for event in events] == [("1", 1.6e9), ("1", 1.7e9)]


def test_other_names_of_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "e.csv", "who,what\nu,1\n")
    events, found = read_events(path, {"user": "who", "item": "what"})
    assert (events[0].user, events[0].item, found.undated) == ("u", "1", True)
    with pytest.raises(InputError) as missing:
        read_events(path)
    assert code_of(missing.value) == "input.columns_missing"
    for language in ("zh", "en"):
        assert "who, what" in missing.value.text(language)
    with pytest.raises(InputError, match="nobody"):
        read_events(path, {"user": "nobody", "item": "what"})
    with pytest.raises(InputError, match="user, item, value, at"):
        read_events(path, {"person": "who"})


def test_what_is_wrong_is_counted_with_examples(tmp_path: Path) -> None:
    text = (
        "user,item,rating,timestamp\nu,1,5,10\nu,1,5,10\nu,9,5,11\n,1,5,12\nu,2,much,13\nu,2,1e400,14\n"
        "u,2,-3,15\nu,B00X,4,99999999999\nu,2,1e30,16\n"
    )
    events, found = read_events(write(tmp_path, "e.csv", text), known=KNOWN, now=1e9)
    assert [(event.item, event.value) for event in events] == [("1", 5.0), ("2", -3.0)]
    assert (found.rows, found.kept, found.duplicates) == (9, 2, 1)
    assert (found.incomplete, found.unknown_items, found.future) == (4, 1, 1)
    assert any("'9'" in example for example in found.examples)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_events(tmp_path / "absent.csv")
    for name, text, code in (
        ("e.csv", "user,item\n", "input.no_rows"),
        ("e.csv", "", "input.unreadable_file"),
        ("e.jsonl", "{no json", "input.unreadable_file"),
        ("e.xml", "<a/>", "input.binary_file"),
        ("e.parquet", "no parquet", "input.unreadable_file"),
        ("all-unknown.csv", "user,item\nu,9\n", "input.no_rows"),
    ):
        with pytest.raises(InputError) as refused:
            read_events(write(tmp_path, name, text), known=KNOWN)
        assert code_of(refused.value) == code, name


def test_items(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n1,"Heat (1995)",Action|Crime\n1,again,x\n2,Alien (1979),(no genres listed)\n3,,x\n'
    items, found = read_items(write(tmp_path, "movies.csv", text))
    assert [item.id for item in items] == ["1", "2"]
    assert (items[0].tags, items[1].tags) == (("Action", "Crime"), ())
    assert (found.duplicates, found.incomplete) == (1, 1)
    assert [item.year for item in with_years(items)] == [1995, 1979]
    meta = {"asin": "B00X", "title": "Pad", "description": ["A pad.", "Blue."], "category": ["Games", "Pads"]}
    amazon, _ = read_items(write(tmp_path, "meta.jsonl", json.dumps(meta) + "\n"))
    assert amazon[0].about("en") == "A pad. Blue."
    assert amazon[0].tags == ("Games", "Pads")
    own = "id,title_zh,title_en,about_zh,stock,age\na,书,Book,好看。,no,12\n"
    (item,), _ = read_items(write(tmp_path, "own.csv", own))
    assert (item.title("zh"), item.title("en"), item.about("en")) == ("书", "Book", "好看。")
    assert (item.stock, item.age) == (False, 12)
    assert Item.from_dict(json.loads(json.dumps(item.as_dict()))) == item


def test_a_folder_is_known_by_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "unpacked" / "ml-latest-small"
    folder.mkdir(parents=True)
    write(folder, "movies.csv", "movieId,title,genres\n1,Toy Story (1995),Animation|Comedy\n2,Heat (1995),Crime\n")
    write(folder, "ratings.csv", "userId,movieId,rating,timestamp\n7,1,4.5,100\n")
    write(
        folder, "tags.csv", "userId,movieId,tag,timestamp\n" + "7,1,a much longer file than that of ratings,100\n" * 9
    )
    write(folder, "links.csv", "movieId,imdbId,tmdbId\n1,114709,862\n")
    write(folder, "README.txt", "no table")
    write(folder, "broken.jsonl", "{")
    for place in (folder, folder.parent):  # unpacked archives often hold one folder more
        found = look(place)
        assert (found.items.name, found.interactions and found.interactions.name) == ("movies.csv", "ratings.csv")
        assert found.item_columns == {"id": "movieId", "title": "title", "tags": "genres"}
        assert found.event_columns == {"user": "userId", "item": "movieId", "value": "rating", "at": "timestamp"}


def test_a_folder_of_old_movielens_and_one_of_things_only(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("1::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"))
    write(tmp_path, "ratings.dat", "7::1::4.5::100\n")
    found = look(tmp_path)
    (item,), _ = read_items(found.items, found.item_columns)
    assert (item.titles[""], item.tags) == ("Misérables, Les (1995)", ("Drama", "Musical"))
    assert found.interactions == tmp_path / "ratings.dat"
    found.interactions.unlink()
    assert look(tmp_path).interactions is None


def test_folders_without_a_catalogue(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        look(tmp_path / "nowhere")
    write(tmp_path, "ratings.csv", "userId,movieId,rating\n7,1,4.5\n")
    with pytest.raises(InputError) as wrong:
        look(tmp_path)
    assert code_of(wrong.value) == "input.no_catalogue"
    assert "ratings.csv" in wrong.value.text("zh")
    with pytest.raises(InputError, match=r"user::item"):
        read_events(write(tmp_path, "odd.dat", "1::2\n"))
