"""A version as a folder that others load: a Hugging Face folder, an adapter, a head; merged; as GGUF for llama.cpp."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from core.errors import InputError, MissingPackage
from core.i18n import Phrase
from core.settings import Settings
from core.training.serving import weights_of
from core.training.store import Version

CONVERTERS = ("convert_hf_to_gguf.py", "convert-hf-to-gguf")  # of llama.cpp, under the names it is known by


def export_to(version: Version, folder: Path) -> int:
    """Copy what providers load, with the model card, into the new folder ``folder``: a Hugging Face folder or adapter,
    or a head. Its size in bytes comes back.

    Raises:
        InputError: (reason ``file_exists``) the folder is there and not empty; (``not_finished``) it is being trained.
    """
    _must_be_new(version, folder)
    shutil.copytree(version.model, folder, dirs_exist_ok=True)
    shutil.copy(version.folder / "README.md", folder / "README.md")
    return _size(folder)


def export_merged(version: Version, folder: Path, settings: Settings) -> int:
    """Write a chat model whole, its adapter added to the weights, in half precision. Its size in bytes comes back.

    Raises:
        InputError: as :func:`export_to`; (``wrong_kind``) it is no chat model with an adapter.
    """
    _must_talk(version)
    import torch

    from core.training.bases import quiet

    _must_be_new(version, folder)
    model, tokenizer = weights_of(version, settings)
    with quiet():
        model.to(torch.float16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.copy(version.folder / "README.md", folder / "README.md")
    return _size(folder)


def export_gguf(version: Version, folder: Path, settings: Settings) -> int:
    """As :func:`export_merged`, and ``model.gguf`` beside it.

    Raises:
        InputError: as :func:`export_merged`; (``not_converted``) the converter refuses the model, in its words.
        MissingPackage: llama.cpp's converter is not on the PATH.
    """
    _must_talk(version)
    found = next((path for name in CONVERTERS if (path := shutil.which(name))), None)
    if found is None:
        raise MissingPackage(package=CONVERTERS[0], needed_for="--gguf", install=Phrase("training.converter"))
    export_merged(version, folder, settings)
    command = [sys.executable, found] if found.endswith(".py") else [found]
    done = subprocess.run(  # noqa: S603  # the user's own converter
        [*command, str(folder), "--outtype", "f16", "--outfile", str(folder / "model.gguf")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not (folder / "model.gguf").is_file():
        detail = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise InputError(reason="not_converted", name=version.served_as, detail=detail)
    return _size(folder)


def _must_talk(version: Version) -> None:
    if version.role != "chat":
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted="chat, dpo, kto")


def _must_be_new(version: Version, folder: Path) -> None:
    if not version.finished:
        raise InputError(reason="not_finished", name=version.served_as)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(reason="file_exists", name=str(folder))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
