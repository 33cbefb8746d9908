"""Pairs of sentences for a model of embeddings: each sentence is to find its partner among those of the whole batch."""

from pathlib import Path

import torch
from torch import nn
from transformers import AutoTokenizer


def pairs(folder, file="pairs.txt"):
    """All pairs as one ready batch, for every sentence is compared with all the others."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    columns = zip(*(line.split("\t") for line in lines), strict=True)
    return [[dict(tokenizer(list(column), padding=True, return_tensors="pt")) for column in columns]]


def embed(model, tokens):
    """Unit vectors: the mean over a sentence's tokens."""
    mask = tokens["attention_mask"].unsqueeze(-1)
    hidden = model(**tokens).last_hidden_state
    return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def ranking(model, batch):
    """Cross-entropy of finding the partner by the cosine, which is how such models are trained."""
    first, second = (embed(model, tokens) for tokens in batch)
    scores = 20 * first @ second.T
    return nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device), reduction="none")
