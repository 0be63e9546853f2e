"""The middle of a sentence-transformers model, computed on the processors by onnxruntime from the model's own ONNX file.

sentence-transformers leaves this to optimum-onnx, whose newest release (0.1) wants transformers below 4.58, while this
project stands on transformers 5. Tokenizer, pooling and prompts stay the library's. Imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers.utils import ModelOutput

from core.errors import MissingFile

PLACES = ("onnx/model.onnx", "model.onnx")
_NUMBERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}
_NAMES = {"token_embeddings": "last_hidden_state"}  # as some exports call it


class OnnxBody(torch.nn.Module):
    """Takes the place of a model of transformers between tokenizer and pooling.

    Args:
        path: the ONNX file.
        config: the configuration of the model in whose place it stands.
    """

    def __init__(self, path: Path, config: Any) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("place", torch.zeros(()))  # without any weight the library would not know the device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores too
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = {each.name: _NUMBERS[each.type] for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]

    def forward(self, input_ids: torch.Tensor, **features: Any) -> ModelOutput:
        """Shape: ``input_ids`` and all features ``(texts, tokens)``; the outputs are the file's own."""
        given = {"token_type_ids": torch.zeros_like(input_ids), **features, "input_ids": input_ids}
        feed = {name: given[name].cpu().numpy().astype(kind) for name, kind in self._inputs.items()}
        found = self._session.run(self._outputs, feed)
        named = zip(self._outputs, found, strict=True)
        return ModelOutput({_NAMES.get(name, name): torch.from_numpy(value) for name, value in named})


def put_into(model: Any, path: str, *, name: str) -> Any:
    """``model`` (a SentenceTransformer or CrossEncoder) with its body replaced; its weights of torch are let go of.

    Raises:
        MissingFile: neither the folder ``path`` nor the hub's model of that name has an ONNX file.
    """
    folder = Path(path)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(path, allow_patterns=[f"{place}*" for place in PLACES]))
    file = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if file is None:
        raise MissingFile(path=str(folder / PLACES[0]), needed_for=name)
    model[0].model = OnnxBody(file, model[0].model.config)
    return model
