"""The server of the pages: Streamlit's, which runs ``home.py``, and beside it what pages ask without a run."""

from __future__ import annotations

from pathlib import Path

from streamlit import config
from streamlit.starlette import App

from apps.ui import direct

app = App(Path(__file__).with_name("home.py"), routes=direct.routes(config.get_option("server.baseUrlPath") or ""))
