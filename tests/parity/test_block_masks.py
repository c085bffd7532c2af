"""Rectangles of BEiT's generators, drawn from the random numbers that their released code drew."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from maskedmod.masks.block import Draws, lay_rectangles, make_exact
from tests.parity.golden import cases, cases_with, golden

V1 = [name for system in ("beit", "data2vec_vision") for name in cases_with(system, "mask_generator")]


class Released(Draws):
    """Python's generator for the rectangles of one row, numpy's for the single tokens that fill it up."""

    def __init__(self) -> None:
        super().__init__(np.random.default_rng(0))

    def uniform(self, low: float | np.ndarray, high: float | np.ndarray, rows: int) -> np.ndarray:
        return np.array([random.uniform(float(np.squeeze(low)), float(np.squeeze(high)))])

    def below(self, count: np.ndarray, needed: np.ndarray) -> np.ndarray:
        return np.array([random.randint(0, int(count[0]) - 1) if needed[0] else 0])

    def noise(self, masked: np.ndarray, target: int) -> np.ndarray:
        out, (free,) = np.zeros(masked.shape), (~masked[0]).nonzero()
        short = target - int(masked.sum())
        if short > 0:
            out[0, free[np.random.choice(len(free), short, replace=False)]] = 0.9
        return out


@pytest.mark.parametrize("name", V1)
def test_beit(name: str) -> None:
    case = golden(name)
    made = case.meta["mask_generator"]
    random.seed(made["seed_of_python_random"])
    grid, most = (made["input_size"][0], made["input_size"][1]), made.get("max_num_patches")
    for wanted in case["mask.bool_masked_pos"].flatten(1).bool():
        drawn = lay_rectangles(Released(), 1, grid, made["num_masking_patches"], made["min_num_patches"], most, 0.3)
        assert torch.equal(torch.from_numpy(drawn).flatten(), wanted)


@pytest.mark.parametrize("name", [name for name in cases("beit_v2") if "vqkd" not in name])
def test_beit_v2(name: str) -> None:
    case = golden(name)
    for seed, masks in zip(case["mask.gen_block_seeds"].tolist(), case["mask.gen_block"].bool(), strict=True):
        random.seed(seed)
        np.random.seed(seed)
        target, grid = int(masks[0].sum()), (masks.shape[1], masks.shape[2])
        for wanted in masks:
            draws = Released()
            drawn = make_exact(draws, lay_rectangles(draws, 1, grid, target, 16, None, 0.3).reshape(1, -1), target)
            assert torch.equal(torch.from_numpy(drawn)[0], wanted.flatten())
