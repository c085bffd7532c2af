"""ESM-2 and ESM-1b: models of fair-esm and transformers with random weights, saved by them, read by ``maskedmod.load``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.heads.lm import Lm
from maskedmod.sequences.packing import positions
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from tests.conftest import parity_case
from tests.parity.golden import agree

repair_torchvision()
repair_torchaudio()
esm = pytest.importorskip("esm")
transformers = pytest.importorskip("transformers")

CLS, PAD, EOS, MASK = 0, 1, 2, 32
SIZES = {"narrow": (3, 40, 4), "wide": (2, 96, 6), "deep": (7, 32, 2)}
"""Layers, width, heads."""
LENGTHS = [1, 2, 37, 120, 1022]


def stirred(model: Any, amount: float = 0.1) -> Any:
    """Noise on every parameter, so that no zero or one hides a mistake; rotary frequencies rounded as published ones are."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("inv_freq"):
                buffer.copy_(buffer.half().float())
        for name, parameter in model.named_parameters():
            if name.endswith("contact_head.regression.weight"):
                parameter.mul_(25)  # maps of random models are nearly even: let their small differences count
            if ".q_proj.weight" in name or ".query.weight" in name:
                parameter.mul_(3)
    return model.eval()


def proteins(lengths: list[int] = LENGTHS, share: float = 0.2) -> list[Tensor]:
    """Ids between cls and eos, with all 29 letters and mask tokens among them; the first has none."""
    generator = torch.Generator().manual_seed(2)
    out = []
    for number, n in enumerate(lengths):
        ids = torch.randint(4, 31, (n,), generator=generator)
        ids[torch.rand(n, generator=generator) < (share if number else 0.0)] = MASK
        out.append(torch.cat([torch.tensor([CLS]), ids, torch.tensor([EOS])]))
    return out


