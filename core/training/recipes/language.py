"""The recipes ``causal``, ``masked`` and ``lstm``: a language model from plain text.

own tokenizer (byte-level BPE)  ->  paragraphs one after the other, cut into rows  ->  next token, or hidden tokens

With ``--base`` a model goes on learning with its own tokenizer; without, all begins from nothing. Sources: Touvron et al.
2023, https://arxiv.org/abs/2302.13971 (``causal`` is a small Llama); Devlin et al. 2019, https://arxiv.org/abs/1810.04805
(``masked`` is a small BERT); ``core.training.lstm``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.evaluation.datasets import Record
from core.training.bases import quiet
from core.training.loop import optimize
from core.training.recipes import Plan
from core.training.recipes.chat import IGNORED, padded

PAD, START, END, HIDDEN = "<pad>", "<s>", "</s>", "<mask>"
SHARE_HIDDEN = 0.15  # of the tokens; of these 80 % are hidden, 10 % another token, 10 % stay, as BERT does
Row = dict[str, list[int]]


def train(plan: Plan) -> dict[str, Any]:
    from transformers import set_seed

    set_seed(plan.session.seed)
    settings, method = plan.recipe.settings, plan.recipe.method
    parts = plan.splits.train.records, plan.splits.validation.records
    if plan.base is not None:
        tokenizer, model = opened(plan.start, method)
    else:
        tokenizer = learn_tokenizer((r.input for r in parts[0]), int(settings["vocabulary"]), method)
        model = blank(method, settings, tokenizer)
    learned, held = (rows(tokenizer, part, int(settings["max_tokens"])) for part in parts)
    collate = padded(tokenizer)
    if method == "masked":
        import torch

        fixed = torch.Generator().manual_seed(plan.session.seed)
        held = [hidden(row["input_ids"], tokenizer, fixed) for row in held]
        learned = [{"input_ids": row["input_ids"]} for row in learned]
        collate = hiding(tokenizer, collate)
    facts = optimize(model, learned, held, collate, settings, plan.session)
    with quiet():
        model.save_pretrained(plan.model)
        tokenizer.save_pretrained(plan.model)
    weights = sum(p.numel() for p in model.parameters())
    return {
        **facts,
        "learned_tokens": sum(len(row["input_ids"]) for row in learned),
        "vocabulary": len(tokenizer),
        "weights": weights,
        "trained_weights": weights,
    }


def learn_tokenizer(texts: Iterable[str], size: int, method: str) -> Any:
    """A byte-level BPE tokenizer: no text is outside of it, whatever its language."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[PAD, START, END, HIDDEN],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    both = [(START, made.token_to_id(START)), (END, made.token_to_id(END))]
    pattern = f"{START} $A {END}" if method == "masked" else f"{START} $A"  # one that goes on does not end first
    made.post_processor = processors.TemplateProcessing(single=pattern, special_tokens=both)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, bos_token=START, eos_token=END, cls_token=START, sep_token=END,
        mask_token=HIDDEN, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def configured(method: str, settings: Mapping[str, Any], vocabulary: int) -> Any:
    """The configuration of a model that begins from nothing; ``vocabulary`` tokens, of which the first four are ours.

    Raises:
        InputError: (reason ``bad_value``) the width cannot be divided among the heads.
    """
    from transformers import BertConfig, LlamaConfig

    width, layers = int(settings["width"]), int(settings["layers"])
    if method == "lstm":
        from core.training.lstm import LstmConfig

        return LstmConfig(vocabulary, width, layers, float(settings["dropout"]), pad_token_id=0)
    heads = int(settings["heads"])
    if width % heads or (width // heads) % 2:
        from core.errors import InputError
        from core.i18n import Phrase

        raise InputError(
            reason="bad_value", name="width", value=width, allowed=Phrase("training.width", step=2 * heads)
        )
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": int(settings["max_tokens"]),
        "initializer_range": 0.5 * width**-0.5,  # 0.02 at the width of BERT; as small at a small width learns late
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if method == "masked":
        dropout = float(settings["dropout"])
        return BertConfig(
            **shape, intermediate_size=4 * width, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
    return LlamaConfig(**shape, intermediate_size=3 * width, tie_word_embeddings=True)


def model_class(method: str) -> Any:
    """What makes a model of a configuration, or opens a folder."""
    if method == "lstm":
        from core.training.lstm import LstmLanguageModel

        return LstmLanguageModel
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    return AutoModelForMaskedLM if method == "masked" else AutoModelForCausalLM


def blank(method: str, settings: Mapping[str, Any], tokenizer: Any) -> Any:
    """A model that knows nothing yet."""
    made, config = model_class(method), configured(method, settings, len(tokenizer))
    return made(config) if method == "lstm" else made.from_config(config)


def opened(folder: Any, method: str) -> tuple[Any, Any]:
    """``(tokenizer, model)`` of a folder, float32 on the CPU."""
    import torch
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        options = {} if method == "lstm" else {"trust_remote_code": False}
        model = model_class(method).from_pretrained(folder, dtype=torch.float32, local_files_only=True, **options)
    return tokenizer, model


def ends(tokenizer: Any) -> tuple[int, int]:
    """The tokens before and after a text."""
    first = next(i for i in (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id) if i is not None)
    last = next(i for i in (tokenizer.eos_token_id, tokenizer.sep_token_id, first) if i is not None)
    return int(first), int(last)


def rows(tokenizer: Any, records: Sequence[Record], length: int) -> list[Row]:
    """The texts one after the other, each between its ends, cut into rows that share one token with the next."""
    start, end = ends(tokenizer)
    stream: list[int] = []
    for ids in tokenizer([r.input for r in records], add_special_tokens=False)["input_ids"]:
        stream += [start, *ids, end]
    cut = [stream[place : place + length] for place in range(0, max(1, len(stream) - 1), length - 1)]
    return [{"input_ids": row, "labels": row} for row in cut if len(row) > 1]


def hidden(ids: Sequence[int], tokenizer: Any, draw: Any = None) -> Row:
    """Some tokens hidden, by ``draw`` or torch's own random numbers; at least one, never an end."""
    import torch

    given = torch.tensor(ids)
    chance = torch.rand(len(given), generator=draw)
    chance[torch.isin(given, torch.tensor(tokenizer.all_special_ids))] = 2.0
    chosen = (chance < SHARE_HIDDEN) | ((chance == chance.min()) & (chance < 2.0))
    how, other = torch.rand(len(given), generator=draw), torch.randint(len(tokenizer), given.shape, generator=draw)
    labels = torch.where(chosen, given, IGNORED)
    shown = torch.where(chosen & (how < 0.8), tokenizer.mask_token_id, given)
    shown = torch.where(chosen & (how >= 0.9), other, shown)
    return {"input_ids": shown.tolist(), "labels": labels.tolist()}


def hiding(tokenizer: Any, collate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Hides other tokens each time a row is seen; rows that bear labels already, those to validate on, stay."""

    def made(batch: Sequence[Row]) -> Any:
        return collate([row if "labels" in row else hidden(row["input_ids"], tokenizer) for row in batch])

    return made
