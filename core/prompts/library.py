"""Prompts by id, from folders of YAML files.

>>> from core.prompts.library import library
>>> prompt = library.get("hello_check")
>>> [message.role for message in prompt.render(language="en")]
['system', 'user']

The catalogue that comes with core is the first folder. An app adds its own with ``library.add_folder``;
``for_workspace`` puts the user's ``prompts`` folder on top. Later folders win, so a file of the same name
in the workspace replaces a prompt that came with the install. An edited file is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from core.errors import UnknownName
from core.prompts.files import NAME, read_prompt
from core.prompts.prompt import Prompt

CATALOGUE = Path(__file__).parent / "catalogue"


class PromptLibrary:
    """Prompts of ``folders``; files are read on first use and again when they changed."""

    def __init__(self, folders: Sequence[Path] = (CATALOGUE,)) -> None:
        self._folders = list(folders)
        self._read: dict[Path, tuple[tuple[int, int], Prompt]] = {}
        self._lock = threading.Lock()

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self._folders)

    def add_folder(self, folder: Path) -> None:
        """Add ``folder`` on top of those that are there; adding it twice is harmless."""
        with self._lock:
            if folder not in self._folders:
                self._folders.append(folder)

    def for_workspace(self, home: Path) -> PromptLibrary:
        """This library with ``home/prompts`` on top."""
        return PromptLibrary([*self._folders, home / "prompts"])

    def ids(self) -> tuple[str, ...]:
        return tuple(sorted({path.stem for folder in self._folders for path in folder.glob("*.yaml")}))

    def get(self, id: str) -> Prompt:
        """The prompt ``id``.

        Raises:
            UnknownName: there is no such prompt.
            PromptError, InputError: its file is not a valid prompt; names file and line.
        """
        if NAME.fullmatch(id):
            for folder in reversed(self._folders):
                path = folder / f"{id}.yaml"
                try:
                    found = path.stat()
                except OSError:
                    continue
                return self._prompt(path, (found.st_mtime_ns, found.st_size))
        raise UnknownName(kind="prompt", value=id, allowed=", ".join(self.ids()))

    def _prompt(self, path: Path, stamp: tuple[int, int]) -> Prompt:
        known = self._read.get(path)
        if known and known[0] == stamp:
            return known[1]
        prompt = read_prompt(path)
        self._read[path] = (stamp, prompt)
        return prompt


library = PromptLibrary()
