"""Weights of sequences with any vocabulary: which modality they are of, where their tokens lie, what they do not know."""

from __future__ import annotations

import argparse
import json
import random
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import maskedmod
from maskedmod.api.loaded import Loaded
from maskedmod.cli import main
from maskedmod.core.apply import Seen
from maskedmod.core.tokens import Layout, Tokens
from maskedmod.errors import UserError
from maskedmod.sequences import vocabulary
from maskedmod.sequences.packing import positions
from maskedmod.support.compat import repair_torchaudio, repair_torchvision
from tests.parity.golden import agree

repair_torchvision()
repair_torchaudio()
transformers = pytest.importorskip("transformers")

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
RESIDUES = [*"ACDEFGHIKLMNPQRSTVWY"]
ATOMS = [*"CNOcn()=#123.~-+", "Cl", "Br", "[nH]", "[O-]", "[N+]", ">>"]
PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "attn_implementation": "eager",
    "max_position_embeddings": 40,
}  # fmt: skip


def shuffled(tokens: list[str]) -> list[str]:
    return random.Random(3).sample(tokens, len(tokens))


def written(path: Path, tokens: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(tokens) + "\n")
    return path


def saved(folder: Path, rows: int, kind: str = "Bert", **more: Any) -> Any:
    """A small model of transformers with noise on its weights, saved in its folder."""
    config = getattr(transformers, f"{kind}Config")(vocab_size=rows, **{**SIZES, **more})
    model = getattr(transformers, f"{kind}ForMaskedLM")(config).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return model


def scores(loaded: Loaded, ids: Tensor) -> Tensor:
    layout = Layout(cu_seqlens=torch.tensor([0, len(ids)], dtype=torch.int32), max_seqlen=len(ids))
    latent = loaded.model.encoder(Seen(Tokens(ids, positions(layout, len(ids)), layout)))
    return loaded.model.objectives["main"].head.logits(latent.tokens)  # type: ignore[operator, union-attr, no-any-return]


def same_scores(loaded: Loaded, model: Any, sample: str) -> Tensor:
    """Logits of a sample against transformers; -> its ids."""
    ids = loaded.tokenize([sample]).values
    with torch.no_grad():
        agree("logits", scores(loaded, ids), model(ids[None]).logits[0])
    return ids


@pytest.mark.parametrize(("kind", "pad"), [("Bert", 0), ("Roberta", 1), ("Roberta", 0), ("Roberta", 4)])
def test_residues_in_any_order(kind: str, pad: int, tmp_path: Path) -> None:
    """The vocabulary lies one folder up, as AntiBERTy's; RoBERTa's positions begin after the id of padding."""
    tokens = shuffled([*SPECIALS[1:], *RESIDUES])
    tokens.insert(pad, "[PAD]")
    written(tmp_path / "vocab.txt", tokens)
    model = saved(tmp_path / "model", len(tokens), kind, pad_token_id=pad)
    loaded = maskedmod.load(tmp_path / "model")
    assert type(loaded.modality).__name__ == "Protein"
    ids = same_scores(loaded, model, PROTEIN)
    names = [tokens[i] for i in ids]
    assert names == ["[CLS]", *PROTEIN, "[SEP]"]
    assert loaded.embed([PROTEIN, "MK"]).shape == (2, 32)
    (filled,) = loaded.fill("MKT<mask>YIAK", top=20)
    assert set(filled.tokens) == set(RESIDUES)
    assert loaded.scan(PROTEIN).values.shape == (len(PROTEIN), 20)
    back = tmp_path / "back"
    loaded.export("hf_bert", back)
    again = maskedmod.load(back)
    assert [*again.modality.letters.tokens] == tokens  # type: ignore[union-attr]
    assert torch.equal(again.embed([PROTEIN]), loaded.embed([PROTEIN]))
    theirs = getattr(transformers, f"{kind}ForMaskedLM").from_pretrained(back).eval()
    same_scores(loaded, theirs, PROTEIN)
    found = loaded.predict_masked([PROTEIN], ratio=0.3)
    assert found.discrete and 1 <= int(found.masked.sum()) < len(PROTEIN)


