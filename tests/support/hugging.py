"""Hugging Face models from a config, with random weights, and padded batches of dicts for them."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

PADDING = {"input_ids": 0, "attention_mask": 0, "labels": -100}


def padded(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        name: pad_sequence([row[name] for row in rows], batch_first=True, padding_value=value)
        if rows[0][name].ndim
        else torch.stack([row[name] for row in rows])
        for name, value in PADDING.items()
    }


class Song(Dataset):
    """A song of seven notes that goes round, from any note on, 5 to 8 notes long. The labels of a row are its notes
    ("same"), the notes that follow ("next"), the notes modulo 3 ("tags"), or whether it begins with an odd note
    ("odd")."""

    def __init__(self, labels: str = "same", num_rows: int = 60) -> None:
        self.labels, self.num_rows = labels, num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        notes = (torch.arange(6 + row % 4) + row) % 7
        ids, following = notes[:-1], notes[1:]
        labels = {"same": ids, "next": following, "tags": ids % 3, "odd": ids[0] % 2}[self.labels]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}

    collate_fn = staticmethod(padded)


def gpt2(vocab_size: int = 7, dropout: float = 0.0) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16}
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, bos_token_id=0, eos_token_id=0, **sizes, **rates))
