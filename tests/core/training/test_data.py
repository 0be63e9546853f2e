"""Broken data are told clearly; splits are fixed by content and never share a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InputError, MissingFile, code_of
from core.training.checks import DataReport, examine
from core.training.data import fold, read
from core.training.splits import divide, key

TOPICS = {"return": "send item {} back please", "delivery": "where is parcel {} now", "发票": "请给订单 {} 开发票"}
NAMES = ("kettle", "lamp", "chair", "mixer", "radio", "tent", "stove", "clock", "scale", "torch", "bottle", "shelf")


def table(rows: list[tuple[str, str]], head: str = "text,label") -> str:
    return "\n".join([head, *(f'"{text}",{label}' for text, label in rows)]) + "\n"


def good_rows() -> list[tuple[str, str]]:
    return [(said.format(name), label) for label, said in TOPICS.items() for name in NAMES]


def codes(report: DataReport) -> dict[str, int]:
    return {finding.code: finding.count for finding in report.findings}


def checked(folder: Path, content: str | bytes, **options: object) -> DataReport:
    path = folder / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return examine(path, "classification", **options)  # type: ignore[arg-type]


def test_good_data_pass_and_every_part_has_rows(tmp_path: Path) -> None:
    report = checked(tmp_path, table(good_rows()))
    assert report.ok
    assert report.usable == report.rows == 36
    assert all(report.splits.sizes.values())
    assert report.labels == {"return": 12, "delivery": 12, "发票": 12}
    assert codes(report) == {"languages": 2}
    assert report.as_dict("zh")["findings"][0]["text"].startswith("文本有多种语言")


BROKEN = [
    ("missing labels", table([*good_rows(), ("no label here", ""), ("nor here", "")]), {"missing_label": 2}, True),
    ("missing texts", table([*good_rows(), ("", "return")]), {"missing_text": 1}, True),
    ("one class", table([(text, "same") for text, _ in good_rows()]), {"one_class": 1}, False),
    ("repeats", table([*good_rows(), *good_rows()[:3]]), {"duplicate": 3}, True),
    ("two labels for a text", table([*good_rows(), (good_rows()[0][0], "delivery")]), {"contradiction": 2}, True),
    ("two labels for nearly a text", table([*good_rows(), (good_rows()[0][0].upper() + "!", "delivery")]), {"near_contradiction": 2}, True),
    ("too few", table(good_rows()[:3] + good_rows()[-2:]), {"too_few": 5}, False),
    ("1 MB text", table([*good_rows(), ("long " * 200_000, "return")]), {"long_text": 1}, True),
    ("mojibake", table([*good_rows(), ("caf\ufffd please", "return")]), {"broken_characters": 1}, True),
    ("uneven", table([*good_rows(), *((f"send back {'x' * n}", "return") for n in range(1, 150))]), {"imbalance": 0}, True),
    ("a label a row", table([(text, str(n)) for n, (text, _) in enumerate(good_rows())]), {"no_label_twice": 36}, False),
    ("two texts in many numbers", table([(f"{text} {n}", text) for text in ("late", "fine") for n in range(20)]), {"too_alike": 2}, True),
    ("rare label", table([*good_rows(), ("my card is broken", "card")]), {"rare_label": 1}, True),
]  # fmt: skip


@pytest.mark.parametrize(("content", "found", "ok"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_data_are_told(tmp_path: Path, content: str, found: dict[str, int], ok: bool) -> None:
    report = checked(tmp_path, content)
    assert found.items() <= codes(report).items()
    assert report.ok is ok
    for language in ("en", "zh"):
        assert "?" not in "".join(row["text"] for row in report.as_dict(language)["findings"])
    if ok:
        assert report.require() is report
    else:
        with pytest.raises(InputError) as caught:
            report.require()
        assert code_of(caught.value) == "input.training_data"
        assert "data.csv" in caught.value.text("zh")


def test_two_encodings_in_one_file_are_an_error_and_one_is_not(tmp_path: Path) -> None:
    utf8, other = (
        table(good_rows()).encode(),
        "\n".join(f"{said},return" for said in ("退货地址", "怎么退", "退款")).encode("gb18030"),
    )
    report = checked(tmp_path, utf8 + other)
    assert codes(report) == {"mixed_encodings": 3}
    assert report.findings[0].where == ("data.csv:38", "data.csv:39", "data.csv:40")
    assert not report.ok
    assert checked(tmp_path, table(good_rows()).encode("gb18030")).ok


def test_a_workbook_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(InputError, match="as CSV"):
        read(path, "classification")


def test_a_quote_that_never_closes_is_told_with_the_line_where_it_opens(tmp_path: Path) -> None:
    rows = 'one,"a label\nof two lines"\n"three ""quoted"" words\nin two","never closed\nfive,return\nsix,delivery'
    for end in ("", "\n", '""', '\r\n"", x\r\n'):
        with pytest.raises(InputError) as caught:
            checked(tmp_path, table(good_rows()) + rows + end)
        assert code_of(caught.value) == "input.open_quote"
        assert "data.csv:41:" in str(caught.value)
    with pytest.raises(InputError, match=r"data\.csv:1:"):
        checked(tmp_path, '"text,label\n' + table(good_rows()))
    for opened in ('x\n"one,return\ntwo,delivery\n"three, four",return\n', 'x\n"one,return\ntwo,"delivery"\n'):
        with pytest.raises(InputError, match=r"data\.csv:39:"):  # closed by the quote of a later cell
            checked(tmp_path, table(good_rows()) + opened)
    closed = checked(tmp_path, table(good_rows()) + rows + '"')
    assert closed.usable == 38
    assert checked(tmp_path, table(good_rows()) + 'a 5" screen,return\n"a ""6"" screen",return').usable == 38


def test_wrong_columns_name_those_there_are(tmp_path: Path) -> None:
    content = table(good_rows(), head="question,topic")
    with pytest.raises(InputError) as caught:
        checked(tmp_path, content)
    assert code_of(caught.value) == "input.columns_missing"
    assert "question, topic" in str(caught.value)
    assert checked(tmp_path, content, columns={"text": "question", "label": "topic"}).ok
    with pytest.raises(InputError, match="txt"):
        checked(tmp_path, content, columns={"txt": "question"})


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    for content in ("", "text,label\n"):
        with pytest.raises(InputError) as caught:
            checked(tmp_path, content)
        assert code_of(caught.value) == "input.no_rows"
    with pytest.raises(InputError) as caught:
        checked(tmp_path, b"text,label\n\xff\xfe\x00\x81,\xff\n")
    assert code_of(caught.value) == "input.bad_encoding"
    with pytest.raises(MissingFile):
        examine(tmp_path / "nowhere.csv", "classification")


def test_rows_that_leak_from_the_test_file_are_not_learned_from(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(
        table([("Send item KETTLE back, please!", "return"), ("where is parcel 9", "delivery")])
    )
    report = checked(tmp_path, table(good_rows()), test=tmp_path / "test.csv")
    assert codes(report)["leaked"] == 1
    assert report.splits.sizes["test"] == 2
    learned = {fold(record.input) for record in report.splits.train.records}
    assert fold("send item kettle back please") not in learned


def test_a_split_is_fixed_by_content(tmp_path: Path) -> None:
    rows = [(f"row number {'abcdefghij'[n % 10] * (n // 10 + 1)}", "ab"[n % 2]) for n in range(200)]
    first = checked(tmp_path, table(rows)).splits
    again = checked(tmp_path, table(rows[::-1])).splits
    parts = [{r.input for r in getattr(first, part).records} for part in ("train", "validation", "test")]
    assert parts == [{r.input for r in getattr(again, part).records} for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 200
    assert 15 <= len(parts[2]) <= 45
    grown = checked(
        tmp_path, table(rows + [(f"a new row {'xyz'[n % 3] * (n // 3 + 1)}", "ab"[n % 2]) for n in range(90)])
    ).splits
    assert parts[2] <= {r.input for r in grown.test.records}, "what judged once must never be learned from"
    (tmp_path / "test.csv").write_text(table([("another text", "a")]))
    given = checked(tmp_path, table(rows), test=tmp_path / "test.csv").splits
    assert 15 <= len(given.validation) <= 45, "a test file leaves more to learn from, not to choose by"
    assert not parts[2] & {r.input for r in given.train.records}
    assert first.checksum == checked(tmp_path, table(rows)).splits.checksum != grown.checksum
    assert first.checksum != checked(tmp_path, table(rows), seed=1).splits.checksum


def test_near_duplicates_stay_together(tmp_path: Path) -> None:
    rows = [(f"Order {n}{n} of the {name} is late{'!' * n}", "late") for name in NAMES for n in (1, 2, 3)]
    rows += [(f"thanks for the {name}{'.' * n}", "fine") for name in NAMES for n in (1, 2, 3)]
    splits = checked(tmp_path, table(rows)).splits
    keys = [
        {key(r, "classification") for r in getattr(splits, part).records} for part in ("train", "validation", "test")
    ]
    assert not keys[0] & keys[1] | keys[0] & keys[2] | keys[1] & keys[2]


def test_conversations_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    turns = [{"role": "user", "content": "Is it open?"}, {"role": "assistant", "content": "Until six."}]
    broken = [[], [turns[0]], [{"role": "judge", "content": "x"}, turns[1]], "text"]
    path.write_text("\n".join(json.dumps({"messages": row}) for row in [turns, *broken]))
    found = read(path, "conversations")
    assert [record.answers for record in found.data.records] == [("Until six.",)]
    assert found.data.records[0].metadata["messages"] == turns
    assert [(f.code, f.count) for f in found.findings] == [("bad_turns", 4)]
    path.write_text(json.dumps({"q": "开门吗？", "a": "六点关门。"}, ensure_ascii=False))
    asked = read(path, "conversations", columns={"prompt": "q", "completion": "a"})
    assert asked.data.records[0].answers == ("六点关门。",)
    with pytest.raises(InputError, match="messages"):
        read(path, "conversations")


def test_plain_text_by_paragraph_and_pairs(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("First paragraph\nof two lines.\n\n\nSecond one.\n")
    found = read(tmp_path / "book.txt", "text").data.records
    assert [(r.input, r.metadata["where"]) for r in found] == [
        ("First paragraph\nof two lines.", "book.txt:1"),
        ("Second one.", "book.txt:5"),
    ]
    (tmp_path / "pairs.tsv").write_text("anchor\tpositive\nhow to pay\tpayment methods\n\tnothing\n")
    pairs = read(tmp_path / "pairs.tsv", "pairs")
    assert pairs.data.records[0].answers == ("payment methods",)
    assert [f.code for f in pairs.findings] == ["missing_text"]
    assert divide(pairs.data, "pairs").train.records == pairs.data.records