def padded(rows: list[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def packed(rows: list[Tensor]) -> Tokens:
    cu = torch.tensor([0, *map(len, rows)], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    ids, layout = torch.cat(rows), Layout(cu_seqlens=cu, max_seqlen=max(map(len, rows)))
    return Tokens(ids, positions(layout, len(ids)), layout, (ids > EOS) & (ids != MASK))


def valid(x: Tensor, rows: list[Tensor]) -> Tensor:
    """Padded ``[B, N, D]`` -> packed ``[L, D]``."""
    return torch.cat([row[: len(ids)] for row, ids in zip(x, rows, strict=True)])


@torch.no_grad()
def ours(loaded: Loaded, rows: list[Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Logits, hidden states (embedding, blocks, the last one after its norm) and contacts."""
    encoder, head = loaded.model.encoder, loaded.model.objectives["main"].head
    assert isinstance(head, Lm)
    tokens = packed(rows)
    latent = encoder(Seen(tokens), [f"block.{i}" for i in range(encoder.depth() - 1)])
    hidden = [encoder.embedded(Seen(tokens)), *(latent.taps[f"block.{i}"] for i in range(encoder.depth() - 1)), latent.tokens]
    return head.logits(latent.tokens), hidden, loaded.contact_maps(tokens)


def fair(layers: int, width: int, heads: int) -> Any:
    return stirred(esm.ESM2(layers, width, heads, "ESM-1b", token_dropout=True))


def fair_1b(layers: int, width: int, heads: int, before: bool = True) -> Any:
    settings = argparse.Namespace(
        arch="roberta_large", layers=layers, embed_dim=width, ffn_embed_dim=4 * width, attention_heads=heads,
        max_positions=1024, token_dropout=True, emb_layer_norm_before=before, final_bias=True,
    )  # fmt: skip
    model = stirred(esm.ProteinBertModel(settings, esm.Alphabet.from_architecture("roberta_large")))
    model.embed_tokens.weight.data[MASK] = 0.0
    return model


def save_fair(model: Any, path: Path, heads: int) -> Path:
    """As published: keys with their prefixes, settings as a Namespace, the regression in a file of its own."""
    state = model.state_dict()
    regression = {key: state.pop(key) for key in list(state) if key.startswith("contact_head.")}
    state = {f"encoder.{'' if key.startswith('lm_head') else 'sentence_encoder.'}{key}": x for key, x in state.items()}
    args = argparse.Namespace(encoder_attention_heads=heads, token_dropout=True, arch="roberta_large")
    content = {"args": args} if isinstance(model, esm.ProteinBertModel) else {"cfg": {"model": args}}
    torch.save({**content, "model": state}, path)
    torch.save({"model": regression}, path.with_name(f"{path.stem}-contact-regression.pt"))
    return path


def hf(layers: int, width: int, heads: int, **more: Any) -> Any:
    config = transformers.EsmConfig(
        vocab_size=33, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width,
        position_embedding_type="rotary", token_dropout=True, emb_layer_norm_before=False, mask_token_id=MASK,
        pad_token_id=PAD, layer_norm_eps=1e-5, attn_implementation="eager",
    )  # fmt: skip
    for name, value in more.items():
        setattr(config, name, value)
    return stirred(transformers.EsmForMaskedLM(config))


def older(weights: dict[str, Tensor], layers: int, rotary: bool = True) -> dict[str, Tensor]:
    """Keys as version 4 wrote them, with what published files hold beside."""
    out = {key: x.clone() for key, x in weights.items()}
    if rotary:
        frequencies = out.pop("esm.rotary_embeddings.inv_freq")
        for i in range(layers):
            out[f"esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq"] = frequencies.clone()
        out["esm.embeddings.position_embeddings.weight"] = torch.randn(1026, 8)
    return {**out, "esm.embeddings.position_ids": torch.arange(1026)[None]}


def check(loaded: Loaded, rows: list[Tensor], logits: Tensor, hidden: list[Tensor], contacts: list[Tensor], what: str) -> None:
    mine = ours(loaded, rows)
    agree(f"{what} logits", mine[0], logits)
    assert len(mine[1]) == len(hidden)
    for i, (a, b) in enumerate(zip(mine[1], hidden, strict=True)):
        agree(f"{what} hidden {i}", a, b)
    for ids, a, b in zip(rows, mine[2], contacts, strict=True):
        agree(f"{what} contacts of {len(ids) - 2} residues", a, b)
        assert len(ids) < 30 or float(b.std()) > 0.01  # a map, not one number


@torch.no_grad()
def check_fair(model: Any, loaded: Loaded, rows: list[Tensor], what: str) -> None:
    layers = len(model.layers)
    out = model(padded(rows), repr_layers=range(layers + 1), return_contacts=True)
    maps = [full[: len(ids) - 2, : len(ids) - 2] for full, ids in zip(out["contacts"], rows, strict=True)]
    hidden = [valid(out["representations"][i], rows) for i in range(layers + 1)]
    check(loaded, rows, valid(out["logits"], rows), hidden, maps, what)


@torch.no_grad()
def check_hf(model: Any, loaded: Loaded, rows: list[Tensor], what: str) -> None:
    ids = padded(rows)
    keep = (ids != PAD).long()
    out = model(ids, attention_mask=keep, output_hidden_states=True)
    attentions = torch.stack(model(ids, attention_mask=keep, output_attentions=True).attentions, 1)
    attentions = attentions * keep[:, None, None, None] * keep[:, None, None, :, None]
    full = model.esm.contact_head(ids, attentions)
    maps = [one[: len(row) - 2, : len(row) - 2] for one, row in zip(full, rows, strict=True)]
    hidden = [valid(x, rows) for x in out.hidden_states[:-1]] + [valid(model.esm(ids, attention_mask=keep)[0], rows)]
    check(loaded, rows, valid(out.logits, rows), hidden, maps, what)


@pytest.mark.parametrize("size", SIZES)
def test_fair_esm2(size: str, tmp_path: Path) -> None:
    parity_case(f"fair-esm ESM-2 {size}")
    layers, width, heads = SIZES[size]
    model = fair(layers, width, heads)
    loaded = maskedmod.load(save_fair(model, tmp_path / "esm2_t.pt", heads))
    assert loaded.layout == "fair_esm" and not loaded.report.altered
    lengths = LENGTHS if size == "wide" else LENGTHS[:-1]
    check_fair(model, loaded, proteins(lengths), "padded by them")
    for one in proteins([1, 60]):
        check_fair(model, loaded, [one], "alone")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", ["v4", "v5", "saved"])
def test_hf_esm2(size: str, keys: str, tmp_path: Path) -> None:
    parity_case(f"transformers ESM-2 {size}")
    layers, width, heads = SIZES[size]
    model = hf(layers, width, heads)
    model.save_pretrained(tmp_path)
    if keys != "saved":
        state = {key: x.clone() for key, x in model.state_dict().items()}
        save_file(older(state, layers) if keys == "v4" else state, tmp_path / "model.safetensors")
    loaded = maskedmod.load(tmp_path)
    assert loaded.layout == "hf_esm"
    check_hf(model, loaded, proteins(LENGTHS[:-1]), "padded by them")


@pytest.mark.parametrize("before", [True, False], ids=["norm_before", "esm1v"])
def test_fair_esm1b(before: bool, tmp_path: Path) -> None:
    parity_case("fair-esm ESM-1b")
    model = fair_1b(3, 48, 4, before)
    with torch.no_grad():
        model.embed_positions.weight.normal_()
    path = save_fair(model, tmp_path / "esm1b_t.pt", 4)
    content = torch.load(path, weights_only=False)
    content["model"]["encoder.sentence_encoder.embed_tokens.weight"][MASK] = 3.0  # published files hold a row that reading clears
    torch.save(content, path)
    loaded = maskedmod.load(path)
    assert list(loaded.report.altered) == ["encoder.sentence_encoder.embed_tokens.weight"]
    check_fair(model, loaded, proteins([1, 40, 1022]), "padded by them")
    with pytest.raises(ValueError, match="1025 tokens"):
        ours(loaded, proteins([1023]))


def test_hf_esm1b(tmp_path: Path) -> None:
    parity_case("transformers ESM-1b")
    more = {"position_embedding_type": "absolute", "emb_layer_norm_before": True, "max_position_embeddings": 130}
    model = hf(3, 48, 4, **more)
    model.save_pretrained(tmp_path)
    loaded = maskedmod.load(tmp_path)
    check_hf(model, loaded, proteins([1, 40, 126]), "padded by them")


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys(), set(ours) ^ set(theirs)
    for key, tensor in theirs.items():
        assert tensor.dtype == ours[key].dtype and torch.equal(tensor, ours[key]), key


@pytest.mark.parametrize("start", ["fair", "hf", "fair_1b", "hf_1b"])
def test_round_trips_equal_to_the_bit(start: str, tmp_path: Path) -> None:
    learned = {"position_embedding_type": "absolute", "emb_layer_norm_before": True}
    if start.startswith("fair"):
        model = fair(2, 32, 4) if start == "fair" else fair_1b(2, 32, 4)
        loaded = maskedmod.load(save_fair(model, tmp_path / "esm_t.pt", 4))
    else:
        model = hf(2, 32, 4, **(learned if start == "hf_1b" else {}))
        if start == "hf_1b":  # as published: fair-esm clears this row whenever it reads such a file
            model.esm.embeddings.word_embeddings.weight.data[MASK] = 0.0
        model.save_pretrained(tmp_path)
        loaded = maskedmod.load(tmp_path)
    same(loaded.export("fair_esm" if start.startswith("fair") else "hf_esm", tmp_path / "back"), model.state_dict())
    if start.startswith("hf"):
        again = transformers.EsmForMaskedLM.from_pretrained(tmp_path / "back")
        same(dict(again.state_dict()), model.state_dict())
        old = loaded.export("hf_esm", tmp_path / "old", version=4)
        assert set(old) == set(older(model.state_dict(), 2, start == "hf")) - {
            "esm.embeddings.position_ids", *(["esm.embeddings.position_embeddings.weight"] if start == "hf" else [])
        }  # fmt: skip
        same(load_file(tmp_path / "old" / "model.safetensors"), old)
    else:
        again, _ = esm.pretrained.load_model_and_alphabet_core(
            "esm2" if start == "fair" else "esm1b",
            torch.load(tmp_path / "back.pt", weights_only=False),
            torch.load(tmp_path / "back-contact-regression.pt", weights_only=False),
        )
        same(dict(again.state_dict()), model.state_dict())
    # and across: ours written in the other layout reads back as the same model
    other = "hf_esm" if start.startswith("fair") else "fair_esm"
    loaded.export(other, tmp_path / "other")
    second = maskedmod.load(tmp_path / ("other" if other == "hf_esm" else "other.pt"))
    same(dict(second.model.state_dict()), dict(loaded.model.state_dict()))
    same(second.extras, loaded.extras)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    model = fair(2, 32, 4)
    path = save_fair(model, tmp_path / "esm2.pt", 4)
    content = torch.load(path, weights_only=False)
    wrong = {**content["model"], "encoder.sentence_encoder.layers.1.self_attn.rot_emb.inv_freq": torch.ones(4)}
    torch.save({"model": wrong}, tmp_path / "wrong.pt")
    with pytest.raises(UserError, match="frequencies of the blocks differ"):
        maskedmod.load(tmp_path / "wrong.pt")
    torch.save({"model": {**content["model"], "encoder.lm_head.weight": torch.ones(33, 32)}}, tmp_path / "untied.pt")
    with pytest.raises(UserError, match=re.escape("encoder.lm_head.weight is not the embedding table")):
        maskedmod.load(tmp_path / "untied.pt")
    torch.save(content, tmp_path / "alone.pt")
    alone = maskedmod.load(tmp_path / "alone.pt")
    with pytest.raises(UserError, match="no regression of contacts"):
        alone.contacts(["MKV"])