def test_a_residue_that_is_not_there_is_counted(tmp_path: Path) -> None:
    tokens = [*SPECIALS, *RESIDUES]
    written(tmp_path / "vocab.txt", tokens)
    saved(tmp_path, len(tokens))
    loaded = maskedmod.load(tmp_path)
    with pytest.warns(UserWarning, match="2 of 24 tokens are not in the vocabulary"):
        loaded.embed([PROTEIN + "XB"])
    with pytest.raises(UserError, match="5 of 6 tokens are not in the vocabulary: is this a protein"):
        loaded.embed(["XXUUOA"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.embed([PROTEIN])


def test_a_reaction_has_no_unknown_tokens(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    tokens = ["[PAD]", *(f"[unused{i}]" for i in range(1, 5)), *SPECIALS[1:], *ATOMS]
    written(tmp_path / "vocab.txt", tokens)
    model = saved(tmp_path, len(tokens))
    loaded = maskedmod.load(tmp_path)
    assert type(loaded.modality).__name__ == "Molecule"
    reaction = "CC(=O)Cl.[nH]1cccc1>>CC(=O)n1cccc1"
    ids = same_scores(loaded, model, reaction)
    assert tokens.index("[UNK]") not in ids.tolist() and tokens.index(">>") in ids.tolist()
    assert loaded.modality.letters.decode(ids.tolist()) == re.findall(r"\[nH]|Cl|>>|.", reaction)  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match="1 of 3 tokens are not in the vocabulary"):
        loaded.embed(["CCF"])
    with pytest.raises(UserError, match="2 of 3 tokens are not in the vocabulary"):
        loaded.embed(["FCF"])
    assert not {tokens.index(f"[unused{i}]") for i in range(1, 5)} & set(loaded.modality.letters.standard)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tokens", "sample", "pieces", "bad"),
    [
        ([*"ACGTN"], "acgtnACGT", [*"ACGTNACGT"], "MKVLE"),
        ([a + b for a in "ACGT" for b in "ACGT"], "AC CG GT", ["AC", "CG", "GT"], "ACGT"),
        (["ACGTAC", "TTTTTT", "CGTACG", *"ACGTN"], "ACGTACTTTTTTAN", ["ACGTAC", "TTTTTT", "A", "N"], "MKVLE"),
        (["the", "fox", "##es", "jump"], "The foxes jump", ["the", "fox", "##es", "jump"], "CC(=O)O qqq zzz"),
    ],
    ids=["letters", "words of two", "longest first", "word pieces"],
)
def test_nucleotides_and_words(tokens: list[str], sample: str, pieces: list[str], bad: str, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    every = [*SPECIALS, *tokens]
    written(tmp_path / "vocab.txt", every)
    model = saved(tmp_path, len(every))
    loaded = maskedmod.load(tmp_path)
    assert type(loaded.modality).__name__ == "Text"
    ids = same_scores(loaded, model, sample)
    assert [every[i] for i in ids[1:-1]] == pieces
    if len(tokens) == 5:  # single nucleotides can be scored
        found = loaded.scan("ACGTACGT")
        assert found.wildtype == "ACGTACGT" and found.values.shape == (8, 5) and found.pseudo_perplexity is not None
    with pytest.raises(UserError, match=r"(\d+) of \1 tokens are not in the vocabulary|of \d+ tokens are not in the vocabulary"):
        loaded.embed([bad])


@pytest.mark.parametrize("settings", ["args", "cfg"])
def test_fairseq_files_of_residues(settings: str, tmp_path: Path) -> None:
    """``dict.txt`` beside the checkpoint; old names and new ones; extras of the run; RoBERTa of transformers has the same
    numbers."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *RESIDUES, "<mask>"]
    (tmp_path / "dict.txt").write_text("".join(f"{residue} 1\n" for residue in RESIDUES))
    model = saved(tmp_path / "theirs", len(tokens), "Roberta", type_vocab_size=1, layer_norm_eps=1e-5)
    state = {key: x.clone() for key, x in model.state_dict().items()}
    assert not bool(state["roberta.embeddings.token_type_embeddings.weight"][0].zero_().any())
    model.load_state_dict(state)
    side, norm = ("decoder", "emb_layer_norm") if settings == "args" else ("encoder", "layernorm_embedding")
    changes = {
        "roberta.embeddings.word_embeddings": "sentence_encoder.embed_tokens",
        "roberta.embeddings.position_embeddings": "sentence_encoder.embed_positions",
        "roberta.embeddings.LayerNorm": f"sentence_encoder.{norm}", "roberta.encoder.layer": "sentence_encoder.layers",
        "attention.self.query": "self_attn.q_proj", "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj", "attention.output.dense": "self_attn.out_proj",
        "attention.output.LayerNorm": "self_attn_layer_norm", "intermediate.dense": "fc1", "output.dense": "fc2",
        "output.LayerNorm": "final_layer_norm", "lm_head.decoder.weight": "lm_head.weight",
    }  # fmt: skip
    weights = {}
    for key, tensor in state.items():
        for old, new in changes.items():
            key = key.replace(old, new)
        if "token_type" not in key and "decoder.bias" not in key and "position_ids" not in key:
            weights[f"{side}.{key}"] = tensor
    args = argparse.Namespace(encoder_attention_heads=4, activation_fn="gelu", mask_prob=0.2, tokenizer=None)
    about: dict[str, Any] = {"args": args, "cfg": None} if settings == "args" else {"args": None, "cfg": {"model": args}}
    extra = {"extra_state": {"epoch": 1}, "last_optimizer_state": {"state": {0: {"exp_avg": torch.ones(3)}}}}
    torch.save({**about, "model": weights, **extra}, tmp_path / "checkpoint.pt")
    loaded = maskedmod.load(tmp_path / "checkpoint.pt")
    assert loaded.layout == "fairseq_roberta" and loaded.tree["mask"]["random"]["ratio"] == 0.2
    ids = same_scores(loaded, model, PROTEIN)
    assert [tokens[i] for i in ids] == ["<s>", *PROTEIN, "</s>"]
    torch.save({"args": argparse.Namespace(no_scale_embedding=False), "model": weights}, tmp_path / "scaled.pt")
    with pytest.raises(UserError, match="no_scale_embedding=False is not read"):
        maskedmod.load(tmp_path / "scaled.pt")


def test_an_esm_of_another_vocabulary(tmp_path: Path) -> None:
    tokens = shuffled(["<pad>", "<unk>", "<cls>", "<eos>", "<mask>", *RESIDUES, "X"])
    written(tmp_path / "vocab.txt", tokens)
    more = {
        "position_embedding_type": "rotary", "token_dropout": True, "mask_token_id": tokens.index("<mask>"),
        "pad_token_id": tokens.index("<pad>"), "layer_norm_eps": 1e-5, "emb_layer_norm_before": False,
    }  # fmt: skip
    model = saved(tmp_path, len(tokens), "Esm", **more)
    loaded = maskedmod.load(tmp_path)
    ids = same_scores(loaded, model, PROTEIN)
    assert [tokens[i] for i in ids] == ["<cls>", *PROTEIN, "<eos>"]
    masked = ids.clone()
    masked[3:6] = tokens.index("<mask>")  # the share of mask tokens rescales the others
    with torch.no_grad():
        agree("masked", scores(loaded, masked), model(masked[None]).logits[0])
    assert len(loaded.contacts([PROTEIN])[0]) == len(PROTEIN)


def test_what_is_said_wins(tmp_path: Path) -> None:
    """``modality``, ``vocabulary`` and ``special`` from Python and in every verb that takes a checkpoint."""
    tokens = ["!", "?", "^", "$", "_", *shuffled(RESIDUES)]
    words = written(tmp_path / "elsewhere" / "letters.txt", tokens)
    saved(tmp_path / "model", len(tokens))
    with pytest.raises(UserError, match="25 ids and no vocabulary beside the weights.*say vocabulary=FILE"):
        maskedmod.load(tmp_path / "model")
    with pytest.raises(UserError, match=r"has no mask token.*special=\{mask: TOKEN\}"):
        maskedmod.load(tmp_path / "model", vocabulary=words)
    special = {"mask": "_", "start": "^", "end": "$", "pad": "!", "unk": "?"}
    loaded = maskedmod.load(tmp_path / "model", modality="protein", vocabulary=words, special=special)
    assert [tokens[i] for i in loaded.tokenize(["MK"]).values] == ["^", "M", "K", "$"]
    with pytest.raises(UserError, match="accepted|did you mean|protein"):
        maskedmod.load(tmp_path / "model", modality="proteins", vocabulary=words)
    (tmp_path / "wild.fasta").write_text(f">w\n{PROTEIN}\n")
    said = [
        f"checkpoint={tmp_path / 'model'}",
        "modality=protein",
        f"vocabulary={words}",
        "special={mask: _, start: ^, end: $, pad: '!', unk: '?'}",
    ]
    assert main(["score", *said, f"input={tmp_path / 'wild.fasta'}", f"output={tmp_path / 'scan.csv'}"]) == 0
    assert main(["embed", *said, f"input={tmp_path / 'wild.fasta'}", f"output={tmp_path / 'x.npy'}"]) == 0
    assert np.load(tmp_path / "x.npy").shape == (1, 32)
    assert main(["convert", *said, "to=hf_bert", f"output={tmp_path / 'back'}"]) == 0
    assert main(["score", *said[:1], f"input={tmp_path / 'wild.fasta'}", f"output={tmp_path / 'no.csv'}"]) != 0
    meta = json.loads((tmp_path / "scan.csv.meta.json").read_text())
    assert 0 <= meta["right"] <= len(PROTEIN) and meta["pseudo_perplexity"] > 1


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    tokens = [*SPECIALS, *RESIDUES]
    written(tmp_path / "vocab.txt", tokens)
    config = transformers.AlbertConfig(vocab_size=25, embedding_size=16, **SIZES)
    transformers.AlbertForMaskedLM(config).save_pretrained(tmp_path / "albert")
    with pytest.raises(UserError, match="ALBERT"):
        maskedmod.load(tmp_path / "albert")
    saved(tmp_path / "bert", 25)
    for key, value in (("position_embedding_type", "relative_key"), ("is_decoder", True), ("pruned_heads", {"0": [1]})):
        file = tmp_path / "bert" / "config.json"
        before = json.loads(file.read_text())
        file.write_text(json.dumps({**before, key: value}))
        with pytest.raises(UserError, match=key):
            maskedmod.load(tmp_path / "bert")
        file.write_text(json.dumps(before))
    written(tmp_path / "selfies" / "vocab.txt", [*SPECIALS, "[C]", "[=O]", "[Branch1]", "[Ring1]", "[N]"])
    saved(tmp_path / "selfies", 10)
    with pytest.raises(UserError, match="SELFIES"):
        maskedmod.load(tmp_path / "selfies")
    with pytest.raises(UserError, match="20 tokens, the model has 10|has 25 tokens, the model has 10"):
        maskedmod.load(tmp_path / "selfies", vocabulary=tmp_path / "vocab.txt")


def test_other_heads_and_activations(tmp_path: Path) -> None:
    """Heads for other tasks are not needed; an activation goes for the head too, as BERT's code has it."""
    tokens = [*SPECIALS, *RESIDUES]
    written(tmp_path / "vocab.txt", tokens)
    model = saved(tmp_path, len(tokens), hidden_act="relu")
    weights = {**model.state_dict(), "cls.species.weight": torch.ones(6, 32), "classifier.bias": torch.ones(2)}
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    loaded = maskedmod.load(tmp_path)
    same_scores(loaded, model, PROTEIN)
    assert {"cls.species.weight", "classifier.bias"} <= set(loaded.report.unneeded)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("vocab.txt", "\ufeffa\r\nb\r\n", ["a", "b"]),
        ("dict.txt", "A 5\nC 3 #fairseq:overwrite\n", ["<s>", "<pad>", "</s>", "<unk>", "A", "C", "<mask>"]),
        ("vocab.json", '{"b": 2, "a": 0}', ["a", "<unused 1>", "b"]),
        ("tokenizer.json", '{"model": {"vocab": {"a": 0}}, "added_tokens": [{"content": "<mask>", "id": 1}]}', ["a", "<mask>"]),
    ],
)
def test_formats_of_vocabularies(name: str, content: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert vocabulary.read_tokens(tmp_path / name) == found
    assert vocabulary.read_tokens(tmp_path / name, 9)[len(found) :] == [f"<unused {i}>" for i in range(len(found), 9)]


@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        ([*SPECIALS, *RESIDUES], "residues"),
        (["<cls>", "<mask>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>"], "residues"),
        ([a + b for a in "ACDEFGHIKLMNPQRSTVWY#" for b in "pynwrqhgdlvtmfsaeikc#"], "pairs"),
        ([*SPECIALS, *ATOMS], "molecule"),
        ([*"CNOSPFIBcnosp()[]=#123456789+-@/.H"], "molecule"),
        ([*"ACGTN"], "nucleotides"),
        ([a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"], "nucleotides"),
        (["the", "of", *"abcdefghijklmnopqrstuvwxyz", *(f"word{i}" for i in range(50))], "words"),
    ],
)
def test_kinds(tokens: list[str], kind: str) -> None:
    assert vocabulary.kind_of(tokens) == kind


def test_a_run_keeps_its_vocabulary(tmp_path: Path) -> None:
    """Trained on an alphabet of a file, and read when the file is gone."""
    tokens = shuffled([*SPECIALS, *RESIDUES, "X"])
    words = written(tmp_path / "vocab.txt", tokens)
    small = ["encoder.depth=1", "encoder.width=16", "encoder.heads=2", "encoder.max_length=64", "modality.max_length=62"]
    run = tmp_path / "run"
    done = main(
        ["train", "recipe=tape", "preset=demo", f"modality.alphabet={words}", *small, "train.steps=2", f"out={run}",
         "train.val_every=0", "train.baseline_batches=1", "train.tensorboard=false", "train.batch_tokens=512"]
    )  # fmt: skip
    assert done == 0
    before = maskedmod.load(run).embed([PROTEIN])
    words.unlink()
    loaded = maskedmod.load(run)
    assert torch.equal(loaded.embed([PROTEIN]), before)
    assert [tokens[i] for i in loaded.tokenize(["MK"]).values] == ["[CLS]", "M", "K", "[SEP]"]
    with pytest.raises(UserError, match="is a run"):
        maskedmod.load(run, modality="protein")


def test_a_known_alphabet_keeps_its_name(tmp_path: Path) -> None:
    """An ESM folder as published, with its own vocabulary and the tokenizer's settings."""
    esm = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    written(tmp_path / "vocab.txt", esm)
    names = {"cls_token": "<cls>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names))
    more = {
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "mask_token_id": 32,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-5,
    }
    model = saved(tmp_path, 33, "Esm", **more, emb_layer_norm_before=False)
    loaded = maskedmod.load(tmp_path)
    assert loaded.tree["modality"]["protein"]["alphabet"] == "esm" and loaded.tree["mask"]["random"]["corrupt"]["draw"] == [4, 23]
    same_scores(loaded, model, PROTEIN + "XBU")


def test_an_end_that_the_tokenizer_has_not(tmp_path: Path) -> None:
    """``eos_token: null`` in the tokenizer's settings, though the vocabulary has ``<eos>``."""
    tokens = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", *"ACGTN"]
    written(tmp_path / "vocab.txt", tokens)
    about = {"cls_token": {"content": "<cls>"}, "eos_token": None, "mask_token": "<mask>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(about))
    saved(tmp_path, len(tokens))
    loaded = maskedmod.load(tmp_path)
    assert [tokens[i] for i in loaded.tokenize(["ACGT"]).values] == ["<cls>", *"ACGT"]


def test_byte_pairs_of_molecules(tmp_path: Path) -> None:
    """``vocab.json`` and ``merges.txt`` of SMILES, as ChemBERTa's: read as molecules, nothing unknown."""
    pytest.importorskip("rdkit")
    library = pytest.importorskip("tokenizers")
    made = library.ByteLevelBPETokenizer()
    smiles = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "c1ccccc1Cl", "CCO", "CC(N)C#N"] * 20
    made.train_from_iterator(smiles, vocab_size=320, min_frequency=2, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    made.save_model(str(tmp_path))
    rows = made.get_vocab_size()
    model = saved(tmp_path, rows, "Roberta", max_position_embeddings=60)
    loaded = maskedmod.load(tmp_path)
    assert type(loaded.modality).__name__ == "Molecule"
    ids = same_scores(loaded, model, smiles[0])
    assert ids.tolist() == [0, *made.encode(smiles[0]).ids, 2]
