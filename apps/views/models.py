"""The Models page: choose a provider and a model for each role, test it, use it, keep it."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from apps import choices, trial
from apps.choices import Choice
from apps.ui import chat, health, keys, look, session
from apps.ui.inert import formatted, inert
from apps.ui.session import t
from apps.ui.states import failed, guarded, loading
from core.errors import NotAllowed
from core.providers.services import Service
from core.settings import ROLES, Settings

NONE = ""
FILES = {"gguf": "~/models/qwen3-4b-q4_k_m.gguf", "scripted": "answers.yaml"}
PLACEHOLDERS = {**FILES, "transformers": "Qwen/Qwen3-4B", "decision": "openai:gpt-6-luna"}
ORDER = {
    "": 0, "embedded": 1, "gguf": 2, "transformers": 3, "sentence-transformers": 4, "langchain": 60, "decision": 61,
    "scripted": 99,
}  # fmt: skip
SIGNS = {True: ":green-badge[:material/check: {}]", False: ":gray-badge[{}]"}
CAPABILITIES = ("stream", "tools", "schema", "images", "logprobs", "usage", "cancel", "reasoning", "grounded")


def provider_label(choice_id: str, rows: dict[str, Choice]) -> str:
    if choice_id in ORDER:
        return t(f"models.engine.{choice_id or 'none'}")
    return rows[choice_id].label


def choose_role() -> str:
    asked = st.query_params.get("role")
    labels = {name: t(f"ui.role.{name}") for name in ROLES}
    role = st.segmented_control(
        t("models.role"), ROLES, required=True, default=asked if asked in ROLES else "chat", key="models_role",
        format_func=labels.__getitem__,
    )  # fmt: skip
    st.caption(t(f"models.about.{role}"))
    return role


def choose_provider(role: str, settings: Settings) -> Choice:
    rows = {choice.id: choice for choice in choices.choices(role, settings)}
    if role in choices.OPTIONAL:
        rows = {NONE: Choice(NONE, ""), **rows}
    ids = sorted(rows, key=lambda name: ORDER.get(name, 50))
    labels = {name: provider_label(name, rows) for name in ids}
    current = settings.values[f"models.{role}"].partition(":")[0]
    chosen = st.selectbox(
        t("models.provider"), ids, index=ids.index(current) if current in ids else 0,
        format_func=labels.__getitem__, key=f"models_provider_{role}",
    )  # fmt: skip
    return rows[chosen]


def model_field(role: str, choice: Choice, settings: Settings) -> str:
    """The model to choose: a file's path, or a name from the server's list, our suggestions, or typed."""
    current = settings.values[f"models.{role}"]
    in_use = current.partition(":")[2] if current.partition(":")[0] == choice.id else ""
    key = f"models_model_{role}_{choice.id}"
    if choice.service is None and not choice.models:
        is_file = choice.id in FILES
        return st.text_input(
            t("models.path" if is_file else "models.model"),
            value=in_use,
            placeholder=PLACEHOLDERS.get(choice.id),
            key=key,
        ).strip()
    listed = st.session_state.get(f"models_listed_{choice.id}", ())
    names = list(dict.fromkeys(filter(None, [in_use, *listed, *choice.models])))
    typed = choice.id != "embedded"
    chosen = st.selectbox(
        t("models.model"), names, index=0 if names else None, accept_new_options=typed, key=key,
        help=t("models.model_help") if typed else None,
    )  # fmt: skip
    return (chosen or "").strip()


def service_fields(service: Service, settings: Settings) -> str:
    """Base URL and key of a hosted or local service; the key goes to ``keys`` and never back to the page."""
    url = st.text_input(
        t("models.url"), value=service.base_url, key=f"models_url_{service.name}", placeholder="https://…/v1"
    ).strip()
    if service.key_variable:
        known = keys.given(service.key_variable) or settings.get(service.key_variable)
        st.text_input(
            t("models.key"), type="password", key=keys.field(service.key_variable), autocomplete="off",
            placeholder=t("models.key_known", tail=keys.tail(known)) if known else t("models.key_missing"),
            help=t("models.key_help", variable=f"`{service.key_variable}`"), icon=look.ICONS["key"],
        )  # fmt: skip
        if service.key_url:
            st.markdown(f":small[[{t('models.key_get', provider=inert(service.label))}]({service.key_url})]")
    return url


def memory(name: str, settings: Settings) -> None:
    """What a model of this process will take, beside what the machine has."""
    from core.providers.embedded import memory_needed

    with guarded():
        needed = memory_needed(name, settings)
        if needed is not None:
            has = look.machine_memory()
            text = t("models.memory", needed=look.size(needed), has=look.size(has))
            st.caption(f"{look.ICONS['model']} {text}")
            if has is not None and needed > 0.8 * has:
                st.warning(t("models.memory_short"), icon=look.ICONS["weak"])


def list_models(choice: Choice, settings: Settings) -> None:
    with loading(t("models.listing")):
        found = trial.offered(choice.id, settings)
    st.session_state[f"models_listed_{choice.id}"] = tuple(found)
    st.toast(t("models.listed", count=len(found)), icon=look.ICONS["ok"])


def test_model(role: str, name: str, settings: Settings) -> trial.Trial:
    """Ask the model; a chat model's reply is drawn as it comes."""
    runtime, who = session.runtime(), session.caller()
    if choices.KINDS[role] == "chat":
        result: list[trial.ChatTrial] = []
        reply = trial.try_chat(runtime, name, settings, who, session.language())
        chat.write(keeping(reply, result), waiting=t("models.testing", model=inert(name)))
        return result[0]
    attempt = trial.try_embedding if role == "embedding" else trial.try_rerank
    with loading(t("models.testing", model=inert(name))):
        return attempt(runtime, name, settings, who)


