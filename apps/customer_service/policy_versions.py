"""The policy in use and those before it. A person's change is kept in the workspace; the shop's file is never written.

Every process of the workspace takes a change up at its next message. A file that was changed after a version was saved
comes first again: whoever wrote last is right.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from apps.customer_service.policy import Policy
from apps.customer_service.policy_file import parse_policy, read_policy
from core.errors import TouchstoneError
from core.tools import ToolDefinition
from core.types import Caller
from core.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A saved change. An empty ``text`` is the way back to the file; ``outdated``: the file is newer."""

    id: int
    text: str
    user: str
    at: float
    outdated: bool


class PolicyVersions:
    """The versions of one shop's policy, whose ``file`` is the first."""

    def __init__(self, file: Path, tools: Iterable[ToolDefinition]) -> None:
        """
        Raises:
            InputError, InvalidSetting: see :func:`read_policy`.
        """
        self.file = file
        self._tools = tuple(tools)
        self._shop = str(file.resolve())
        self._base = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        self._of_file = read_policy(file, self._tools)
        self._used: tuple[tuple[Path, int], Policy] | None = None
        self._lock = threading.Lock()

    def parse(self, text: str) -> Policy:
        """The policy that ``text`` says; errors as in :func:`read_policy`."""
        return parse_policy(text, self.file.name, self._tools)

    def current(self, workspace: Workspace) -> Policy:
        """The policy in use. Costs one look-up of a number when nothing has changed."""
        with workspace.read() as db:
            (newest,) = db.execute("SELECT max(id) FROM support_policies WHERE shop=?", (self._shop,)).fetchone()
        key = (workspace.path, newest or 0)
        with self._lock:
            if self._used is None or self._used[0] != key:
                self._used = key, self._read(self._newest(workspace))
            return self._used[1]

    def _read(self, version: Version | None) -> Policy:
        """A version that no longer fits the shop's tools is left out: customers are served by the file meanwhile."""
        if version is None:
            return self._of_file
        try:
            return self.parse(version.text)
        except TouchstoneError as error:
            log.error("version %s of the policy is not used: %s", version.id, error)
            return self._of_file

    def text(self, workspace: Workspace) -> str:
        """What the policy in use is written as."""
        version = self._newest(workspace)
        return version.text if version else self.file.read_text("utf-8")

    def history(self, workspace: Workspace, *, limit: int = 20) -> list[Version]:
        """Saved versions, newest first."""
        with workspace.read() as db:
            rows = db.execute(
                "SELECT id, text, user, at, base FROM support_policies WHERE shop=? ORDER BY id DESC LIMIT ?",
                (self._shop, limit),
            ).fetchall()
        return [Version(row["id"], row["text"], row["user"], row["at"], row["base"] != self._base) for row in rows]

    def save(self, workspace: Workspace, caller: Caller, text: str) -> Policy:
        """Let ``text`` be the policy from the next message on; an empty one is the file's.

        Raises:
            InputError, InvalidSetting: it is no policy; nothing is kept. See :func:`read_policy`.
        """
        made = self.parse(text) if text else self._of_file
        with workspace.write() as db:
            db.execute(
                "INSERT INTO support_policies (shop, base, text, tenant, user, at) VALUES (?, ?, ?, ?, ?, ?)",
                (self._shop, self._base, text, caller.tenant, caller.user, time.time()),
            )
        return made

    def _newest(self, workspace: Workspace) -> Version | None:
        """The version in use; ``None`` when it is the file."""
        newest = self.history(workspace, limit=1)
        return newest[0] if newest and newest[0].text and not newest[0].outdated else None
