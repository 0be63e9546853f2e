"""The model that training begins with: a folder, a hub model, a GGUF file or an embedded one, ready for torch to load,
and whether a run on it fits in memory, known before anything is loaded.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from core.errors import ConfigurationError, InputError, MissingFile, MissingPackage, OutOfMemory
from core.i18n import Phrase
from core.settings import Settings

INSTALL = 'pip install "touchstone-llm[local]"'
Needs = Literal[
    "embedding", "encoder", "chat", "text"
]  # what kind of base a recipe begins with; of text it may be none
_PREFIXES = ("transformers:", "sentence-transformers:", "gguf:")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PROCESS = 400 << 20  # bytes of torch itself and its scratch memory
_OPTIMIZER = 12  # bytes a trained weight takes beside itself: gradient, and the two moments of Adam
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class Base:
    """``name`` as it was given, a trained one with its version; ``source`` as the transformers provider opens it,
    ``folder`` as torch loads it.

    ``adapter`` are low-rank adapters trained before, on the model ``beneath``, with which a new run begins.
    """

    name: str
    source: str
    folder: Path
    adapter: Path | None = None
    beneath: str = ""


@contextmanager
def quiet() -> Iterator[None]:
    """Without what transformers writes to the terminal, tables and warnings too; what they say is in the log of the
    run, and what is wrong is raised."""
    from transformers.utils import logging

    from core.providers.quiet import quiet as without_bars

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with without_bars():
            # A base has a name, no path
            warnings.filterwarnings("ignore", "Could not find a config file in", UserWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)


def frozen_dtype(device: str) -> Any:
    """The numbers of weights that adapters are trained beside: half as large on a graphics card that computes in them.

    The adapters themselves are kept in float32 by peft.
    """
    import torch

    kind = device.partition(":")[0] or ("cuda" if torch.cuda.is_available() else "cpu")
    return torch.bfloat16 if kind == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def quantization(settings: Settings) -> Any:
    """How the frozen weights are loaded when ``local.quantization`` asks for fewer bits (QLoRA); else ``None``.

    Raises:
        InvalidSetting: (reason ``not_on_device``) the device cannot.
        MissingPackage: bitsandbytes is not installed.
    """
    if not (wanted := settings.values["local.quantization"]):
        return None
    import torch

    from core.providers.torch_device import choose
    from core.providers.torch_loading import quantized

    return quantized(wanted, choose(settings), torch.bfloat16)


def need_torch() -> None:
    """Raises: MissingPackage: torch, transformers, peft, accelerate or tensorboardX is not installed."""
    for package in ("torch", "transformers", "peft", "accelerate", "tensorboardX"):
        if find_spec(package) is None:
            raise MissingPackage(package=package, needed_for="training", install=INSTALL)


def resolve(name: str, settings: Settings, *, adapters: bool = False) -> Base:
    """Find the base model ``name``; what has to be fetched or converted is.

    Args:
        adapters: take a trained adapter, too; a chat model goes on learning with it.

    Raises:
        InputError: (reason ``bad_value``) no name was given.
        MissingFile, MissingPackage, ConfigurationError: it is not there, damaged, or brings code of its own.
    """
    if not name:
        raise InputError(reason="bad_value", name="--base", value="", allowed=Phrase("training.base"))
    need_torch()
    from core.providers.torch_files import WEIGHTS, fetch, read_json

    if name.startswith("trained:"):
        return _trained(name, settings, adapters)
    source = _source(name, settings)
    if source.lower().endswith(".gguf"):
        from core.providers.gguf_file import read_header
        from core.providers.torch_loading import converted

        return Base(name, source, converted(read_header(Path(source), name), settings.home))
    folder = Path(source)
    if not folder.exists() and _HUB_ID.fullmatch(source):
        folder = fetch(source, WEIGHTS, name=name)
    if not (folder / "config.json").is_file():
        raise MissingFile(path=str(folder / "config.json" if folder.is_dir() else folder), needed_for="--base")
    if read_json(folder / "config.json").get("auto_map"):
        raise ConfigurationError(reason="remote_code", path=str(folder))
    return Base(name, source, folder)


def _source(name: str, settings: Settings) -> str:
    """A path made absolute, or a hub id as it is."""
    if name.startswith("embedded:"):
        from core.providers.embedded import CHAT, _row, put_together

        return str(put_together(_row(CHAT, "chat", name.partition(":")[2]), settings.home))
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    place = settings.folder / Path(name).expanduser()
    if place.exists() or not _HUB_ID.fullmatch(name):
        return str(place.absolute())
    return name


def _trained(name: str, settings: Settings, adapters: bool) -> Base:
    """A version that is a whole model, or adapters; ``trained:NAME`` is the one that serves, else the newest.

    Adapters that began with others are whole in themselves: they stand on the model beneath those.
    """
    from core.training.store import Trained, named

    model, number = named(name.removeprefix("trained:"))
    version = Trained(settings.home).chosen(model, number)
    if (version.model / "config.json").is_file():
        return Base(version.served_as, str(version.model), version.model)
    wanted = ["full", "adalora", "embedding", "causal", "masked"]
    if not adapters:
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=", ".join(wanted))
    if version.role != "chat" or not (version.model / "adapter_config.json").is_file():
        wanted += ["chat", "dpo", "kto"]
        raise InputError(reason="wrong_kind", name=version.served_as, kind=version.run.recipe, wanted=", ".join(wanted))
    under = resolve(version.run.base, settings, adapters=True)
    return Base(version.served_as, under.source, under.folder, version.model, under.beneath or under.name)


def memory_needed(
    base: Base | None, needs: Needs, method: str, settings: Mapping[str, Any], *, labels: int = 2
) -> tuple[int, int, int]:
    """``(bytes, weights, trained weights)`` of a run, from the model's configuration alone.

    Weights in float32; a gradient and two moments of Adam for each that is trained; the activations kept for the
    backward pass, and for a model of words the scores of the whole vocabulary. Source of the activations: Korthikanti et
    al. 2022, https://arxiv.org/abs/2205.05198, equation 2, twice as large because the numbers are.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

    if needs == "text":
        return _memory_of_text(base, method, settings)
    if base is None:
        raise ValueError(f"{needs} begins with a base")
    config = AutoConfig.from_pretrained(base.folder, local_files_only=True)
    text = config.get_text_config()
    with torch.device("meta"):
        if needs == "chat":
            model = AutoModelForCausalLM.from_config(config)
        elif method == "pairs":
            model = AutoModel.from_config(config)
        else:
            config.num_labels = 1 if method == "ranking" else labels
            model = AutoModelForSequenceClassification.from_config(config)
    weights = sum(p.numel() for p in model.parameters())
    trained = weights
    if method in ("lora", "adalora", "dpo", "kto"):
        linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
        rank = settings["rank"] + (settings["rank"] + 1) // 2 if method == "adalora" else settings["rank"]
        trained = rank * sum(m.in_features + m.out_features for m in linear)
    elif method == "frozen":
        trained = weights - sum(p.numel() for p in model.base_model.parameters()) + text.hidden_size**2
    batch, length = settings["batch_size"], min(settings["max_tokens"], _context(text))
    if method == "pairs":
        batch *= 3  # two texts, and a wrong one where rows name some
    elif method in ("dpo", "kto"):
        batch *= 2
    elif method == "ranking":
        batch *= 1 + settings["negatives"]
    activations = _activations(text, batch, length)
    if method == "frozen":
        activations //= text.num_hidden_layers  # nothing is kept below what is trained
    scores = 3 * _FLOAT * batch * length * text.vocab_size if needs == "chat" else 0
    return _PROCESS + weights * _FLOAT + trained * _OPTIMIZER + activations + scores, weights, trained


