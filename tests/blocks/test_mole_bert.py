"""Parts of Mole-BERT: codebook by element, quantiser's loss, labels, contrast of masks, several masks per molecule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from maskedmod.modalities.molecular_graph import MolecularGraph
from torch import Tensor

from maskedmod.core.apply import Seen, apply
from maskedmod.core.context import Context
from maskedmod.core.mask_set import DROPPED, Where
from maskedmod.core.masking import from_masked
from maskedmod.core.modality import Record
from maskedmod.core.model import Objective
from maskedmod.core.spec import Spec
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.encoders.gin_bonds import GinBonds
from maskedmod.encoders.gin_codes import SLICES, GinCodes
from maskedmod.errors import UserError
from maskedmod.layers.codebook import ElementCodebook
from maskedmod.losses.masked_contrast import MaskedContrast
from maskedmod.losses.vq import Vq
from maskedmod.masks.atoms import Atoms
from maskedmod.masks.nothing import Nothing
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.reconstruct.dense import reconstruct
from maskedmod.reconstruct.display import picture
from maskedmod.train.run import train
from maskedmod.zoo.load import Checkpoints

MODALITY = MolecularGraph()
SMILES = ["CCO", "c1ccccc1CCN", "CC(C)CC1=CC=C(C=C1)C(C)C(=O)O", "C[Si](C)(C)C#N", "NS(=O)(=O)c1ccc(Cl)cc1"]
SPEC = Spec(values=2, axes=1, width=16, teacher=16, categories=(119, 3), edge_categories=(4, 3))


def batch() -> dict[str, Any]:
    return MODALITY.collate([MODALITY.read(Record(s, s)) for s in SMILES])


def tokens() -> Tokens:
    return MODALITY.tokenize(batch())["main"]


def model(*words: str) -> Any:
    small = ["preset=demo", "encoder.depth=2", "encoder.width=16"]
    return build_model(resolve(["recipe=mole_bert", *small, *words]), MODALITY, checkpoints=Checkpoints())


def test_an_atom_has_the_nearest_code_of_its_element() -> None:
    book = ElementCodebook(512, 8, SLICES)
    x, element = torch.randn(60, 8), torch.tensor([5, 6, 7, 0, 15, 118]).repeat(10)
    found = book.codes(x, element)
    for row, kind, code in zip(x, element.tolist(), found.tolist(), strict=True):
        first, last = dict(zip((5, 6, 7), SLICES, strict=False)).get(kind, SLICES[3])
        distance = (book.vectors[first:last].double() - row.double()).square().sum(1)
        assert code == first + int(distance.argmin())
    for wrong in (SLICES[:3], (*SLICES[:3], (489, 513)), (*SLICES[:3], (5, 5))):
        with pytest.raises(ValueError, match="codebook slices"):
            ElementCodebook(512, 8, wrong)


def test_gradients_pass_the_codes() -> None:
    """The decoder's gradient reaches the network as if nothing had been quantised, and the codebook not at all."""
    encoder = GinCodes(SPEC, MODALITY.embedding, depth=2, width=16)
    latent = encoder(Seen(tokens()))
    taps = latent.taps
    assert torch.allclose(latent.tokens, taps["code_vectors"]) and torch.equal(
        taps["code_vectors"], encoder.book.vectors[taps["codes"]]
    )
    weight = torch.randn_like(latent.tokens)
    (grad,) = torch.autograd.grad((latent.tokens * weight).sum(), taps["vectors"], retain_graph=True)
    assert torch.equal(grad, weight)
    (latent.tokens * weight).sum().backward()
    assert encoder.book.vectors.grad is None


def test_vq_pulls_codes_to_vectors_and_vectors_to_codes() -> None:
    x, q = torch.randn(7, 5, requires_grad=True), torch.randn(7, 5, requires_grad=True)
    loss = Vq(SPEC, commitment=0.25)(x, q)
    assert torch.allclose(loss, 1.25 * F.mse_loss(x, q))
    loss.backward()
    assert x.grad is not None and q.grad is not None
    assert torch.allclose(q.grad, 2 * (q - x).detach() / 35) and torch.allclose(x.grad, 0.25 * 2 * (x - q).detach() / 35)


