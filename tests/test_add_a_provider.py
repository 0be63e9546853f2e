"""The guide docs/*/add-a-provider.md is followed to the letter: its file, its row, its line, the whole contract."""

from __future__ import annotations

import asyncio
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from core.contracts import ChatModel
from core.errors import Unsupported
from core.providers import registry
from core.types import Options, Tool, user
from tests.contracts import subjects
from tests.contracts.chat_model import RULES, Rule, Subject

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs/en/add-a-provider.md"


def block(kind: str, guide: Path = GUIDE) -> str:
    (found,) = re.findall(
        rf"^```python {re.escape(kind)}\n(.*?)^```", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(found)


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The provider as the guide builds it."""
    path = tmp_path_factory.mktemp("guide") / "parrot.py"
    path.write_text(block("file=core/providers/parrot.py"), "utf-8")
    spec = spec_from_file_location("core.providers.parrot", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["core.providers.parrot"] = module
    spec.loader.exec_module(module)
    row = eval(block("row"), vars(registry))
    registry.ENGINES["parrot"] = row
    yield eval(block("line"), {**vars(subjects), "Subject": Subject})
    del registry.ENGINES["parrot"], sys.modules["core.providers.parrot"]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_provider_of_the_guide_keeps_the_contract(parrot: Subject, rule: Rule) -> None:
    model: ChatModel = parrot.open(None)
    if not rule.applies_to(model, parrot):
        pytest.skip(f"parrot does not claim {rule.needs or 'this'}")
    asyncio.run(rule.check(model, parrot))


def test_the_provider_of_the_guide_refuses_what_it_cannot(parrot: Subject) -> None:
    async def ask() -> None:
        tool = Tool("look", "Look.", {"type": "object", "properties": {}})
        async for _ in parrot.open(None).stream([user("hello")], Options(tools=(tool,))):
            pass

    with pytest.raises(Unsupported):
        asyncio.run(ask())


def test_both_guides_show_the_same_code() -> None:
    chinese = ROOT / "docs/zh/add-a-provider.md"
    for kind in ("file=core/providers/parrot.py", "row", "line"):
        assert block(kind) == block(kind, chinese)
