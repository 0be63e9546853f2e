"""What the documentation says is executed, generated or checked here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generated import GENERATED

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "apps").rglob("README.md")])
# A small model that is asked to help with a list wanders for eleven seconds, on each page; what the page shows is there
# with any model.
VARIABLES = {"recommendation.md": {"TOUCHSTONE_CHAT": "scripted:demo"}}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(page.read_text("utf-8")) if found == language]


def both_languages() -> dict[str, list[Path]]:
    """The pages with Python in them, a page and its twin together."""
    found: dict[str, list[Path]] = {}
    for page in PAGES:
        if blocks(page, "python"):
            name = str(page.relative_to(ROOT)).replace("docs/zh/", "docs/en/").replace(".zh.md", ".md")
            found.setdefault(name, []).append(page)
    return found


# Each page has names, a folder and a home of its own. What is imported and loaded serves its twin too.
RUN = """
import os, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    os.environ["TOUCHSTONE_HOME"] = os.path.join(folder, "home")
    with open("page.py", encoding="utf-8") as file:
        exec(compile(file.read(), "page.py", "exec"), {"__name__": "__main__"})
    print(f"ran {folder}", flush=True)
"""


@pytest.mark.parametrize("pages", both_languages().values(), ids=both_languages())
def test_python_in_the_documentation_runs(pages: list[Path], tmp_path: Path) -> None:
    """All Python blocks of a page run one after another in an empty folder, those of its twin after them."""
    folders = []
    for page in pages:
        folder = tmp_path / "-".join(page.relative_to(ROOT).parts)
        folder.mkdir()
        (folder / "page.py").write_text("\n".join(blocks(page, "python")), "utf-8")
        folders.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", RUN, *folders],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            **VARIABLES.get(pages[0].name, {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    for folder in folders:
        own, mark, said = said.partition(f"ran {folder}\n")
        assert mark, folder
        assert own.strip(), f"{folder} shows nothing"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    missing = [
        target
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists()
    ]
    assert not missing


def test_both_languages_have_the_same_pages() -> None:
    english = {p.relative_to(ROOT / "docs/en") for p in (ROOT / "docs/en").rglob("*.md")}
    chinese = {p.relative_to(ROOT / "docs/zh") for p in (ROOT / "docs/zh").rglob("*.md")}
    assert english == chinese


def test_the_two_readmes_show_the_same_code() -> None:
    def shape(name: str) -> list[tuple[str, str]]:
        found = BLOCK.findall((ROOT / name).read_text("utf-8"))
        return [(language, re.sub(r"\s*#.*", "", code)) for language, code in found if language in {"python", "yaml"}]

    assert shape("README.md") == shape("README.zh.md")


def test_commands_in_the_readme_exist() -> None:
    from apps.cli import app

    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    known |= {group.typer_instance.info.name for group in app.registered_groups if group.typer_instance}
    for name in ("README.md", "README.zh.md"):
        code = "\n".join(
            code for language, code in BLOCK.findall((ROOT / name).read_text("utf-8")) if language == "bash"
        )
        used = set(re.findall(r"^touchstone ([a-z]+)", code, re.MULTILINE))
        assert used
        assert used <= known


@pytest.mark.parametrize("part", GENERATED, ids=lambda part: part.name)
def test_generated_parts_are_fresh(part: object) -> None:
    assert part.stale() == [], f"{part.name} is stale; run `make docs`"  # type: ignore[attr-defined]