def test_contrast_is_that_of_a_plain_loop() -> None:
    s, width = 5, 6
    z = torch.randn(3 * s, width, requires_grad=True)
    goal = torch.stack([torch.arange(s).repeat(3), torch.arange(3).repeat_interleave(s)], 1)
    order = torch.randperm(3 * s)
    found = MaskedContrast(SPEC, temperature=0.1, triplet=0.1, margin=0.3).per_token(z[order], goal[order])
    whole, little, much = z.detach().double().view(3, s, width)
    for i in range(s):
        likeness = [float(F.cosine_similarity(little[i], much[j], dim=0)) / 0.1 for j in range(s)]
        others = torch.tensor([a for j, a in enumerate(likeness) if j != i]).exp().sum()
        triplet = max(0.0, float((whole[i] - little[i]).norm() - (whole[i] - much[i]).norm()) + 0.3)
        assert float(found[i].detach()) == pytest.approx(float(others.log()) - likeness[i] + 0.1 * triplet, abs=1e-4)
    found.sum().backward()
    assert z.grad is not None and not z.grad[:s].any() and z.grad[s:].abs().sum(1).all()
    alone = MaskedContrast(SPEC)(z[::s], goal[::s])
    assert torch.isfinite(alone)
    with pytest.raises(ValueError, match="mask 2 is missing"):
        MaskedContrast(SPEC)(z[: 2 * s], goal[: 2 * s])


def test_every_mask_is_a_batch_of_its_own_to_batch_norm() -> None:
    rows, mask = tokens(), Atoms(SPEC, (0.0, 0.15, 0.3), bonds=True)
    drawn = mask(rows.repeat(3), Context(generator=torch.Generator().manual_seed(0)))
    encoder = GinBonds(SPEC, MODALITY.embedding, depth=2, width=16).train()
    together = encoder(apply(rows.repeat(3), drawn, "mask_token")).tokens.view(3, len(rows.values), 16)
    seen = apply(rows.repeat(3), drawn, "mask_token")
    assert seen.hidden is not None and seen.tokens.relation is not None and seen.tokens.relation.attr is not None
    attrs = seen.tokens.relation.attr.view(3, -1, 2)
    for number in range(3):
        assert rows.relation is not None
        one = Tokens(rows.values, rows.pos, rows.layout, relation=type(rows.relation)(rows.relation.edge_index, attrs[number]))
        alone = encoder(Seen(one, hidden=seen.hidden.view(3, -1)[number])).tokens
        assert torch.allclose(together[number], alone, atol=1e-5)


