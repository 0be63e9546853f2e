"""Bring a model into memory: convert GGUF once, load in the device's number format, merge an adapter in."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError, InvalidSetting, MissingPackage, OutOfMemory
from core.i18n import Phrase
from core.providers.gguf_file import GgufHeader, damaged
from core.providers.quiet import quiet
from core.providers.torch_device import Device, free_bytes, is_out_of_memory, trim
from core.providers.torch_files import WEIGHTS, ModelFiles, fetch, read_json, read_safetensors_header
from core.providers.torch_memory import HEADROOM, MIB

if TYPE_CHECKING:
    import torch

CONVERTED = "1"  # raised when what a conversion writes changes
QUANTIZED_BYTES = {"int8": 1.1, "int4": 0.6}  # per parameter, with its scales
_WEIGHT = ".lora_A.weight"
_PARSING = threading.Lock()  # while a file is converted, the reader is exchanged for the whole process


@dataclass(slots=True)
class Loaded:
    """A model in memory; ``processor`` is there for one that sees."""

    model: Any
    tokenizer: Any
    processor: Any = None


def weight_bytes(files: ModelFiles, dtype: torch.dtype, quantization: str) -> int:
    """Bytes the weights will take on the device, as far as the files say before they are loaded."""
    if files.tensors is None:
        return 0
    each = QUANTIZED_BYTES[quantization] if quantization else dtype.itemsize
    quantized = files.config.get("quantization_config")  # as its makers left it
    return int(HEADROOM * (files.tensors.stored_bytes if quantized else files.tensors.parameters * each))


def load_tokenizer(folder: Path, *, sees: bool) -> tuple[Any, Any]:
    """The tokenizer, and the processor of a model that sees.

    Raises:
        ConfigurationError: (reason ``bad_model_file``) they are damaged, or need code of their own.
    """
    from transformers import AutoProcessor, AutoTokenizer

    safe = {"trust_remote_code": False, "local_files_only": True}
    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(folder, **safe) if sees else None
            return AutoTokenizer.from_pretrained(folder, **safe), processor
    except Exception as error:
        raise damaged(folder, "torch_refuses", words=_words(error)) from error


def prepare(files: ModelFiles, home: Path) -> Path:
    """The folder to load from: fetched from the hub, or converted from GGUF, where need be."""
    if files.gguf is not None:
        return converted(files.gguf, home)
    return fetch(files.hub, WEIGHTS, name=files.name) if files.hub else files.folder


def load_model(files: ModelFiles, folder: Path, device: Device, dtype: torch.dtype, quantization: str) -> Any:
    """The model in ``folder`` on ``device``, ready to answer, its adapter merged in.

    Raises:
        OutOfMemory: (reason ``load``) the device ran out while loading; nothing stays behind.
        ConfigurationError: the weights are damaged, unsafe or of an unknown kind; the adapter belongs to another model.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if files.sees else AutoModelForCausalLM
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": False, "local_files_only": True}
    if quantization:
        options["quantization_config"] = quantized(quantization, device, dtype)
    if device.kind != "cpu":
        options["device_map"] = {"": device.name}
    try:
        with quiet():
            model = kind.from_pretrained(folder, **options)
            if files.adapter is not None:
                model = merge_adapter(model, files.adapter)
        return model.eval().requires_grad_(False)
    except (ConfigurationError, MissingPackage):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            free = free_bytes(device)
            raise OutOfMemory(
                reason="load", provider=files.name.partition(":")[0], model=files.name, device=device.name,
                needed_mib=weight_bytes(files, dtype, quantization) // MIB, others="-",
                free_mib="?" if free is None else free // MIB,
            ) from error  # fmt: skip
        raise damaged(folder, "torch_refuses", words=_words(error)) from error
    finally:
        trim(device)


