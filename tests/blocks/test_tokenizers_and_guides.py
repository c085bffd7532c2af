"""The VQ tokenizer and its codebook, masks guided by attention, the prompting decoder, patch aggregation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import maskedmod
from maskedmod.core.apply import Seen
from maskedmod.core.context import Context
from maskedmod.core.latent import Latent
from maskedmod.core.mask_set import Where
from maskedmod.core.masking import from_noise
from maskedmod.core.spec import Spec
from maskedmod.core.step import View
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.encoders.vq_transformer import VqTransformer
from maskedmod.errors import UserError
from maskedmod.heads.class_aggregation import ClassAggregation
from maskedmod.heads.mae_decoder import MaeDecoder
from maskedmod.layers.attention import Who
from maskedmod.layers.ema_codebook import EmaCodebook
from maskedmod.masks.score_guided import ScoreGuided
from maskedmod.recipe.build import build_model
from maskedmod.recipe.config import resolve
from maskedmod.recipe.file import dump
from maskedmod.train.folder import write
from maskedmod.zoo import step_folder
from maskedmod.zoo.load import Checkpoints
from tests.zoo.test_load import saved

SMALL, IMAGENET = ["encoder.codes=20", "encoder.code_width=8"], ["modality.mean=imagenet", "modality.std=imagenet"]
QUICK = ["preset=demo", "encoder.depth=2", "encoder.width=32", "encoder.heads=4"]


def context(step: int = 0) -> Context:
    return Context(step=step, generator=torch.Generator().manual_seed(step))


def images(count: int = 4, size: int = 64) -> dict[str, Any]:
    return {
        "image": torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8),
        "size": torch.tensor([[size, size]] * count),
    }


def test_codebook_follows_what_it_stands_for() -> None:
    """Written out by hand for one step: unit means of the members, blended with 0.9 to 0.1, unit again; unused codes stay."""
    book = EmaCodebook(3, 2, decay=0.9).train()
    book.vectors.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    book.started.fill_(True)
    x = F.normalize(torch.tensor([[[0.9, 0.1], [0.8, 0.3]], [[0.1, 1.0], [0.95, 0.0]]]), dim=-1)
    codes = book.codes(x)
    assert codes.tolist() == [[0, 0], [1, 0]]
    old = book.vectors.clone()
    book.after_step(context())
    members = torch.stack([x[0, 0], x[0, 1], x[1, 1]]).sum(0)
    wanted = F.normalize(0.9 * old[0] + 0.1 * F.normalize(members, dim=0), dim=0)
    torch.testing.assert_close(book.vectors[0], wanted)
    assert torch.equal(book.vectors[2], old[2]) and not book.sums.any()
    before = book.vectors.clone()
    book.eval().codes(x)
    book.after_step(context())
    assert torch.equal(book.vectors, before)


def test_codebook_starts_at_the_clusters_of_the_first_batch() -> None:
    centres = torch.eye(4)
    x = F.normalize(centres.repeat_interleave(50, 0) + 0.05 * torch.randn(200, 4), dim=-1)
    torch.manual_seed(2)
    book = EmaCodebook(12, 4).train()
    found = book.codes(x)
    assert (book.vectors[found] * x).sum(-1).min() > 0.95 and bool(book.started)
    again = EmaCodebook(12, 4)
    again.load_state_dict(book.state_dict())
    assert torch.equal(again.train().codes(x), found) and torch.equal(again.vectors, book.vectors)


def test_vq_encoder_quantises_and_passes_the_gradient() -> None:
    model = build_model(resolve(["recipe=vq_kd", *QUICK, *SMALL, *IMAGENET]), checkpoints=Checkpoints())
    assert isinstance(model.encoder, VqTransformer) and model.encoder.width == 8
    out = model(images(), context())
    step = model.step(images(), context())
    taps, latent = step.views["main"].student.taps, step.views["main"].student
    torch.testing.assert_close(latent.tokens, taps["code_vectors"])
    assert taps["codes"].shape == latent.tokens.shape[:2] and latent.prefix is None
    out["loss"].backward()
    grad = model.encoder.get_submodule("project.0").weight.grad
    assert grad is not None and bool(grad.any()) and "codebook" in out


def tokenizer_run(folder: Path) -> Path:
    """A run of the tokenizer as it begins."""
    tree = resolve(["recipe=vq_kd", *QUICK, *SMALL, *IMAGENET])
    model = build_model(tree, checkpoints=Checkpoints())
    step_folder.save(folder / "checkpoints", model.state_dict(), {}, {"step": 1}, keep=1)
    write(folder / "recipe.yaml", dump(tree))
    return folder


@pytest.mark.parametrize("recipe", ["beit", "beit_v2"])
def test_codes_of_a_run_are_predicted(recipe: str, tmp_path: Path) -> None:
    run = tokenizer_run(tmp_path)
    words = [f"recipe={recipe}", *QUICK, "teacher=pretrained", f"teacher.checkpoint={run}", "teacher.width=8", "target.vocab=20"]
    words += ["modality.mean=[0.5,0.5,0.5]", "modality.std=[0.5,0.5,0.5]"]
    if recipe == "beit_v2":
        words += ["objectives.class.target.vocab=20", "objectives.class.head.block=0", "objectives.class.head.heads=4"]
    model = build_model(resolve(words), checkpoints=Checkpoints())
    batch = images()
    step = model.step(batch, context())
    view = step.views["main"]
    assert view.teacher is not None
    codes = view.teacher.taps["codes"]
    goal = model.objectives["main"].target(step, "main", view.mask.where("masked"))
    assert torch.equal(goal, codes.gather(1, view.mask.targets[:, 0])[:, None]) and int(codes.max()) < 20
    loss = model.score(step)
    assert set(loss) == {"loss", "main", *(["class"] if recipe == "beit_v2" else [])}
    loss["loss"].backward()


def test_a_run_without_codes_is_no_tokenizer(tmp_path: Path) -> None:
    words = ["recipe=beit", *QUICK, "teacher=tokenizer", "modality.mean=imagenet", "modality.std=imagenet"]
    with pytest.raises(UserError, match="teacher.checkpoint is missing"):
        build_model(resolve([*words, "teacher.checkpoint=null"]), checkpoints=Checkpoints())
    made = build_model(
        resolve([*words, f"teacher.checkpoint={tokenizer_run(tmp_path)}", "target.vocab=20"]), checkpoints=Checkpoints()
    )
    assert torch.isfinite(made(images(), context())["loss"])


def rows(count: int = 2, n: int = 16) -> Tokens:
    pos = torch.cartesian_prod(torch.arange(4), torch.arange(n // 4)).expand(count, -1, -1)
    return Tokens(torch.randn(count, n, 3), pos, Layout(grid=(4, n // 4)))


def attention(scores: Tensor) -> Latent:
    """A teacher whose class token attends so."""
    b, n = scores.shape
    maps = torch.zeros(b, 2, n + 1, n + 1)
    maps[:, :, 0, 1:] = scores[:, None]
    return Latent(torch.randn(b, n, 4), prefix=torch.zeros(b, 1, 4), taps={"attention.-1": maps}, has_class=True)


SPEC = Spec(values=3, axes=2, grid=(4, 4), width=8)


def test_high_and_low_attention() -> None:
    scores = torch.rand(2, 16)
    for keep, largest in (("high", True), ("low", False)):
        mask = ScoreGuided(SPEC, 0.75, keep)(rows(), context().with_teacher(attention(scores)))  # type: ignore[arg-type]
        assert torch.equal(mask.keep.sort().values, scores.topk(4, largest=largest).indices.sort().values)


def test_sampled_tokens_follow_the_attention() -> None:
    """First draws are in the ratio of the scores; a token without attention is never drawn."""
    scores = torch.tensor([0.4, 0.3, 0.2, 0.1, *[0.0] * 12]).expand(4000, -1)
    mask = ScoreGuided(SPEC, 0.75)(rows(4000), context().with_teacher(attention(scores)))
    first = torch.bincount(mask.keep[:, 0], minlength=16) / 4000
    torch.testing.assert_close(first[:4], torch.tensor([0.4, 0.3, 0.2, 0.1]), atol=0.03, rtol=0.0)
    assert not first[4:].any() and set(mask.keep.flatten().tolist()) == {0, 1, 2, 3}


def test_guide_without_attention_is_an_error() -> None:
    plain = Latent(torch.randn(2, 16, 4))
    with pytest.raises(ValueError, match=r"teacher.taps=\[attention.-1\]"):
        ScoreGuided(SPEC)(rows(), context().with_teacher(plain))
    small = attention(torch.rand(2, 9))
    with pytest.raises(ValueError, match="attends to 9 tokens, the student has 16"):
        ScoreGuided(SPEC)(rows(), context().with_teacher(small))


def view(sees: str) -> View:
    tokens, mask = rows(), from_noise(torch.rand(2, 16), 0.75)
    n = 4 if sees == "visible" else 16
    latent = Latent(
        torch.randn(2, n, 8), prefix=torch.randn(2, 1, 8), index=mask.keep if sees == "visible" else None, has_class=True
    )
    return View(tokens, tokens, mask, latent)


def test_prompting_leaves_encoded_tokens_alone() -> None:
    spec = Spec(values=3, axes=2, grid=(4, 4), width=8, target=5, sees="visible")
    torch.manual_seed(0)
    head = MaeDecoder(spec, 2, 8, 2, prompting=True).eval()
    here = view("visible")
    context_, places = head._context(here)
    decoded, _ = head._beside_context(here)
    torch.testing.assert_close(decoded[:, 0], head.norm(context_ + places)[:, 1:])
    assert head(here, here.mask.where("all")).shape == (2, 1, 16, 5)
    with pytest.raises(ValueError, match="prompting"):
        MaeDecoder(Spec(values=3, axes=2, grid=(4, 4), width=8, target=5, sees="mask_token"), 2, 8, 2, prompting=True)


def test_patch_aggregation_reads_the_last_class_token_and_earlier_patches() -> None:
    spec = Spec(values=3, axes=2, grid=(4, 4), width=8, target=5)
    head, here = ClassAggregation(spec, block=1, depth=1, heads=2).eval(), view("mask_token")
    here.student.taps |= {"block.1": torch.randn(2, 16, 8), "prefix.-1": torch.randn(2, 1, 8)}
    where = here.mask.where("all")
    out = head(here, where)
    assert here.student.prefix is not None and head.taps == ("block.1", "prefix.-1")
    assert head.norm is not None and head.pred is not None
    x = torch.cat([here.student.taps["prefix.-1"], here.student.taps["block.1"]], dim=1)
    wanted = head.pred(head.norm(head.blocks[0](x, Who()))[:, 1:])
    torch.testing.assert_close(out[:, 0], wanted)
    with pytest.raises(ValueError, match="class token"):
        head(here, Where(None))


def published_tokenizer() -> dict[str, Tensor]:
    """The keys of beit2's VQKD: width 16, two blocks, patches of 8 on 32 pixels, 12 codes of width 6."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.cls_token": (1, 1, 16), "encoder.pos_embed": (1, 17, 16), "encoder.patch_embed.proj.weight": (16, 3, 8, 8),
        "encoder.patch_embed.proj.bias": (16,), "encoder.fc_norm.weight": (16,), "encoder.fc_norm.bias": (16,),
        "encode_task_layer.0.weight": (16, 16), "encode_task_layer.0.bias": (16,), "encode_task_layer.2.weight": (6, 16),
        "encode_task_layer.2.bias": (6,), "quantize.cluster_size": (12,), "quantize.embedding.cluster_size": (12,),
        "quantize.embedding.embed_avg": (12, 6), "decoder.cls_token": (1, 1, 16), "decode_task_layer.0.weight": (16, 16),
    }  # fmt: skip
    for i in range(2):
        block = {"norm1": (16,), "norm2": (16,), "attn.proj": (16, 16), "mlp.fc1": (64, 16), "mlp.fc2": (16, 64)}
        for name, shape in block.items():
            shapes[f"encoder.blocks.{i}.{name}.weight"], shapes[f"encoder.blocks.{i}.{name}.bias"] = shape, shape[:1]
        shapes[f"encoder.blocks.{i}.attn.qkv.weight"] = (48, 16)
        shapes |= {f"encoder.blocks.{i}.attn.{letter}_bias": (16,) for letter in "qv"}
    out = {key: torch.randn(shape) * 0.3 for key, shape in shapes.items()}
    book = F.normalize(torch.randn(12, 6), dim=-1)
    return {**out, "quantize.embedding.weight": book, "quantize.embedding.initted": torch.ones(1)}


