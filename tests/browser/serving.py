"""The real pages for tests and pictures: Streamlit in a child process, Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from apps.ui.launch import streamlit_arguments

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without the developer's keys, URLs and settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOUCHSTONE_") and not name.endswith(("_API_KEY", "_BASE_URL"))
    }
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "TOUCHSTONE_HOME": str(home), **variables}


@contextmanager
def served(home: Path, folder: Path, entry: Path | None = None, **variables: str) -> Iterator[str]:
    """Serve the pages from ``folder`` (where .env is looked for) over the workspace ``home``; yields the address.

    ``entry`` is another script to serve in the same way.
    """
    port = free_port()
    command = streamlit_arguments(port)
    if entry is not None:
        command[command.index("run") + 1] = str(entry)
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(home, variables), stdout=out, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(address, process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urlopen(f"{address}/_stcore/health", timeout=2) as reply:
                if reply.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the pages did not start: {log.read_text('utf-8', 'replace')[-2000:]}")


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise RuntimeError("Chromium is needed: install the package `chromium`")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def quiet(page: Page, within_ms: float = 60_000) -> None:
    """Wait until no script runs, nothing is still to be drawn, and the page has not changed for 400 ms."""
    page.wait_for_function(
        """() => {
            if (!window.watched) {
                window.watched = performance.now()
                const changed = () => { window.watched = performance.now() }
                new MutationObserver(changed).observe(
                    document.body, {childList: true, subtree: true, attributes: true, characterData: true})
            }
            const app = document.querySelector('[data-testid=stApp]')
            return app?.dataset.testScriptState === 'notRunning'
                && !document.querySelector('[data-testid=stSkeleton]')
                && performance.now() - window.watched > 400
        }""",
        timeout=within_ms,
    )
