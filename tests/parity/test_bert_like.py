"""BERT and RoBERTa of transformers with random weights, and MolFormer as recorded, read through ``maskedmod.load``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.heads.lm import Lm
from maskedmod.sequences.packing import positions
from maskedmod.sequences.subword import train_subword
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from maskedmod.zoo.layouts.known import LAYOUTS
from tests.conftest import parity_case
from tests.parity.golden import Golden, agree, cases, golden

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96,
    "attn_implementation": "eager",
}  # fmt: skip
LENGTHS = [1, 7, 60]


def stirred(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def packed(rows: list[Tensor]) -> Tokens:
    cu = torch.tensor([0, *map(len, rows)], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    ids, layout = torch.cat(rows), Layout(cu_seqlens=cu, max_seqlen=max(map(len, rows)))
    return Tokens(ids, positions(layout, len(ids)), layout)


def logits(loaded: Loaded, rows: list[Tensor], depth: int) -> tuple[list[Tensor], Tensor]:
    """Hidden states and scores of all ids."""
    encoder, head = loaded.model.encoder, loaded.model.objectives["main"].head
    assert isinstance(head, Lm)
    latent = encoder(Seen(packed(rows)), [f"block.{i}" for i in range(depth)])
    hidden = [encoder.embedded(Seen(packed(rows))), *(latent.taps[f"block.{i}"] for i in range(depth))]
    return hidden, head.logits(latent.tokens)


@pytest.fixture(scope="module")
def tokenizer() -> str:
    lines = [f"the quick brown fox {i} jumps over {i * 7} lazy dogs" for i in range(300)]
    return train_subword(lines, "wordpiece", 400).text


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining", "BertModel", "RobertaForMaskedLM", "RobertaModel"])
def test_bert_and_roberta(kind: str, tmp_path: Path, tokenizer: str) -> None:
    parity_case(f"transformers {kind}")
    family = kind.partition("For")[0].removesuffix("Model")
    config = getattr(transformers, f"{family}Config")(**SIZES, max_position_embeddings=70, layer_norm_eps=1e-5)
    model = stirred(getattr(transformers, kind)(config))
    model.save_pretrained(tmp_path)
    if kind == "BertForMaskedLM":  # names of early files, with the norms of TensorFlow
        early = {key.replace("LayerNorm.weight", "LayerNorm.gamma"): x.clone() for key, x in model.state_dict().items()}
        early = {key.replace("LayerNorm.bias", "LayerNorm.beta"): x for key, x in early.items()}
        save_file({**early, "bert.embeddings.position_ids": torch.arange(70)[None]}, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text(tokenizer)
    loaded = maskedmod.load(tmp_path)
    assert loaded.layout == "hf_bert" and len(loaded.report.altered) == 1
    rows = [torch.randint(5, 400, (n,)) for n in LENGTHS]
    pad = config.pad_token_id
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
    with torch.no_grad():
        out = model(ids, attention_mask=(ids != pad).long(), output_hidden_states=True)
        hidden, scores = logits(loaded, rows, 3)
    for i, (mine, theirs) in enumerate(zip(hidden, out.hidden_states, strict=True)):
        agree(f"hidden {i}", mine, torch.cat([x[: len(row)] for x, row in zip(theirs, rows, strict=True)]))
    found = out.get("logits", out.get("prediction_logits"))
    if found is None:
        assert all(key.startswith("objectives.main.head.") for key in loaded.report.untrained) and loaded.report.untrained
    else:
        agree("logits", scores, torch.cat([x[: len(row)] for x, row in zip(found, rows, strict=True)]))
    assert loaded.embed(["the quick brown fox", "dogs"]).shape == (2, 48)


def vocabulary(path: Path, size: int) -> Path:
    """Ids as recorded: begin, end, padding 2, mask 3."""
    path.write_text("\n".join(["<bos>", "<eos>", "<pad>", "<mask>", *(f"t{i}" for i in range(4, size))]))
    return path


def as_hf(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The recorded weights under the names of ibm/MoLFormer-XL."""
    changes = {
        "tok_emb.": "molformer.embeddings.word_embeddings.", "blocks.layers.": "molformer.encoder.layer.",
        "blocks.norm.": "molformer.LayerNorm.",
        "attention.inner_attention.feature_map.omega": "attention.self.feature_map.weight",
        "attention.query_projection": "attention.self.query", "attention.key_projection": "attention.self.key",
        "attention.value_projection": "attention.self.value", "attention.out_projection": "attention.output.dense",
        "linear1": "intermediate.dense", "linear2": "output.dense", "norm1": "attention.output.LayerNorm",
        "norm2": "output.LayerNorm", "lang_model.embed": "lm_head.transform.dense",
        "lang_model.ln_f": "lm_head.transform.LayerNorm", "lang_model.head": "lm_head.decoder",
    }  # fmt: skip
    out = {}
    for key, tensor in weights.items():
        for old, new in changes.items():
            key = key.replace(old, new)
        if not key.endswith("inv_freq"):
            out[key] = tensor
    return out


