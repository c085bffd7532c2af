"""Training speed of packed against padded sequences: ESM-2 8M shape, forward, backward and AdamW in float32, one CPU thread.

    python tests/bench/packed_esm.py data/proteins/uniref90_sample [sequences=40] [rounds=3]

Every way trains on the same proteins, cut to 1,022 residues, in a process of its own; printed are the medians over the rounds of
residues per second of CPU time, the share of padding, and the peak memory of the process. Hugging Face's model computes scores at
all places, as it is written; ours at masked ones.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

WAYS = ("packed", "hf_sorted", "hf_random")
NAMES = {
    "packed": "maskedmod, packed, 4,096 tokens",
    "hf_sorted": "HF EsmForMaskedLM sdpa, sorted by length, 8",
    "hf_random": "HF EsmForMaskedLM sdpa, random, 8",
}
BATCH, TOKENS = 8, 4096


def proteins(path: str, count: int) -> list[Any]:
    """Ids of proteins drawn with seed 0, with cls and eos."""
    from maskedmod.data.sources.fasta import Fasta
    from maskedmod.recipe.build import build_modality

    modality = build_modality({"modality": {"protein": {}}})
    records = Fasta(path).everything(modality)
    chosen = np.random.default_rng(0).choice(len(records), count, replace=False).tolist()
    ids = [modality.read(records[i]) for i in chosen]
    return [x if len(x) <= 1024 else np.concatenate([x[:1023], x[-1:]]) for x in ids]


def packed(samples: list[Any]) -> Iterator[Any]:
    """Our steps of one round, as functions."""
    from maskedmod.core.context import Context
    from maskedmod.data.budget import BudgetOrder
    from maskedmod.recipe.build import build_model
    from maskedmod.recipe.config import resolve

    model = build_model(resolve(["recipe=esm2", "preset=8m"])).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4)
    order = BudgetOrder(np.array([len(x) for x in samples]), TOKENS)

    def step(number: int, chosen: list[int]) -> tuple[int, int]:
        batch = model.modality.collate([samples[i] for i in chosen])
        ctx = Context(step=number, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        model(batch, ctx)["loss"].backward()
        optimizer.step()
        return len(batch["ids"]) - 2 * len(chosen), len(batch["ids"])

    while True:
        yield [lambda i=i, chosen=chosen: step(i, chosen) for i, chosen in enumerate(order.epoch(0))]


def padded(samples: list[Any], by_length: bool) -> Iterator[Any]:
    """Hugging Face's steps of one round."""
    from maskedmod.support.compat import repair_torchaudio, repair_torchvision

    repair_torchvision()  # both are imported by transformers
    repair_torchaudio()
    from transformers import EsmConfig, EsmForMaskedLM

    config = EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=320, num_hidden_layers=6, num_attention_heads=20,
        intermediate_size=1280, position_embedding_type="rotary", token_dropout=True, emb_layer_norm_before=False,
        layer_norm_eps=1e-5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="sdpa",
    )  # fmt: skip
    model = EsmForMaskedLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4)
    order = sorted(range(len(samples)), key=lambda i: len(samples[i])) if by_length else list(range(len(samples)))

    def step(chosen: list[int]) -> tuple[int, int]:
        longest = max(len(samples[i]) for i in chosen)
        ids = torch.full((len(chosen), longest), 1)
        for row, i in enumerate(chosen):
            ids[row, : len(samples[i])] = torch.as_tensor(samples[i]).long()
        inner = (ids > 3) & (ids < 32)
        hidden = inner & (torch.rand(ids.shape) < 0.15)
        labels = ids.masked_fill(~hidden, -100)
        draw = torch.rand(ids.shape)
        shown = torch.where(hidden & (draw < 0.8), 32, ids)
        shown = torch.where(hidden & (draw >= 0.8) & (draw < 0.9), torch.randint(4, 24, ids.shape), shown)
        optimizer.zero_grad()
        model(input_ids=shown, attention_mask=(ids != 1).long(), labels=labels).loss.backward()
        optimizer.step()
        return int(inner.sum()), ids.numel()

    while True:
        yield [lambda chosen=order[i : i + BATCH]: step(chosen) for i in range(0, len(order), BATCH)]


def measure(way: str, path: str, count: int, rounds: int) -> dict[str, float]:
    """Rates of one way, in this process."""
    import resource

    torch.set_num_threads(1)
    torch.manual_seed(0)
    samples = proteins(path, count)
    steps = packed(samples) if way == "packed" else padded(samples, way == "hf_sorted")
    next(steps)[0]()  # what is done once
    rates = []
    for _ in range(rounds):
        start, residues, places = time.process_time(), 0, 0
        for step in next(steps):
            new, all_places = step()
            residues, places = residues + new, places + all_places
        rates.append(residues / (time.process_time() - start))
    real = residues + 2 * count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"rate": statistics.median(rates), "least": min(rates), "padding": 1 - real / places, "peak_gb": peak}


def main(path: str, *words: str) -> None:
    """One process per way, then the table."""
    given = {key: int(value) for key, value in (word.split("=") for word in words)}
    count, rounds = given.get("sequences", 40), given.get("rounds", 3)
    found = {}
    for way in WAYS:
        done = subprocess.run(
            [sys.executable, __file__, way, path, str(count), str(rounds)], capture_output=True, text=True, check=True
        )
        found[way] = json.loads(done.stdout.splitlines()[-1])
    print(f"{count} proteins, median of {rounds} rounds, one CPU thread, torch {torch.__version__}")
    print("| | residues/s | padding | peak memory | packed is faster by |\n|---|---|---|---|---|")
    for way, row in found.items():
        faster = found["packed"]["rate"] / row["rate"]
        print(f"| {NAMES[way]} | {row['rate']:.0f} | {row['padding']:.0%} | {row['peak_gb']:.2f} GiB | {faster:.1f} |")


if __name__ == "__main__":
    if sys.argv[1] in WAYS:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(*sys.argv[1:])