@pytest.mark.parametrize("labels", ["codes", "argmax"])
def test_labels_are_the_papers_or_the_released_ones(labels: str) -> None:
    made = model(f"target.labels={labels}").eval()
    data = batch()
    step = made.step(data, Context(training=False, generator=torch.Generator().manual_seed(1)))
    view, objective = step.views["main"], made.objectives["main"]
    where = objective.where(step, "main")
    atoms = len(data["nodes"])
    assert len(where.index) and (where.index // atoms == 1).all(), "the objective main is for mask 1"
    tokenizer = made.teacher.encoder
    taps = tokenizer(Seen(MODALITY.tokenize(data)["main"])).taps  # of whole molecules
    every = taps["codes"] if labels == "codes" else taps["vectors"].argmax(1)
    assert torch.equal(objective.target(step, "main", where), every[where.index - atoms])
    assert torch.equal(view.teacher.taps["codes"], taps["codes"])


def test_objectives_of_single_masks_share_out_all_of_them() -> None:
    packed = Atoms(SPEC, (0.15, 0.3))(tokens().repeat(2), Context(generator=torch.Generator().manual_seed(0)))
    whole, parts = packed.where("masked"), [packed.only(packed.where("masked"), i) for i in range(2)]
    assert torch.equal(torch.cat([_index(part) for part in parts]), _index(whole))
    dense = from_masked(torch.rand(6, 9) < 0.5, per_sample=3)
    weights = [dense.only(dense.where("masked"), i).weight for i in range(3)]
    assert all(w is not None and w[i::3].any() and not w[(i + 1) % 3 :: 3].any() for i, w in enumerate(weights))
    for number, where in ((2, whole), (-1, whole), (0, Where(None))):
        with pytest.raises(ValueError, match="there is no such"):
            packed.only(where, number)


def _index(where: Where) -> Tensor:
    assert where.index is not None
    return where.index


def test_nothing_hides_nothing() -> None:
    rows = tokens()
    mask = Nothing(SPEC)(rows, Context())
    assert not mask.hidden.any() and len(mask.targets) == 0 and len(_index(mask.where("all"))) == len(rows.values)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    dense = Tokens(torch.randn(2, 3, 4), torch.zeros(2, 3, 1), Layout(valid=valid))
    mask = Nothing(SPEC)(dense, Context())
    assert ((mask.role == DROPPED) == ~valid).all() and mask.keep_valid is not None and torch.equal(mask.keep_valid, valid)


def test_the_presets_of_the_recipes() -> None:
    """Bonds beside atoms; the labels of the released code in both masks."""
    small = ["encoder.depth=2", "encoder.width=16"]
    ctx = Context(generator=torch.Generator().manual_seed(0))
    made = build_model(resolve(["recipe=attr_masking", "preset=demo,bonds", *small]), checkpoints=Checkpoints())
    assert set(made(batch(), ctx)) == {"main", "bonds", "loss"}
    made = build_model(resolve(["recipe=mole_bert", "preset=demo,released", *small]), checkpoints=Checkpoints())
    labels = [objective.target.labels for objective in made.objectives.values() if hasattr(objective.target, "labels")]  # type: ignore[union-attr]
    assert labels == ["argmax", "argmax"] and torch.isfinite(made(batch(), ctx)["loss"])


def test_graph_mae_on_molecules() -> None:
    """What the decoder says of a hidden atom does not depend on what the encoder made of it; goals are one-hot elements."""
    words = ["recipe=graph_mae", "preset=molecules", "encoder.depth=2", "encoder.width=16", "data=smiles", "data.path=none.smi"]
    made = build_model(resolve(words), checkpoints=Checkpoints()).eval()
    step = made.step(batch(), Context(training=False, generator=torch.Generator().manual_seed(0)))
    view, objective = step.views["main"], made.objectives["main"]
    assert isinstance(objective, Objective)
    where = objective.where(step, "main")
    goal, index = objective.target(step, "main", where), _index(where)
    assert goal.shape == (len(index), 119) and torch.equal(goal.argmax(1), view.tokens.values[index, 0])
    found = objective.head(view, where)
    view.student.tokens = view.student.tokens.masked_fill(view.mask.hidden[:, None], 7.0)
    assert torch.equal(objective.head(view, where), found)
    view.student.tokens = view.student.tokens.masked_fill(~view.mask.hidden[:, None], 7.0)
    assert not torch.allclose(objective.head(view, where), found)
    drawn = reconstruct(made, batch(), Context())
    assert drawn.predicted is not None and drawn.filled is not None and picture(drawn).size[0] > 100


def test_a_tokenizer_comes_from_a_run(tmp_path: Path) -> None:
    quick = ["preset=demo", "encoder.depth=2", "encoder.width=16", "train.steps=2", "train.batch_size=8", "train.threads=1"]
    quick += ["train.val_every=0", "train.val_batches=1", "train.baseline_batches=1", "train.tensorboard=false"]
    run = train(resolve(["recipe=mole_bert_tokenizer", *quick, f"out={tmp_path / 'tokenizer'}"]))
    made = model(f"teacher.checkpoint={run}")
    assert isinstance(made.teacher.encoder, GinCodes) and not any(p.requires_grad for p in made.teacher.parameters())
    made.train()
    assert not made.teacher.encoder.training
    with pytest.raises(UserError, match="teacher.checkpoint is missing"):
        model("teacher.checkpoint=null")
    other = train(resolve(["recipe=attr_masking", *quick, f"out={tmp_path / 'other'}"]))
    with pytest.raises(UserError, match="has no codebook"):
        model(f"teacher.checkpoint={other}")
