"""A browser's side of Streamlit's protocol: one session over a real websocket, without drawing anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect


class Session:
    """A page that is open. ``elements`` are those of the last run, by their place."""

    def __init__(self, socket: ClientConnection, page: str) -> None:
        self._socket = socket
        self._page = page
        self._hash = ""
        self.query = ""
        self.elements: dict[tuple[int, ...], Any] = {}
        self.runs = 0
        self.seen: list[str] = []  # every text that was ever on this page

    @classmethod
    async def open(cls, address: str, page: str, query: str = "") -> Session:
        """Connect to the server at ``address`` (http://…) and run the page for the first time."""
        url = address.replace("http://", "ws://") + "/_stcore/stream"
        socket = await connect(url, subprotocols=["streamlit"], max_size=None, origin=address)  # type: ignore[arg-type, list-item]
        session = cls(socket, page)
        session.query = query
        await session.run()
        return session

    async def run(self, **triggers: str) -> float:
        """Run the script as a click does, with chat inputs given by a part of their id; seconds until it ended."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        state.page_script_hash = self._hash
        if not self._hash:
            state.page_name = self._page
        for part, text in triggers.items():
            widget = state.widget_states.widgets.add()
            widget.id = next(id_ for id_ in self._ids() if part in id_)
            widget.chat_input_value.data = text
        began = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        await self._until_finished()
        return time.perf_counter() - began

    async def close(self) -> None:
        await self._socket.close()

    def text(self) -> str:
        """All Markdown on the page now."""
        return "\n".join(e.markdown.body for e in self.elements.values() if e.WhichOneof("type") == "markdown")

    def errors(self) -> list[str]:
        return [e.exception.message for e in self.elements.values() if e.WhichOneof("type") == "exception"]

    def _ids(self) -> Iterator[str]:
        for element in self.elements.values():
            kind = element.WhichOneof("type")
            if kind and hasattr(getattr(element, kind), "id"):
                yield getattr(element, kind).id

    async def _until_finished(self) -> None:
        """Read until the script rests; a script that asks to be run again (``st.rerun``) goes on by itself."""
        fresh: dict[tuple[int, ...], Any] = {}
        while True:
            data = await self._socket.recv()
            message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
            kind = message.WhichOneof("type")
            if kind == "new_session":
                fresh = {}
            elif kind == "navigation":
                self._hash = message.navigation.page_script_hash
            elif kind == "delta":
                path = tuple(message.metadata.delta_path)
                if message.delta.WhichOneof("type") == "new_element":
                    fresh[path] = message.delta.new_element
                    if message.delta.new_element.WhichOneof("type") == "markdown":
                        self.seen.append(message.delta.new_element.markdown.body)
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "script_finished":
                self.runs += 1
                self.elements = fresh
                if message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                    return
