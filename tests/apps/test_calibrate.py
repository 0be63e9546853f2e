"""``touchstone calibrate``: measures, keeps, shows and forgets a collection's threshold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli import app

TOWNS = ("东港", "西岭", "南塘", "北坡", "新桥", "老街", "高墙", "石板", "青松", "白杨", "红叶", "黄沙")
BRIDGES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch", "Maple")


@pytest.fixture(autouse=True)
def _documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_EMBEDDING", "scripted:hash")
    folder = tmp_path / "docs"
    folder.mkdir()
    for n, town in enumerate(TOWNS):
        text = f"# {town}\n\n{town}的码头建于{1900 + n}年，由当地商会出资修建，渡轮每天往返{n + 2}次。"
        (folder / f"zh{n}.md").write_text(text, "utf-8")
    for n, name in enumerate(BRIDGES):
        text = f"# {name}\n\nThe {name} bridge was opened in {1950 + n} and carries trams across the river {n + 3} times daily."
        (folder / f"en{n}.md").write_text(text, "utf-8")
    assert run("index", folder).exit_code == 0


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_calibrate_show_and_forget() -> None:
    assert json.loads(run("calibrate", "--show", "--json").stdout)["calibration"] is None
    done = run("calibrate", "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["calibration"]["basis"] == "made"
    assert made["calibration"]["questions"] == len(TOWNS) + len(BRIDGES)
    assert not made["stale"]
    assert json.loads(run("calibrate", "--show", "--json").stdout) == made
    assert "%" in run("calibrate", "--show").stdout
    Path("docs/later.md").write_text("# Later\n\nA new document.", "utf-8")
    run("index", "docs")
    assert json.loads(run("calibrate", "--show", "--json").stdout)["stale"]
    assert json.loads(run("calibrate", "--forget", "--json").stdout)["forgotten"]
    assert json.loads(run("calibrate", "--show", "--json").stdout)["calibration"] is None


def test_with_questions_of_one_s_own(tmp_path: Path) -> None:
    rows = [{"question": f"{town}的码头建于哪一年？", "answers": [f"{1900 + n}年"]} for n, town in enumerate(TOWNS)]
    rows += [
        {"question": f"When was the {b} bridge opened?", "answers": [str(1950 + n)]} for n, b in enumerate(BRIDGES)
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    done = run("calibrate", "--questions", path, "--false-refusals", 0.05, "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)["calibration"]
    assert (made["basis"], made["questions"]) == ("asked", 24)
    assert made["false_refusals"] <= 0.05


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    def code(*arguments: object) -> str:
        done = run("calibrate", *arguments, "--json")
        assert done.exit_code != 0
        return str(json.loads(done.stdout)["error"]["code"])

    assert code("--false-refusals", 1.5) == "input.bad_value"
    assert code("--questions", tmp_path / "none.jsonl") == "missing_file"
    assert code("--collection", "nowhere") == "input.nothing_indexed"
    few = tmp_path / "few.jsonl"
    few.write_text('{"question": "?", "answers": ["x"]}', "utf-8")
    assert code("--questions", few) == "input.few_questions"
