"""TAPE, SaProt and RoBERTa of fairseq as recorded: weights through ``maskedmod.load``, masks by the blocks of the recipes."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.mask_set import KEPT, MASKED, RANDOM, MaskSet
from maskedmod.core.masking import masked_counts, packed_from_masked
from maskedmod.core.spec import Spec
from maskedmod.core.step import Step
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.layers.corruption import Corruption, Replaced
from maskedmod.masks.random import Random
from maskedmod.recipe.config import resolve
from maskedmod.sequences.packing import positions
from tests.parity.golden import GRADIENT, Golden, agree, cases, golden, gradients_agree, load_saved

DATA = ["data=fasta", "data.path=x.fasta"]


def rows_of(ids: Tensor, kept: Tensor) -> list[Tensor]:
    return [row[: int(n)] for row, n in zip(ids, kept.sum(1), strict=True)]


def packed(rows: list[Tensor]) -> Tokens:
    cu = torch.tensor([0, *map(len, rows)], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    layout, ids = Layout(cu_seqlens=cu, max_seqlen=max(map(len, rows))), torch.cat(rows)
    return Tokens(ids, positions(layout, len(ids)), layout)


def corrupted(chosen: Tensor, code: Tensor, ids: Tensor) -> MaskSet:
    """The recorded corruption as a mask of ours: ``code`` per chosen token, ``ids`` of the random ones."""
    mask = packed_from_masked(chosen)
    given = {key: getattr(mask, key) for key in mask.__dataclass_fields__}
    return Replaced(**{**given, "code": torch.where(chosen, code, 0).to(torch.int8)}, ids=ids)


def check(case: Golden, loaded: Loaded, tokens: Tokens, mask: MaskSet, encoded: Tensor, scale: float = 1.0) -> None:
    """Step of the model on the true tokens: what the encoder makes of them under the mask, the loss, all gradients."""
    ctx = Context(training=False)
    step = Step(loaded.model.modality, {}, ctx, {"main": loaded.model.view(tokens, ctx, mask=mask)})
    agree("encoder of the step", step.views["main"].student.tokens, encoded)
    loss = loaded.model.score(step)["loss"] * scale
    agree("loss", loss, case["output.loss"])
    gradients_agree(case, loaded, loss)


def encoder_agrees(case: Golden, loaded: Loaded, rows: list[Tensor], kept: Tensor, names: dict[str, str]) -> Tensor:
    """Embedding, first block and encoder's output on the recorded ids; -> packed scores."""
    encoder, head = loaded.model.encoder, loaded.model.objectives["main"].head
    seen = Seen(packed(rows))
    with torch.no_grad():
        latent = encoder(seen, ["block.0"])
        ours = {"embedding": encoder.embedded(seen), "block": latent.taps["block.0"], "encoder": latent.tokens}
        for what, key in names.items():
            agree(what, ours[what], case[key][kept])
        return head.logits(latent.tokens)  # type: ignore[operator, union-attr, no-any-return]


