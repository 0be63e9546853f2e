"""The language model of the classroom, as a baseline: embedding -> LSTM -> the same embedding as output layer.

Sources: Hochreiter and Schmidhuber 1997; Zaremba et al. 2014, https://arxiv.org/abs/1409.2329 (dropout between layers);
Press and Wolf 2017, https://arxiv.org/abs/1608.05859 (one matrix for both ends). A module of torch: import it where used.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class LstmConfig(PretrainedConfig):
    model_type = "touchstone_lstm"

    def __init__(self, vocab_size: int = 256, width: int = 64, layers: int = 1, dropout: float = 0.0, **rest: Any):
        super().__init__(**rest)
        self.vocab_size, self.width, self.layers, self.dropout = vocab_size, width, layers, dropout


class LstmLanguageModel(PreTrainedModel):
    config_class = LstmConfig
    _tied_weights_keys: ClassVar[dict[str, str]] = {"out.weight": "embedding.weight"}  # type: ignore[misc]
    all_tied_weights_keys: ClassVar[dict[str, str]] = {"out.weight": "embedding.weight"}  # type: ignore[misc]

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        between = config.dropout if config.layers > 1 else 0.0
        self.embedding = torch.nn.Embedding(config.vocab_size, config.width)
        self.lstm = torch.nn.LSTM(config.width, config.width, config.layers, batch_first=True, dropout=between)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.out = torch.nn.Linear(config.width, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        if isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)

    def get_input_embeddings(self) -> Any:
        return self.embedding

    def get_output_embeddings(self) -> Any:
        return self.out

    def forward(self, input_ids: Any, labels: Any = None, attention_mask: Any = None, **_: Any) -> CausalLMOutput:
        """Shape: ids ``(batch, length)`` to logits ``(batch, length, vocabulary)``. Rows are padded on the right, where
        nothing is predicted, so the mask is not read."""
        states, _last = self.lstm(self.dropout(self.embedding(input_ids)))
        logits = self.out(self.dropout(states))
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100)
        return CausalLMOutput(loss=loss, logits=logits)
