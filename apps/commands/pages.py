"""``touchstone ui``: the pages in the browser, served to this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import apps
from apps.commands.checkup import Json
from apps.commands.shell import out_of
from core.errors import InputError
from core.settings import load_settings

READY_S = 60.0
STOP_S = 5.0


def ui(
    port: Annotated[int, typer.Option("--port", "-p", help="cli.ui.port", min=1, max=65535)] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="cli.ui.browser")] = True,
    json: Json = False,
) -> None:
    from apps.ui.launch import streamlit_arguments

    settings = load_settings()
    out = out_of(settings, json)
    if taken(port):
        raise InputError(reason="port_taken", port=port, other=port + 1)
    url = f"http://localhost:{port}"
    signal.signal(signal.SIGTERM, _end)
    child = subprocess.Popen(  # noqa: S603  (our own command line; a port is the only thing put into it)
        streamlit_arguments(port, open_browser=False), env=environment(), stdout=subprocess.DEVNULL
    )
    try:
        wait_until_ready(child, port)
        out.say(out.t("ui.ready", url=url))
        out.document({"url": url, "pid": child.pid})
        if browser and not json and has_screen():
            import webbrowser

            webbrowser.open(url)
        raise typer.Exit(child.wait())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        stop(child)


def _end(*_: object) -> None:
    """Ended from outside: leave through ``finally``, so that the server ends too."""
    raise SystemExit(143)


def environment() -> dict[str, str]:
    """The pages import ``apps`` and ``core`` from where this command has them."""
    root = Path(apps.__file__).parents[1]
    if root.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}


def has_screen() -> bool:
    """Without a screen a browser for terminals would open, here, over the server's own output."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def taken(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def wait_until_ready(child: subprocess.Popen[Any], port: int) -> None:
    """Return when the pages answer.

    Raises:
        typer.Exit: the server ended, or is silent for ``READY_S``; what it said stands on stderr.
    """
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise typer.Exit(1)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
        except OSError:
            time.sleep(0.1)
    raise typer.Exit(1)


def stop(child: subprocess.Popen[Any]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