def keeping(
    pieces: Generator[str | None, None, trial.ChatTrial], result: list[trial.ChatTrial]
) -> Generator[str | None, None, None]:
    result.append((yield from pieces))


def draw_trial(done: trial.Trial) -> None:
    with st.container(border=True):
        st.markdown(f"**{look.ICONS['ok']} {t('models.result.title')}** {inert(done.name)}")
        if isinstance(done, trial.ChatTrial):
            draw_chat_trial(done)
        else:
            with st.grid("auto", min_column_width=130):
                if isinstance(done, trial.EmbeddingTrial):
                    st.metric(t("models.result.dim"), look.count(done.dim))
                st.metric(t("models.result.time"), look.seconds(done.total_s))
                st.metric(t("models.result.related"), f"{done.related:.2f}")
                st.metric(t("models.result.unrelated"), f"{done.unrelated:.2f}")
            first, second = map(inert, trial.RELATED)
            st.caption(t("models.result.pair", first=first, second=second, other=inert(trial.UNRELATED)))


def draw_chat_trial(done: trial.ChatTrial) -> None:
    completion, usage = done.completion, done.completion.usage
    if completion.text:
        st.markdown(formatted(completion.text), anchors=False)
    else:
        st.markdown(f":gray[{inert(completion.reasoning or '') or t('models.result.no_text')}]")
    with st.grid("auto", min_column_width=130):
        st.metric(t("models.result.first_token"), look.seconds(completion.timings.first_token_s))
        st.metric(t("models.result.total"), look.seconds(completion.timings.total_s))
        st.metric(t("models.result.tokens_in"), look.count(usage.input_tokens))
        st.metric(t("models.result.tokens_out"), look.count(usage.output_tokens))
    signs = [SIGNS[bool(getattr(done.capabilities, c))].format(t(f"models.can.{c}")) for c in CAPABILITIES]
    st.markdown(" ".join(signs))
    notes = {"cut": completion.finish_reason == "length", "english": not done.capabilities.grounded}
    if said := [t(f"models.result.{name}") for name, applies in notes.items() if applies]:
        st.caption("  \n".join(said))


def source_text(source: str) -> str:
    """Where a setting comes from: a file and line as they are, the rest in the language of the page."""
    kind, _, variable = source.partition(" ")
    if kind == "environment":
        return t("models.source.environment", variable=inert(variable))
    return t(f"models.source.{source}") if source in ("default", "this run") else inert(source)