def merge_adapter(model: Any, adapter: Path) -> Any:
    """``model`` with the LoRA adapter's change added to its weights: answers cost what they cost without it.

    Raises:
        ConfigurationError: (reason ``adapter_mismatch``) it was made for another model, by its shapes.
        MissingPackage: peft is not installed.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingPackage(package="peft", needed_for="LoRA", install='pip install "touchstone-llm[local]"') from error  # fmt: skip
    check_adapter(model, adapter)
    found = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
    return found.merge_and_unload(safe_merge=True)


def check_adapter(model: Any, adapter: Path) -> None:
    """See from shapes alone whether the adapter fits; peft leaves out what it does not find."""
    made_for = str(read_json(adapter / "adapter_config.json").get("base_model_name_or_path") or "?")
    weights = adapter / "adapter_model.safetensors"
    if not weights.is_file():
        raise damaged(adapter, "no_adapter_weights")
    modules = dict(model.named_modules())
    header = read_safetensors_header(weights)
    pairs = [key for key in header if key.endswith(_WEIGHT)]
    for key in pairs:
        path = key.removeprefix("base_model.model.").removesuffix(_WEIGHT)
        module = modules.get(path)
        reads, writes = header[key][1][-1], header.get(key.replace("lora_A", "lora_B"), ("", (0,)))[1][0]
        fits = module is not None and (getattr(module, "in_features", reads), getattr(module, "out_features", writes)) == (reads, writes)  # fmt: skip
        if not fits:
            raise ConfigurationError(reason="adapter_mismatch", path=str(adapter), layer=path, made_for=made_for)
    if not pairs:
        raise damaged(adapter, "no_adapter_weights")


# --- GGUF -------------------------------------------------------------------------------------


def converted(header: GgufHeader, home: Path) -> Path:
    """The folder with the weights of a GGUF file in a form transformers loads in a moment; made once per content.

    The weights are kept in float16, which holds what a quantized file says. Written beside and renamed: a conversion
    that is killed leaves nothing that could be taken for whole.
    """
    from filelock import FileLock

    place = home / "models" / f"gguf-{_content_hash(header.path)}-{CONVERTED}"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(f"{place}.lock"):  # two processes do not do the same work
        if not place.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as fresh:
                whole = Path(fresh) / "whole"
                whole.mkdir()
                _convert(header, whole)
                whole.rename(place)
    return place


def _convert(header: GgufHeader, target: Path) -> None:
    import torch

    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise MissingPackage(package="transformers", needed_for="transformers:…", install='pip install "touchstone-llm[local]"') from error  # fmt: skip
    source: dict[str, Any] = {
        "pretrained_model_name_or_path": header.path.parent,
        "gguf_file": header.path.name,
        "local_files_only": True,
    }
    try:
        with quiet(), _parsed_once():
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model = AutoModelForCausalLM.from_pretrained(
                **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.float16
            )
            tokenizer.chat_template = header.chat_template
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except Exception as error:
        raise damaged(header.path, "torch_refuses", words=_words(error)) from error


@contextmanager
def _parsed_once() -> Iterator[None]:
    """transformers parses a GGUF file for the configuration, the tokenizer and the weights, each time value by value, and makes
    the table of tensor names for each module: kept while a file is converted, they take half of the time. And it draws a bar of
    its own, which its setting for bars does not take away.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as converting

    with _PARSING:
        plain = [(gguf, "GGUFReader", gguf.GGUFReader), (gguf, "get_tensor_name_map", gguf.get_tensor_name_map), (converting, "tqdm", converting.tqdm)]  # fmt: skip
        for module, name, value in plain:
            setattr(module, name, cache(value) if module is gguf else lambda rows, **_: rows)
        try:
            yield
        finally:
            for module, name, value in plain:
                setattr(module, name, value)


def _content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


# --- helpers ----------------------------------------------------------------------------------


def quantized(wanted: str, device: Device, dtype: torch.dtype) -> Any:
    """How transformers loads weights in ``int8`` or ``int4``.

    Raises:
        InvalidSetting: (reason ``not_on_device``) the device is no card of CUDA.
        MissingPackage: bitsandbytes is not installed.
    """
    from importlib.util import find_spec

    if device.kind != "cuda":
        allowed = Phrase("local.quantize_cuda")
        raise InvalidSetting(reason="not_on_device", name="local.quantization", value=wanted, allowed=allowed, device=device.name)  # fmt: skip
    if find_spec("bitsandbytes") is None:
        raise MissingPackage(package="bitsandbytes", needed_for=f"local.quantization={wanted}", install="pip install bitsandbytes")  # fmt: skip
    from transformers import BitsAndBytesConfig

    if wanted == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    # Normal floats with scales quantized again, as in QLoRA: https://arxiv.org/abs/2305.14314
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _words(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
