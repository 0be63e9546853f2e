"""What a transformers model is on disk: a folder, a model of the Hugging Face hub, or a GGUF file; and an adapter.

``find`` reads configurations and headers only, never weights: what a model can do and how much memory it takes is
known before it is loaded. Code that comes with a model is never run, and weights that were pickled are read by
torch's safe reader alone, which knows tensors and nothing else.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError, MissingFile
from core.providers.gguf_file import GgufHeader, damaged, read_header

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DESCRIBING = ("*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")  # small files of a hub model
WEIGHTS = (*DESCRIBING, "*.safetensors", "*.bin")
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}  # fmt: skip
_BATCHED_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}
_MAX_HEADER = 100 * 1024 * 1024  # of a safetensors file, as its own library has it


@dataclass(frozen=True, slots=True)
class Tensors:
    """What the weight files hold: parameters by number, and bytes as stored."""

    parameters: int
    stored_bytes: int


@dataclass(frozen=True)
class ModelFiles:
    """A model that was found. ``gguf`` is the header of a file that has to be converted; ``hub`` is set for a model
    whose weights may have to be fetched first."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    chat_template: str
    tensors: Tensors | None  # None: the weights are not on this machine yet
    gguf: GgufHeader | None = None
    hub: str | None = None
    adapter: Path | None = None

    @property
    def text(self) -> Mapping[str, Any]:
        """The configuration of the language part."""
        found = self.config.get("text_config") or self.config.get("llm_config")
        return found if isinstance(found, Mapping) else self.config

    @property
    def sees(self) -> bool:
        """Whether the model takes images and its processor is there."""
        return "vision_config" in self.config and any(
            (self.folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")
        )

    @property
    def batches(self) -> bool:
        """Whether keys and values are all the state the model has, so that a padded batch can hold its answers."""
        kinds = set(self.text.get("layer_types") or ()) - _BATCHED_LAYERS
        rope = self.text.get("rope_parameters") or self.text.get("rope_scaling") or {}
        in_space = isinstance(rope, Mapping) and "mrope_section" in rope
        return not (kinds or in_space or self.sees)

    @property
    def context_tokens(self) -> int | None:
        if self.gguf is not None:
            return self.gguf.context_tokens
        found = self.text.get("max_position_embeddings")
        return int(found) if isinstance(found, int) else None

    def cache_values_per_token(self) -> int:
        """Numbers a token's keys and values are; an upper bound where layers slide or share."""
        if self.gguf is not None:
            return self.gguf.cache_bytes_per_token // 2
        text = self.text
        heads = int(text.get("num_attention_heads") or 1)
        cached = int(text.get("num_key_value_heads") or heads)
        width = int(text.get("head_dim") or int(text.get("hidden_size") or 0) // heads)
        return int(text.get("num_hidden_layers") or 0) * cached * width * 2


def find(model: str, *, name: str, folder: Path, online: bool = True) -> ModelFiles:
    """The model ``model``: ``folder``, ``file.gguf``, ``owner/name`` on the hub, each with ``+adapter`` or without.

    Raises:
        MissingFile: a path that is not there.
        ConfigurationError: not a model, without a chat template, damaged, with code of its own, or a hub model that is
            not on this machine and cannot be fetched.
    """
    base, adapter = split_adapter(model, folder)
    place = folder / Path(base).expanduser()
    if base.lower().endswith(".gguf"):
        return _of_gguf(read_header(place, name), name, adapter)
    hub = None
    if not place.exists() and _HUB_ID.fullmatch(base):
        hub, place = base, fetch(base, DESCRIBING, name=name, online=online)
    if not (place / "config.json").is_file():
        raise MissingFile(path=str(place / "config.json"), needed_for=name)
    config = read_json(place / "config.json")
    if config.get("auto_map"):
        raise ConfigurationError(reason="remote_code", path=str(place))
    return ModelFiles(
        name, place, config, _chat_template(place), _tensors(place) if hub is None else None, hub=hub, adapter=adapter
    )


def split_adapter(model: str, folder: Path) -> tuple[str, Path | None]:
    """``(base, adapter folder)`` of ``base+adapter``; a path that is there with its plus sign is a base.

    Raises:
        MissingFile: the adapter folder has no ``adapter_config.json``.
    """
    base, plus, path = model.rpartition("+")
    if not plus or not base or (folder / Path(model).expanduser()).exists():
        return model, None
    adapter = folder / Path(path).expanduser()
    if not (adapter / "adapter_config.json").is_file():
        raise MissingFile(path=str(adapter / "adapter_config.json"), needed_for=f"LoRA adapter of {base}")
    return base, adapter


def fetch(hub: str, patterns: tuple[str, ...], *, name: str, online: bool = True) -> Path:
    """The folder of a hub model in the local cache; what is missing is fetched.

    Raises:
        ConfigurationError: (reason ``not_in_cache``) it is not there and could not be fetched.
        MissingPackage: (from the registry) huggingface_hub is not installed.
    """
    import httpx
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    why: Exception
    try:
        found = Path(snapshot_download(hub, allow_patterns=list(patterns), local_files_only=True))
        if "*.safetensors" not in patterns or _has_weights(found):
            return found
        why = FileNotFoundError(f"{found}/*.safetensors")
    except LocalEntryNotFoundError as error:
        why = error
    if online and not constants.HF_HUB_OFFLINE:
        try:
            return Path(snapshot_download(hub, allow_patterns=list(patterns), etag_timeout=5))
        except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
            why = error
    raise ConfigurationError(
        reason="not_in_cache", model=hub, name=name, cache=constants.HF_HUB_CACHE, detail=_first_line(why)
    ) from why


def read_json(path: Path) -> dict[str, Any]:
    """Raises: ConfigurationError: (reason ``bad_model_file``) not a JSON object."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(path, "not_json", detail=_first_line(error)) from error
    if not isinstance(found, dict):
        raise damaged(path, "not_json", detail=type(found).__name__)
    return found


def read_safetensors_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each tensor in the file; the file must be whole.

    Source: https://huggingface.co/docs/safetensors, section "Format".

    Raises:
        ConfigurationError: (reason ``bad_model_file``) not a safetensors file, or cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(8)
        length = struct.unpack("<Q", beginning)[0] if len(beginning) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise damaged(path, "not_safetensors")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            found = {key: (str(row["dtype"]), tuple(row["shape"])) for key, row in header.items()}
            ends = max((int(row["data_offsets"][1]) for row in header.values()), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise damaged(path, "header_broken") from error
    if 8 + length + ends != size:
        raise damaged(path, "cut_short", size=size, wanted=8 + length + ends)
    return found


def _of_gguf(header: GgufHeader, name: str, adapter: Path | None) -> ModelFiles:
    if header.chat_template is None:
        raise ConfigurationError(reason="no_chat_template", path=str(header.path))
    return ModelFiles(name, header.path.parent, {}, header.chat_template, None, gguf=header, adapter=adapter)


def _chat_template(folder: Path) -> str:
    """The template by which messages become a prompt, from one of the three places it may stand."""
    for place in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json", "processor_config.json"):
        path = folder / place
        if not path.is_file():
            continue
        found: Any = path.read_text("utf-8") if path.suffix == ".jinja" else read_json(path).get("chat_template")
        if isinstance(found, list):  # named templates
            named = {row.get("name"): row.get("template") for row in found}
            found = named.get("default") or named.get("tool_use")
        if isinstance(found, str) and found.strip():
            return found
    raise ConfigurationError(reason="no_chat_template", path=str(folder))


def _tensors(folder: Path) -> Tensors:
    files = sorted(folder.glob("*.safetensors"))
    if files:
        rows = [row for path in files for row in read_safetensors_header(path).values()]
        counts = [(dtype, _product(shape)) for dtype, shape in rows]
        return Tensors(sum(n for _, n in counts), sum(n * _BYTES.get(dtype, 4) for dtype, n in counts))
    pickled = sorted(folder.glob("pytorch_model*.bin"))
    if pickled:
        size = sum(path.stat().st_size for path in pickled)
        return Tensors(size // 4, size)
    raise damaged(folder, "no_weights")


def _has_weights(folder: Path) -> bool:
    """Whether all weight files are there: a fetch that was broken off leaves some."""
    for index in folder.glob("*.index.json"):
        parts = set(read_json(index).get("weight_map", {}).values())
        return all((folder / part).is_file() for part in parts)
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for side in shape:
        result *= side
    return result


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