def by_hand(w: dict[str, Tensor], image: Tensor) -> Tensor:
    """Codes as beit2's VQKD finds them, in plain operations on its own keys."""
    x = F.conv2d(image, w["encoder.patch_embed.proj.weight"], w["encoder.patch_embed.proj.bias"], stride=8).flatten(2).mT
    x = torch.cat([w["encoder.cls_token"].expand(len(x), -1, -1), x], dim=1) + w["encoder.pos_embed"]
    for i in range(2):
        b = {
            key.removeprefix(f"encoder.blocks.{i}."): value for key, value in w.items() if key.startswith(f"encoder.blocks.{i}.")
        }
        h = F.layer_norm(x, (16,), b["norm1.weight"], b["norm1.bias"], 1e-6)
        bias = torch.cat([b["attn.q_bias"], torch.zeros(16), b["attn.v_bias"]])
        q, k, v = F.linear(h, b["attn.qkv.weight"], bias).reshape(len(x), -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = ((q * 8**-0.5) @ k.mT).softmax(-1) @ v
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), b["attn.proj.weight"], b["attn.proj.bias"])
        h = F.layer_norm(x, (16,), b["norm2.weight"], b["norm2.bias"], 1e-6)
        h = F.gelu(F.linear(h, b["mlp.fc1.weight"], b["mlp.fc1.bias"]))
        x = x + F.linear(h, b["mlp.fc2.weight"], b["mlp.fc2.bias"])
    x = F.layer_norm(x[:, 1:], (16,), w["encoder.fc_norm.weight"], w["encoder.fc_norm.bias"], 1e-6)
    x = torch.tanh(F.linear(x, w["encode_task_layer.0.weight"], w["encode_task_layer.0.bias"]))
    z = F.normalize(F.linear(x, w["encode_task_layer.2.weight"], w["encode_task_layer.2.bias"]), dim=-1)
    return torch.cdist(z, w["quantize.embedding.weight"]).argmin(-1)


def test_the_published_tokenizer_is_read(tmp_path: Path) -> None:
    weights = published_tokenizer()
    file = saved(tmp_path, {"model": weights}, "vqkd.pth")
    loaded = maskedmod.load(file, settings={"heads": 2})
    assert loaded.layout == "vq_kd" and {"decoder.cls_token", "quantize.cluster_size"} <= set(loaded.report.unneeded)
    image = torch.randn(5, 3, 32, 32)
    tokens = loaded.modality.tokenize({"pixels": image})["main"]
    codes = loaded.model.encoder(Seen(tokens)).taps["codes"]
    assert torch.equal(codes, by_hand(weights, image)) and len(codes.unique()) > 4
    words = [
        "recipe=beit",
        *QUICK,
        *IMAGENET,
        f"teacher.checkpoint={file}",
        "teacher=pretrained",
        "teacher.width=6",
        "target.vocab=12",
    ]
    words += ["modality.size=64", "modality.patch_size=16", "mask.target=6", "mask.least=1", "teacher.settings={heads: 2}"]
    model = build_model(resolve(words), checkpoints=Checkpoints())
    assert torch.isfinite(model(images(), context())["loss"])
