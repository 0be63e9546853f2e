"""How the pages are started: one command line for Streamlit, the same in a clone and in an installed wheel."""

from __future__ import annotations

import sys
from pathlib import Path

ENTRY = Path(__file__).parents[1] / "home.py"
SERVER = ENTRY.with_name("asgi.py")  # serves ENTRY, and more
THEME = Path(__file__).parent / "theme.toml"


def streamlit_arguments(
    port: int = 8501, *, address: str = "127.0.0.1", open_browser: bool = False, max_upload_mb: int = 25
) -> list[str]:
    """The whole command that serves the pages, for ``subprocess`` or ``os.execv``.

    The pages listen on this machine only unless ``address`` says otherwise: whoever reaches them without a login
    provider is the local user.
    """
    options = {
        "server.port": port,
        "server.address": address,
        "server.headless": not open_browser,
        "server.maxUploadSize": max_upload_mb,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "type",
        "client.showErrorLinks": False,
        "runner.magicEnabled": False,
        "runner.postScriptGC": False,  # a full collection after every run is most of a run's cost
        "theme.base": str(THEME),
    }
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(SERVER), *flags]