@pytest.mark.parametrize("name", [name for name in cases("tape") if not name.endswith("/mask")])
def test_tape(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    settings = {"heads": made["num_attention_heads"], "eps": made["layer_norm_eps"], "activation": made["hidden_act"]}
    loaded = load_saved(case.group("weights."), tmp_path / "tape.bin", settings=settings)
    assert loaded.layout == "hf_bert" and loaded.tree["modality"]["protein"]["alphabet"] == "iupac"
    kept = case["input.input_mask"].bool()
    for sequence, row in zip(made["sequences"], rows_of(case["input.ids_original"], kept), strict=True):
        assert loaded.tokenize([sequence]).values.tolist() == row.tolist()
    names = {"embedding": "latent.embedding", "block": "latent.block0", "encoder": "latent.encoder"}
    scores = encoder_agrees(case, loaded, rows_of(case["input.ids"], kept), kept, names)
    agree("scores", scores, case["output.pred"][kept])
    tokens, drawn = packed(rows_of(case["input.ids_original"], kept)), case["mask.rand_id"][kept]
    code = torch.where(drawn >= 0, RANDOM, torch.where(case["input.ids"][kept] == tokens.values, KEPT, MASKED))
    mask = corrupted(case["target.labels"][kept] != -1, code, drawn)
    places, segments = (f"grad.bert.embeddings.{kind}_embeddings.weight" for kind in ("position", "token_type"))
    shown = {key: x for key, x in case.tensors.items() if key not in (places, segments)}
    check(Golden(name, shown, case.meta), loaded, tokens, mask, case["latent.encoder"][kept])
    table = dict(loaded.model.named_parameters())["encoder.positions.table"].grad
    assert table is not None
    agree("gradient of positions", table, case[places], GRADIENT)
    agree("gradient of the only segment", table.sum(0, keepdim=True), case[segments], GRADIENT)


@pytest.mark.parametrize("name", [name for name in cases("tape") if name.endswith("/mask")])
def test_masks_of_tape(name: str) -> None:
    """The published function's numbers through the recipe's blocks: which tokens, what becomes of them, from which ids."""
    case = golden(name)
    recipe = resolve(["recipe=tape", *DATA])["mask"]["random"]
    assert recipe["bernoulli"] and recipe["specials"] and recipe["corrupt"]["draw"] == "vocab"
    rule = Corruption(**recipe["corrupt"])
    for number, original in enumerate(case["input.ids_original"]):
        rng, draws, ids = random.Random(case.meta["made_with"]["seed"] + number), [], original.clone()
        for place in range(len(original)):
            draws.append(rng.random())
            if recipe["ratio"] * rule.mask <= draws[-1] < recipe["ratio"] * (rule.mask + rule.random):
                ids[place] = rng.randint(0, 29)
        noise = torch.tensor(draws, dtype=torch.float64)
        tokens = packed([original])
        mask = rule.apply(packed_from_masked(noise < recipe["ratio"]), tokens, 30, noise / recipe["ratio"], None)
        assert torch.equal(torch.where(mask.hidden, original, -1), case["output.labels"][number])
        code = mask.code
        assert code is not None
        seen = torch.where(code == MASKED, 1, torch.where(code == RANDOM, ids, original))
        assert torch.equal(seen, case["output.ids"][number])


def test_ends_may_be_hidden() -> None:
    """``specials`` hides cls and eos like others; without it never."""
    rows = [torch.tensor([2, *range(5, 25), 3])] * 200
    tokens = packed(rows)
    eligible = (tokens.values != 2) & (tokens.values != 3)
    tokens = Tokens(tokens.values, tokens.pos, tokens.layout, eligible)
    spec = Spec(values=1, axes=1, vocab=30)
    for specials in (False, True):
        mask = Random(spec, 0.15, bernoulli=True, specials=specials)(tokens, Context(generator=torch.Generator().manual_seed(0)))
        share = float(mask.hidden[~eligible].float().mean())
        assert (0.1 < share < 0.2) if specials else share == 0.0


@pytest.mark.parametrize("name", cases("saprot"))
def test_saprot(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made = case.meta["constructor"]
    settings: dict[str, Any] = {
        "heads": made["num_attention_heads"], "eps": made["layer_norm_eps"], "pad": made["pad_token_id"],
        "positions": made["position_embedding_type"],
    }  # fmt: skip
    kept = case["input.attention_mask"].bool()
    rows, true = rows_of(case["input.ids"], kept), rows_of(case["input.ids_original"], kept)
    for dropout, key in ((True, "output.pred"), (False, "output.pred_no_token_dropout")):
        loaded = load_saved(case.group("weights."), tmp_path / "saprot.pt", settings={**settings, "token_dropout": dropout})
        assert loaded.layout == "hf_esm" and loaded.tree["modality"]["protein"]["alphabet"] == "saprot"
        names = {"embedding": "latent.embedding", "block": "latent.block0", "encoder": "latent.encoder"}
        scores = encoder_agrees(case, loaded, rows, kept, names if dropout == made["token_dropout"] else {})
        agree(key, scores, case[key][kept])
    loaded = load_saved(
        case.group("weights."), tmp_path / "saprot.pt", settings={**settings, "token_dropout": made["token_dropout"]}
    )
    for sequence, row in zip(made["sequences"], true, strict=True):
        assert loaded.tokenize([sequence]).values.tolist() == row.tolist()
    chosen = case["target.labels"][kept] != -1
    code = torch.where(case["mask.choice"][kept] >= 0, RANDOM, torch.where(torch.cat(rows) == torch.cat(true), KEPT, MASKED))
    mask = corrupted(chosen, code, case["mask.choice"][kept])
    check(case, loaded, packed(true), mask, case["latent.encoder"][kept])


def test_the_recipe_of_saprot_draws_as_published() -> None:
    """Random ids from the whole vocabulary, and no sequence without a hidden pair."""
    recipe = resolve(["recipe=saprot", *DATA])["mask"]["random"]
    assert recipe["corrupt"]["draw"] == "vocab" and recipe["least"] == 1 and recipe["bernoulli"]
    tokens = packed([torch.arange(3)] * 300)
    mask = Random(Spec(values=1, axes=1, vocab=446), 0.15, bernoulli=True, least=1)(
        tokens, Context(generator=torch.Generator().manual_seed(0))
    )
    counts = mask.hidden.reshape(300, 3).sum(1)
    assert int(counts.min()) == 1 and int(counts.max()) > 1


@pytest.mark.parametrize("name", cases("roberta"))
def test_roberta(name: str, tmp_path: Path) -> None:
    case = golden(name)
    made, words = case.meta["constructor"], case.meta["constructor"]["vocabulary"]
    content = "".join(f"w{i} 1\n" for i in range(words["first_code"], words["mask"]))
    (tmp_path / "dict.txt").write_text(content)
    checkpoint = {
        "args": argparse.Namespace(**{key: value for key, value in made.items() if key not in ("vocabulary", "all dropouts")}),
        "model": case.group("weights."), "extra_state": {"epoch": 3}, "optimizer_history": [{"num_updates": 7}],
    }  # fmt: skip
    loaded = load_saved(checkpoint, tmp_path / "checkpoint_best.pt")
    assert loaded.layout == "fairseq_roberta" and loaded.modality.letters.mask == words["mask"]  # type: ignore[union-attr]
    kept = case["input.tokens"] != words["pad"]
    rows, true = rows_of(case["input.src_tokens"], kept), rows_of(case["input.tokens"], kept)
    names = {"embedding": "latent.embedding", "block": "latent.layer0", "encoder": "latent.encoder"}
    scores = encoder_agrees(case, loaded, rows, kept, names)
    chosen = case["mask.mask_indices"].bool()[kept]
    agree("scores", scores[chosen], case["output.pred"])
    before, after = torch.cat(true), torch.cat(rows)
    code = torch.where(after == words["mask"], MASKED, torch.where(after == before, KEPT, RANDOM))
    size = int(case["output.sample_size"])
    check(case, loaded, packed(true), corrupted(chosen, code, after), case["latent.encoder"][kept], size)


@pytest.mark.parametrize("name", cases("roberta"))
def test_masks_of_fairseq(name: str) -> None:
    """The published numbers give the counts of ``mask_chance`` and the ranges of the recipe."""
    case = golden(name)
    made, words = case.meta["constructor"], case.meta["constructor"]["vocabulary"]
    recipe = resolve(["recipe=roberta", "data=lines", "data.path=x.txt"])["mask"]["random"]
    assert recipe["count"] == "mask_chance" and recipe["specials"] and recipe["corrupt"]["draw"] == [words["first_code"], -1]
    lengths = (case["input.tokens"] != words["pad"]).sum(1).tolist()
    for row, seed in zip(case["mask.mask_indices"], case["mask.row_seed"].tolist(), strict=True):
        chance = np.random.default_rng(seed).random()
        assert int(row.sum()) == int(
            masked_counts(torch.tensor(lengths.pop(0)), made["mask_prob"], "mask_chance", torch.tensor(chance))
        )
    tokens = packed([torch.arange(words["first_code"], words["first_code"] + 33)] * 400)
    spec = Spec(values=1, axes=1, vocab=words["size"])
    mask = Random(spec, 0.15, "mask_chance")(tokens, Context(generator=torch.Generator().manual_seed(1)))
    counts = mask.hidden.reshape(400, 33).sum(1).float()
    assert set(counts.tolist()) == {4.0, 5.0} and abs(float(counts.mean()) - 0.15 * 33) < 0.1
    drawn = Corruption(0.0, 1.0, 0.0, draw=(words["first_code"], -1)).apply(
        packed_from_masked(torch.ones(4000, dtype=torch.bool)), packed([torch.zeros(4000, dtype=torch.long)]), words["size"],
        torch.zeros(4000), torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert isinstance(drawn, Replaced) and drawn.ids is not None
    assert {int(drawn.ids.min()), int(drawn.ids.max())} == {words["first_code"], words["size"] - 1}