def _memory_of_text(base: Base | None, method: str, settings: Mapping[str, Any]) -> tuple[int, int, int]:
    """Of a language model, all of whose weights are trained; without a base with the largest vocabulary allowed."""
    import torch
    from transformers import AutoConfig

    from core.training.recipes.language import configured, model_class

    if base is None:
        config = configured(method, settings, int(settings["vocabulary"]))
    else:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True)
    text, made = config.get_text_config(), model_class(method)
    with torch.device("meta"):
        model = made(config) if method == "lstm" else made.from_config(config)
    weights = sum(p.numel() for p in model.parameters())
    batch, length = settings["batch_size"], min(settings["max_tokens"], _context(text))
    # Of an LSTM the states and gates of each place are kept.
    kept = 2 * batch * length * 34 * text.width * text.layers if method == "lstm" else _activations(text, batch, length)
    scores = 3 * _FLOAT * batch * length * text.vocab_size
    return _PROCESS + weights * (_FLOAT + _OPTIMIZER) + kept + scores, weights, weights


def _activations(text: Any, batch: int, length: int) -> int:
    inner = 34 * text.hidden_size + 5 * text.num_attention_heads * length
    return int(2 * batch * length * inner * text.num_hidden_layers)


def require_memory(needed: int, name: str, settings: Settings) -> None:
    """Refuse a run that does not fit.

    Raises:
        OutOfMemory: (reason ``training``) says how much is needed and how much is free.
    """
    from core.providers.torch_device import choose, free_bytes
    from core.providers.torch_memory import MIB

    device = choose(settings)
    free = free_bytes(device)
    if free is not None and needed > free:
        raise OutOfMemory(
            reason="training", provider="training", model=name, device=device.name,
            needed_mib=-(-needed // MIB), free_mib=free // MIB,
        )  # fmt: skip


def _context(text: Any) -> int:
    found = getattr(text, "max_position_embeddings", None)
    return int(found) if isinstance(found, int) and found > 0 else 1 << 30