def read_molformer(case: Golden, names: str, folder: Path) -> Loaded:
    """The recorded weights through the public path, with a vocabulary of as many tokens."""
    weights = case.group("weights.")
    settings: dict[str, Any] = {"vocab": str(vocabulary(folder / "vocab.txt", case.meta["constructor"]["n_vocab"])), "eps": 1e-5}
    torch.save({"state_dict": weights if names == "official" else as_hf(weights)}, folder / "molformer.ckpt")
    return maskedmod.load(folder / "molformer.ckpt", settings=settings)


@pytest.mark.parametrize("name", cases("molformer"))
@pytest.mark.parametrize("names", ["official", "hf"])
def test_molformer(name: str, names: str, tmp_path: Path) -> None:
    case = golden(name)
    loaded = read_molformer(case, names, tmp_path)
    assert loaded.layout == "molformer" and bool(loaded.report.untrained) == (names == "hf")
    ids = case["input.ids"].long()
    kept = (
        case["input.attention_mask"].bool() if (case.meta.get("forward") or {}).get("length_mask") else torch.ones_like(ids) > 0
    )
    rows = [row[mask] for row, mask in zip(ids, kept, strict=True)]
    hidden, scores = logits(loaded, rows, case.meta["constructor"]["n_layer"])
    agree("block 0", hidden[1], case["latent.layer0"][kept])
    encoded = loaded.model.encoder(Seen(packed(rows))).tokens
    agree("encoder", encoded, case["latent.encoder"][kept])
    if "output.embedding" in case:
        pooled = torch.stack([part.mean(0) for part in encoded.split(list(map(len, rows)))])
        agree("embedding", pooled, case["output.embedding"])
    agree("scores", scores, case["output.pred"][kept])
    labels = case["input.labels"].long()[kept]
    loss = torch.nn.functional.cross_entropy(scores, labels, ignore_index=-100)
    agree("loss", loss, case["output.loss"])
    loss.backward()
    found = {name: parameter.grad for name, parameter in loaded.model.named_parameters()}
    layout = next(layout for layout in LAYOUTS if layout.NAME == "molformer")
    rules = layout.rules(case.group("weights."), loaded.report.settings)
    gradients = case.group("grad.")
    assert gradients
    for key, reference in gradients.items():
        rule, match = next((rule, match) for rule in rules if (match := re.fullmatch(rule.pattern, key)) and not rule.unneeded)
        assert isinstance(rule.to, str)
        gradient = found[match.expand(rule.to)]
        assert gradient is not None
        agree(f"gradient of {key}", gradient if rule.part is None else gradient.chunk(3)[rule.part], reference, 1e-4)


@pytest.mark.parametrize("name", cases("molformer"))
@pytest.mark.parametrize("names", ["official", "hf"])
def test_molformer_round_trip(name: str, names: str, tmp_path: Path) -> None:
    case = golden(name)
    loaded = read_molformer(case, names, tmp_path)
    weights = case.group("weights.") if names == "official" else as_hf(case.group("weights."))
    back = loaded.export("fair" if names == "official" else "hf", tmp_path / "back")
    back = {key.removeprefix("state_dict."): tensor for key, tensor in back.items()}
    assert back.keys() == weights.keys() and all(torch.equal(back[key], weights[key]) for key in weights)
    again = maskedmod.load(tmp_path / ("back.pth" if names == "official" else "back"))  # the vocabulary lies beside it
    assert again.layout == "molformer" and again.report.settings["eps"] == 1e-5
    state = again.model.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in loaded.model.state_dict().items())
