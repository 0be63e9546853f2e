"""A wheel, installed outside the clone, brings its prompts, samples, catalogues and migrations."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LOOK = """
import json, pathlib, core, apps
from core.i18n import message
from core.workspace import Workspace, migrations
from core.prompts.library import library
import apps.cli
sample = pathlib.Path(apps.__file__).parent / "customer_service" / "sample"
print(json.dumps({
    "core": core.__file__,
    "message": message("error.missing_key", "zh", provider="X", variable="X_API_KEY"),
    "migrations": len(migrations()),
    "schema": Workspace.open(pathlib.Path("home")).schema_version(),
    "prompt": library.get("grounded_answer").id,
    "sample": len(list(sample.glob("*/*.md"))),
    "search": len([p for p in (sample.parents[1] / "search" / "sample").glob("*/*/*") if p.is_file()]),
    "vectors": all(
        (sample.parents[1] / app / "sample" / "vectors.npz").exists() for app in ("customer_service", "search")
    ),
    "cards": sorted(p.suffix for p in (sample.parents[1] / "search" / "views").glob("card_list.*")),
    "heads": len(list(pathlib.Path(apps.__file__).parent.glob("financial_sentiment/model/*/head.safetensors"))),
    "recommendation": sorted(p.name for p in (sample.parent.parent / "recommendation" / "sample").iterdir()),
    "concepts": (sample.parent.parent / "recommendation" / "concepts.yaml").exists(),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the unpacked wheel; dependencies are lent by this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith("touchstone_llm-")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    venv.create(folder / "empty", with_pip=False)
    return folder


def test_an_installed_wheel_is_complete(installed: Path) -> None:
    import json

    # Directories on PYTHONPATH do not have their .pth files read, so an editable install of the clone stays out.
    lent = os.pathsep.join([str(installed / "site"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    outside = installed / "outside"
    outside.mkdir()
    done = subprocess.run(
        [str(installed / "empty" / "bin" / "python"), "-c", LOOK],
        cwd=outside,
        env={"PYTHONPATH": lent, "PATH": os.environ["PATH"], "HOME": str(outside)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["core"]).is_relative_to(installed / "site")
    assert "X_API_KEY" in found["message"]
    assert "密钥" in found["message"]
    assert found["migrations"] == found["schema"] >= 1
    assert found["prompt"] == "grounded_answer"
    assert found["sample"] >= 40
    assert found["search"] >= 120
    assert found["vectors"]
    assert found["heads"] == 2
    assert found["cards"] == [".css", ".js", ".py"]
    assert {"items.csv", "interactions.csv", "vectors.npz"} <= set(found["recommendation"])
    assert found["concepts"]