def capability_table(done: trial.Trial | None) -> None:
    """What the chat models in use, and the one tested last, can do."""
    states = [health.of(session.runtime(), role) for role in ("chat", "judge")]
    able = {state.model: state.capabilities for state in states if state.capabilities}
    if isinstance(done, trial.ChatTrial):
        able[done.name] = done.capabilities
    if not able:
        return
    yes, no = ":green[:material/check:]", ":gray[–]"
    head = [t("models.can.what"), *(inert(look.shortened(name)) for name in able)]
    lines = [head, [":--", *(":-:" for _ in able)]]
    for capability in CAPABILITIES:
        signs = [yes if getattr(can, capability) else no for can in able.values()]
        lines.append([t(f"models.can.{capability}"), *signs])
    lines.append([t("models.can.context"), *(look.count(can.context_tokens) for can in able.values())])
    with st.expander(t("models.can.title"), icon=":material/checklist:"):
        st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def in_use(settings: Settings) -> None:
    """The model of each role with its health and where its name comes from."""
    health.monitor(session.runtime()).settle(session.runtime(), ROLES, within_s=0.6)
    with st.container(border=True):
        st.markdown(f"### {t('home.models.title')}", anchors=False)
        for role in ROLES:
            name = settings.model(role)
            if not name:
                st.markdown(f"**{t(f'ui.role.{role}')}**  \n:gray[{t('home.models.none')}]")
                continue
            state = health.of(session.runtime(), role)
            origin = t("models.from", source=source_text(settings.sources.get(f"models.{role}", "default")))
            below = look.health_text(state) if state.error is not None else origin
            head = f"**{t(f'ui.role.{role}')}** {look.health_mark(state)}"
            st.markdown(f"{head}  \n{inert(name)}  \n:small[:gray[{below}]]")


def use(role: str, chosen: dict[str, str], *, keep: bool) -> str:
    """Put the choice into use and say what was done; on an error everything stays as it was."""
    runtime = session.runtime()
    with loading():
        path = choices.use(runtime, role, chosen, keep=keep)
    health.monitor(runtime).forget()
    for variable in chosen:
        keys.forget(variable)
    name = inert(runtime.settings.model(role)) or t("home.models.none")
    lines = [t("models.used", role=t(f"ui.role.{role}"), model=name)]
    if path is not None:
        lines.append(t("models.kept", path=inert(look.place(path))))
        if others := choices.overruled(runtime, chosen):
            lines.append(t("models.overruled", variables=inert(", ".join(others))))
    return "  \n".join(lines)


def form(role: str, choice: Choice, settings: Settings, outcome: DeltaGenerator) -> None:
    """The fields of one provider and what to do with them; what comes of it is drawn into ``outcome``."""
    service = choice.service
    variable = service.key_variable if service else None
    with st.form("models_form", border=True):
        url = service_fields(service, settings) if service else ""
        name = f"{choice.id}:{model_field(role, choice, settings)}" if choice.id else NONE
        if service is None and not name.endswith(":"):
            memory(name, settings)
        submit = partial(st.form_submit_button, on_click=keys.take, args=(variable,))
        with st.container(horizontal=True):
            tested = bool(choice.id) and submit(
                f":primary[**{t('models.test')}**]", key="models_test", icon=look.ICONS["test"]
            )
            used = submit(t("models.use"), key="models_use", help=t("models.use_help"))
            kept = submit(t("models.keep"), key="models_keep", help=t("models.keep_help"), icon=look.ICONS["save"])
            listed = service is not None and submit(
                t("models.list"), key="models_list", type="tertiary", icon=":material/list:"
            )
    if not (tested or used or kept or listed):
        return
    st.session_state.pop("models_trial", None)
    key = keys.given(variable) if variable else ""
    with outcome, guarded():
        if listed:
            list_models(choice, settings.with_values(**choices.access(service, url=url, key=key)))
        else:
            chosen = choices.variables(role, name, service, url=url, key=key)
            if tested:
                st.session_state["models_trial"] = test_model(role, name, settings.with_values(**chosen))
            else:
                st.session_state["models_note"] = use(role, chosen, keep=kept)
        st.rerun()


def last_outcome() -> None:
    """What the last test or change came to, kept over the rerun that follows it."""
    if note := st.session_state.pop("models_note", None):
        st.success(note, icon=look.ICONS["ok"])
    if done := st.session_state.get("models_trial"):
        draw_trial(done)


look.header(t("models.title"), subtitle=t("models.subtitle"))
if not session.allowed("admin"):
    failed(NotAllowed(role="admin", action=t("models.action")))
    st.stop()
current = session.runtime().settings
left, right = st.columns([7, 5], gap="large")
with right:
    outcome = st.container()
    in_use(current)
with left:
    chosen_role = choose_role()
    chosen_provider = choose_provider(chosen_role, current)
    if chosen_role == "embedding":
        st.info(t("models.reembed"), icon=":material/sync:")
    form(chosen_role, chosen_provider, current, outcome)
with outcome:
    last_outcome()
with left:
    capability_table(st.session_state.get("models_trial"))
