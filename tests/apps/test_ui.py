"""The shared look without a browser: inert text, answers and sources as Markdown, theme, catalogue, launch."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from apps.i18n import LOCALES
from apps.ui.chat import answer_markdown
from apps.ui.inert import JOINER, UNSEEN, formatted, inert, inert_lines
from apps.ui.launch import ENTRY, SERVER, THEME, streamlit_arguments
from apps.ui.look import count, place, seconds, shortened, size
from apps.ui.sources import beginning, describe, marked, numbered
from core.types import Answer, Citation, Sentence
from tests.apps.hostile import HOSTILE

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
SEEN_AGAIN = re.compile(r"https?://|www\.|\S@\w|:(?:[\w+]|-1)[\w+-]*:|:material/|:\w+\[", re.IGNORECASE)
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*HOSTILE, "`", "``", "```", "~~~", "![", "](", ")", "[", "]", "<", ">", "|", "\\", "\n", "\n\n"]
        ),
        st.sampled_from(
            ["    ", "\t", "- ", "1. ", "> ", "# ", "$", ":red[", "http://a.b/c.png", "x", " ", "\u2028", "\r"]
        ),
        st.text(string.punctuation + " \nab退", max_size=6),
    ),
    max_size=12,
).map("".join)


def tokens(markdown: str) -> list[Token]:
    """All tokens of a CommonMark parse with tables, inline ones included."""
    return [piece for token in PARSER.parse(markdown) for piece in (token, *(token.children or ()))]


def plain(markdown: str) -> str:
    """The text a reader sees."""
    return "".join(
        " " if t.type in ("softbreak", "hardbreak") else t.content for t in tokens(markdown) if not t.children
    )


# --- foreign text -----------------------------------------------------------------------------


@given(PIECES)
@settings(max_examples=400, deadline=None)
def test_inert_text_is_one_paragraph_of_its_own_letters(text: str) -> None:
    shown = inert(text)
    assert {t.type for t in tokens(shown)} <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert plain(shown).replace(JOINER, "") == " ".join(UNSEEN.sub("", text).split())
    assert not SEEN_AGAIN.search(plain(shown))


@given(PIECES)
@settings(max_examples=400, deadline=None)
def test_formatted_text_has_no_link_image_or_html(text: str) -> None:
    found = tokens(formatted(text))
    assert not {t.type for t in found} & {"link_open", "image", "html_inline", "html_block"}
    assert not any(SEEN_AGAIN.search(t.content) for t in found if t.type in ("text", "text_special"))
    assert all(t.info != "mermaid" for t in found if t.type == "fence")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    assert {t.type for t in tokens(inert(text))} <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "text_special",
    }
    assert not {t.type for t in tokens(formatted(text))} & {"link_open", "image", "html_inline", "html_block"}


def test_formatted_text_keeps_what_a_model_may_use() -> None:
    shown = formatted(
        "## Steps\n\n1. **Open** it\n2. Run `a[0] < b`\n\n> note\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx[0] = '<b>'\n```"
    )
    kinds = {t.type for t in tokens(shown)}
    assert {
        "heading_open",
        "ordered_list_open",
        "strong_open",
        "code_inline",
        "blockquote_open",
        "table_open",
        "fence",
    } <= kinds
    assert next(t for t in tokens(shown) if t.type == "fence").content == "x[0] = '<b>'\n"
    assert next(t for t in tokens(shown) if t.type == "code_inline").content == "a[0] < b"


def test_lines_are_kept() -> None:
    assert [t.type for t in tokens(inert_lines("one\ntwo\n\nthree"))].count("hardbreak") == 2


# --- answers and sources ----------------------------------------------------------------------


def citation(number: int = 1, **changes: object) -> Citation:
    fields = {
        "passage_id": "p", "document_id": "d", "title": "Return *policy*", "source": "return.md",
        "quote": "within [30] days", "start": 0, "end": 16, "heading": "Electronics", "page": 4, "score": 0.8312,
    }  # fmt: skip
    return Citation(number=number, **{**fields, **changes})  # type: ignore[arg-type]


def test_an_extractive_answer_quotes_letter_by_letter() -> None:
    answer = Answer("q", "extractive", "", sentences=(Sentence("Pay **5** [now](http://x)", (1, 2)), Sentence("End.")))
    shown = answer_markdown(answer)
    assert not {t.type for t in tokens(shown)} & {"strong_open", "link_open"}
    assert plain(shown).replace(JOINER, "").startswith("Pay **5** [now](http://x)")
    assert shown.index("1") < shown.index(r"\[2\]") < shown.index("End")


def test_a_generated_answer_keeps_emphasis_only() -> None:
    answer = Answer("q", "generated", "", sentences=(Sentence("**Yes**, ![x](http://x)", (1,)),))
    kinds = {t.type for t in tokens(answer_markdown(answer))}
    assert "strong_open" in kinds
    assert "image" not in kinds


def test_a_source_says_where_and_marks_the_quote() -> None:
    shown = describe(citation(), lambda _: ("ou may return it", "of delivery. Se"))
    text = plain(shown)
    assert "Return *policy* › Electronics" in text
    assert "0.83" in text
    assert shown.endswith(":gray[… may return it] :primary-background[within \\[30\\] days] :gray[of delivery\\. …]")


def test_surroundings_are_read_without_markdown_signs_and_cut_words() -> None:
    shown = plain(
        marked(
            "lf a word\n## Warranty\n\n| Product | Months |\n|---|:--:|\n| KT",
            "| KT-310 | 36 |",
            "- `x`\n电池**除外**，",
        )
    )
    assert shown == ":gray[… a word Warranty Product Months KT] :primary-background[KT-310 · 36] :gray[x 电池除外， …]"


def test_a_beginning_ends_with_a_whole_word() -> None:
    assert beginning("# Resin *lasts* ten years", 22) == "Resin lasts ten …"
    assert beginning("树脂可用十年，不用更换", 6) == "树脂可用十年 …"
    assert beginning("ten years", 9) == "ten years"


def test_rows_quoted_together_are_told_apart() -> None:
    shown = marked("", "| a | 1 |\n| b | 2 |", "")
    assert shown == ":primary-background[a · 1 \\/ b · 2]"


def test_a_quoted_row_of_a_table_is_shown_as_its_cells() -> None:
    shown = marked("", "| KT-310 kettle | 36 months |", "")
    assert "KT" in shown
    assert " · 36 months" in shown
    assert "|" not in shown


def test_a_quote_cannot_leave_its_mark() -> None:
    shown = marked("", "a] :red[b", "")
    assert shown == ":primary-background[a\\] \\:" + JOINER + "red\\[b]"


def test_only_cited_sources_are_listed_in_order() -> None:
    answer = Answer(
        "q", "generated", "", sentences=(Sentence("x", (3, 1)),), citations=(citation(3), citation(2), citation(1))
    )
    assert [c.number for c in numbered(answer)] == [1, 3]


# --- look -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("embedded:smollm2", "embedded:smollm2"),
        ("gguf:/models/Qwen3-4B-Q4_K_M.gguf", "gguf:Qwen3-4B-Q4_K_M.gguf"),
        ("siliconflow:Qwen/Qwen3-8B", "siliconflow:Qwen/Qwen3-8B"),
        ("openrouter:someone/a-very-long-model-name-instruct", "openrouter:someone/a…me-instruct"),
    ],
)
def test_names_fit_small_places(name: str, shown: str) -> None:
    assert shortened(name) == shown
    assert len(shown) <= 32


def test_unknown_numbers_are_dashes() -> None:
    assert (seconds(None), count(None)) == ("–", "–")
    assert (seconds(0.038), seconds(0.421), seconds(63.2)) == ("38 ms", "0.42 s", "63 s")
    assert count(12345) == "12,345"
    assert (size(None), size(71_800_000), size(2_540_000_000)) == ("–", "72 MB", "2.5 GB")


def test_own_folders_are_shortened() -> None:
    assert place(Path.home() / "x" / ".env") == str(Path("~/x/.env"))
    assert place(Path("/srv/shop")) == str(Path("/srv/shop"))


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio. Source: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_accent_can_be_read(scheme: str) -> None:
    theme = tomllib.loads(THEME.read_text("utf-8"))["theme"][scheme]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["sidebar"]["backgroundColor"]]
    for name in ("textColor", "primaryColor", "linkColor", "grayTextColor"):
        assert min(contrast(theme[name], ground) for ground in grounds) >= 4.5, name
    assert contrast(theme["primaryColor"], "#ffffff") >= 3.0, "a white sign on the accent"


def test_no_page_has_a_filled_button() -> None:
    """White text on the dark theme's accent could not be read."""
    pages = [*LOCALES.parent.glob("views/*.py"), *LOCALES.parent.glob("ui/*.py")]
    assert pages
    assert not [path.name for path in pages if 'type="primary"' in path.read_text("utf-8")]


