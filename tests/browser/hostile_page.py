"""A page that draws every hostile text in every way the pages draw foreign text; served by the browser test."""

import streamlit as st

from apps.search.views import card_list
from apps.ui.inert import formatted, inert, inert_lines, plain
from apps.ui.sources import marked
from tests.apps.hostile import HOSTILE

st.set_page_config(page_icon="X")
for number, text in enumerate(HOSTILE):
    for way, body in (
        ("inert", inert(text)),
        ("lines", inert_lines(text)),
        ("marked", marked(text, text, text)),
        ("formatted", formatted(text)),
    ):
        with st.container(key=f"case-{way}-{number}"):
            st.markdown(body, anchors=False)
    with st.container(key=f"case-label-{number}"), st.expander(inert(text), type="compact"):
        st.caption(inert(text))
TEXTS = ("title", "before", "marked", "after", "folded")
cards = [
    {"id": "p", "rank": 1, **dict.fromkeys(TEXTS, plain(text)), "facts": [plain(text)], "verdict": None}
    for text in HOSTILE
]
card_list.draw({"typed": "", "count": plain(HOSTILE[3]), "cards": cards, "ask": None}, lambda *_: None)
st.title("done")
