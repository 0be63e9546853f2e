"""The page "for you": who it is for at the side, a wish above, the shelf below; every click counts at once."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from apps.recommendation.catalogue import Filters
from apps.recommendation.data import SAMPLE, Event
from apps.recommendation.diversity import DEFAULT
from apps.recommendation.lists import SENTENCE_LIMIT, Shelf
from apps.recommendation.preferences import Said, understood
from apps.recommendation.views import beside, cards, data, files, find, measured, one, shop, taste
from apps.recommendation.views.state import (
    CATALOGUE,
    CONVERSATION,
    DROPPED,
    ITEM,
    PERSON,
    SAYS,
    VIEW,
    YOU,
    label,
    names,
    person,
    service,
)
from apps.ui import look, session, states
from apps.ui.inert import inert
from apps.ui.session import language, t

SHOWN, STARTERS, NEEDED = 9, 9, 3
SLIDERS = {"diversity": DEFAULT, "novelty": 0.0, "exploration": 0.0}  # from 0 to 1, and where they begin
WISHES = ("1", "2", "3", "4")
PARTS, OF_THE_SHOP = ("list", "taste", "find"), ("shop", "beside", "measured", "data")
KEPT = (
    SAYS, CONVERSATION, find.SOUGHT, find.PAGE, "recommend_kinds", "recommend_diversity", "recommend_novelty", "recommend_exploration",
    "recommend_stock", "recommend_young", "recommend_assisted",
)  # fmt: skip
DRAWN = {
    "taste": taste.draw, "find": find.draw, "shop": shop.draw, "beside": beside.draw, "measured": measured.draw, "data": data.draw,
}  # fmt: skip


def page() -> None:
    look.header(t("apps.recommend.title"))
    files.open_imported()
    for key in KEPT:  # Streamlit forgets what is not drawn, such as the wish while one thing is looked at
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]
    with st.sidebar:
        whom()
    views = [*PARTS, *(OF_THE_SHOP if session.allowed("agent") else ())]  # some are for those who run it
    view = st.segmented_control(
        t("recommendation.view.label"),
        views,
        format_func={name: t(f"recommendation.view.{name}") for name in views}.__getitem__,
        default="list",
        required=True,
        key=VIEW,
        label_visibility="collapsed",
        on_change=_close,
    )
    if (opened := st.session_state.get(ITEM)) and view in ("list", "find"):
        one.draw(opened)
    elif view in DRAWN:
        DRAWN[view]()
    else:
        list_()


def _close() -> None:
    st.session_state.pop(ITEM, None)


def list_() -> None:
    """What is wished, and the shelf for it."""
    with st.sidebar:
        filters, sliders, assisted = controls()
    wish()
    history = service().history(person())
    says = "\n".join(st.session_state.get(CONVERSATION, ()))
    shelf = service().recommend(
        person(),
        says=says,
        n=SHOWN,
        filters=filters,
        ignored=frozenset(st.session_state.get(DROPPED, ())),
        language=language(),
        assisted=assisted,
        diversity=sliders["diversity"],
        novelty=sliders["novelty"],
        exploration=sliders["exploration"],
    )
    if shelf.unassisted:
        st.caption(t("recommendation.model.unassisted", error=inert(shelf.unassisted.text(language()))))
    chips(shelf.understood)
    if not shelf.reads_text:
        st.page_link("views/models.py", label=t("recommendation.no_text"), icon=look.ICONS["models"])
    told = [event for event in history if event.kind != "event"]
    if len(history) < NEEDED and not says:
        starters(len(history))
    if history:
        known(history, len(told))
    draw(shelf, new=not history and not says)


def whom() -> None:
    """The catalogue, and who the page is for."""
    if len(names()) > 1:
        known = {name: t("recommendation.sample") if name == SAMPLE else name for name in names()}
        st.selectbox(
            t("recommendation.catalogue"), list(known), key=CATALOGUE, format_func=known.__getitem__, on_change=_close
        )
    others = service().people() if _sample() or session.allowed("agent") else []  # customers are not for everybody
    people = {user: person_name(user) for user in (YOU, *others)}
    st.selectbox(
        t("recommendation.who"),
        list(people),
        key=PERSON,
        format_func=people.__getitem__,
        help=t("recommendation.simulated_help") if _sample() else None,
    )


def controls() -> tuple[Filters, dict[str, float], bool]:
    """What may be in the list, and how it is made."""
    spoken = language()
    kinds = {
        kind: label("kind", kind, spoken) for kind in sorted({item.kind for item in service().items() if item.kind})
    }
    chosen = []
    if len(kinds) > 1:
        chosen = st.pills(
            t("recommendation.kinds"),
            list(kinds),
            selection_mode="multi",
            key="recommend_kinds",
            format_func=kinds.__getitem__,
        )
    sliders = {
        name: st.slider(
            t(f"recommendation.{name}"),
            0.0,
            1.0,
            begin,
            0.1,
            key=f"recommend_{name}",
            help=t(f"recommendation.{name}_help"),
        )
        for name, begin in SLIDERS.items()
    }
    stock = st.toggle(t("recommendation.in_stock"), value=True, key="recommend_stock")
    young = st.toggle(t("recommendation.for_children"), key="recommend_young")
    assisted = st.toggle(
        t("recommendation.model.assisted"), key="recommend_assisted", help=t("recommendation.model.assisted_help")
    )
    return Filters(kinds=tuple(chosen), age=11 if young else None, in_stock=stock), sliders, assisted


def person_name(user: str) -> str:
    if user == YOU:
        return t("recommendation.you")
    spoken = language()
    taste = " · ".join(label("tag", tag, spoken) for tag in service().taste(user))
    return t("recommendation.simulated", number=user.lstrip("s0"), taste=taste) if _sample() else user


def wish() -> None:
    """The field for a sentence; what was said before, which it goes on from, or a few sentences to begin with."""
    before = st.session_state.get(CONVERSATION, ())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            t("recommendation.wish"),
            key=SAYS,
            type="search",
            placeholder=t("recommendation.wish_more" if before else "recommendation.wish_hint"),
            max_chars=SENTENCE_LIMIT,
            label_visibility="collapsed",
            on_change=_say,
        )
    if before:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            said = " → ".join(map(inert, before))
            st.caption(f":material/chat: {said}", width="content")
            st.button(t("recommendation.start_over"), key="recommend_over", type="tertiary", on_click=_start_over)
    elif _sample():
        offered = [t(f"recommendation.wishes.{number}") for number in WISHES]
        st.pills(
            t("recommendation.wish"), offered, key="recommend_wish", label_visibility="collapsed", on_change=_wish_chosen
        )  # fmt: skip


def _wish_chosen() -> None:
    if chosen := st.session_state.get("recommend_wish"):
        st.session_state[SAYS] = chosen
        _say()


def _say() -> None:
    """A sentence goes on from those before; the oldest are forgotten where they get too long together."""
    sentence = st.session_state[SAYS].strip()
    st.session_state[SAYS] = ""
    if not sentence:
        return
    conversation = [*st.session_state.get(CONVERSATION, ()), sentence]
    while len("\n".join(conversation)) > SENTENCE_LIMIT:
        conversation.pop(0)
    st.session_state[CONVERSATION] = tuple(conversation)
    again = {f"{one.kind}:{one.name}" for one in understood(sentence, service().catalogue().titles)}
    st.session_state[DROPPED] = tuple(name for name in st.session_state.get(DROPPED, ()) if name not in again)


def _start_over() -> None:
    st.session_state[CONVERSATION] = ()
    _take_back_none()


def _take_back_none() -> None:
    st.session_state[DROPPED] = ()


def chips(understood: Sequence[Said]) -> None:
    """What a wish was understood as; a click takes one away."""
    dropped = st.session_state.get(DROPPED, ())
    if not understood and not dropped:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.caption(t("recommendation.understood"), width="content")
        for said in understood:
            st.button(
                chip(said),
                key=f"chip_{said.kind}_{said.name}",
                help=t("recommendation.take_away"),
                icon=":material/close:",
                on_click=_drop,
                args=(f"{said.kind}:{said.name}",),
            )
        if dropped:
            st.button(t("recommendation.all_again"), key="chips_all", type="tertiary", on_click=_take_back_none)


def chip(said: Said) -> str:
    spoken = language()
    name = (
        inert(service().item(said.name).title(spoken)) if said.kind == "title" else label(said.kind, said.name, spoken)
    )
    if said.kind == "title":
        return t("recommendation.chip.like" if said.wanted else "recommendation.chip.unlike", name=name)
    return name if said.wanted else t("recommendation.chip.no", name=name)


def _drop(name: str) -> None:
    st.session_state[DROPPED] = (*st.session_state.get(DROPPED, ()), name)


def starters(chosen: int) -> None:
    """For somebody new: a few things to choose from, as buttons."""
    with st.container(border=True):
        st.markdown(
            f"**{t('recommendation.pick_three')}**  \n:small[:gray[{t('recommendation.chosen', count=chosen)}]]"
        )
        liked, spoken = {event.item for event in service().history(person())}, language()
        with st.container(horizontal=True, gap="small"):
            for item in service().starters(STARTERS + chosen):
                if item.id not in liked:
                    st.button(
                        inert(item.title(spoken)),
                        key=f"start_{item.id}",
                        help=cards.facets(item, spoken),
                        on_click=cards.tell,
                        args=(item.id, "like"),
                    )


def known(history: Sequence[Event], told: int) -> None:
    """What counts, newest first, and a way to take back what was told here."""
    with st.expander(t("recommendation.history", count=len(history)), icon=":material/history:", type="compact"):
        lines, spoken = [], language()
        for event in reversed(history[-20:]):
            item = service().item(event.item)
            mark = f" · :primary[{t(f'recommendation.feedback.{event.kind}')}]" if event.kind != "event" else ""
            lines.append(f"{inert(item.title(spoken))} :small[:gray[{cards.facets(item, spoken)}]]{mark}")
        st.markdown("  \n".join(lines))
        if told:
            st.button(
                t("recommendation.forget", count=told),
                key="recommend_forget",
                icon=":material/undo:",
                type="tertiary",
                on_click=_forget,
            )


def _forget() -> None:
    service().forget(person())


def draw(shelf: Shelf, *, new: bool) -> None:
    """The shelf, or what kept everything out of it."""
    reasons = ", ".join(t(f"recommendation.left_out.{rule}", count=count) for rule, count in shelf.left_out.items())
    if not shelf.picks:
        states.empty(t("recommendation.nothing"), hint=reasons)
        return
    st.markdown(f"### {t('recommendation.popular_now' if new else 'recommendation.for_you')}", anchors=False)
    spoken = language()
    with st.grid(3, min_column_width=240):
        for place, pick in enumerate(shelf.picks, 1):
            cards.draw(pick, place, spoken)
    if reasons:
        st.caption(t("recommendation.left_out_all", reasons=reasons))
    if _sample():
        st.caption(t("recommendation.sample_note"))


def _sample() -> bool:
    return service().store.catalogue == SAMPLE


with states.guarded():
    page()