def test_the_command_line_serves_this_machine_with_the_theme() -> None:
    command = streamlit_arguments(8765)
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert command[4] == str(SERVER)
    assert SERVER.is_file()
    assert ENTRY.is_file()
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in command[5:])
    assert flags["server.address"] == "127.0.0.1"
    assert flags["server.port"] == "8765"
    assert flags["theme.base"] == str(THEME)
    assert flags["browser.gatherUsageStats"] == "false"
    from streamlit import config

    assert set(flags) <= {option.key for option in config._config_options_template.values()}


# --- catalogue --------------------------------------------------------------------------------


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in tree.items():
        texts |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return texts


def test_both_languages_say_the_same_things() -> None:
    zh, en = (flat(yaml.safe_load((LOCALES / f"{name}.yaml").read_text("utf-8"))) for name in ("zh", "en"))
    assert zh.keys() == en.keys()
    for key, text in en.items():
        assert sorted(re.findall(r"\{(\w+)", text)) == sorted(re.findall(r"\{(\w+)", zh[key])), key
        assert text.strip(), key
        assert zh[key].strip(), key


def test_every_key_a_page_names_is_in_the_catalogue() -> None:
    texts = flat(yaml.safe_load((LOCALES / "en.yaml").read_text("utf-8")))
    folder = Path(LOCALES).parent
    named = {
        (path.name, key)
        for path in [*folder.glob("ui/*.py"), *folder.glob("views/*.py"), *folder.glob("*.py")]
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']""", path.read_text("utf-8"))
    }
    assert named
    assert not {(file, key) for file, key in named if key not in texts}
