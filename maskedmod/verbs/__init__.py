"""The verbs of the command line, one module each. Each has ``run(words) -> exit code``; its docstring is its ``--help``."""

from __future__ import annotations

VERBS = {
    "train": "train a recipe: maskedmod train audio_mae",
    "eval": "judge features, or fine-tune, beside baselines: maskedmod eval runs/a protocol=knn",
    "reconstruct": "draw original, masked and reconstruction: maskedmod reconstruct runs/a",
    "embed": "write features of files to a file: maskedmod embed runs/a input=photos/ output=features.parquet",
    "score": "score mutants of a protein, or all: maskedmod score runs/a input=wildtype.fasta output=scan.csv",
    "ls": "list recipes, presets, blocks, modalities, checkpoints and runs: maskedmod ls mask; maskedmod ls runs",
    "show": "print a resolved recipe and its cost, or what a run did: maskedmod show mae preset=tiny; maskedmod show runs/a",
    "convert": "write a model as transformers, timm, fair-esm read it: maskedmod convert runs/a to=hf output=mine",
    "verify": "compare a checkpoint with its original code, layer by layer: maskedmod verify DIR against=transformers",
    "cp": "copy a recipe to a file of your own: maskedmod cp mae output=mine.yaml",
    "pull": "fetch a published checkpoint: maskedmod pull facebook/vit-mae-base",
    "completion": "print the tab completion script: maskedmod completion bash|zsh|fish",
}
"""Names and what each does, in the order of the help."""

MAIN = {
    **dict.fromkeys(("train", "show", "cp"), "recipe"),
    **dict.fromkeys(("eval", "reconstruct", "embed", "score", "convert", "verify", "pull"), "checkpoint"),
}
"""Key of the main thing of a verb, which may stand without its key; ``ls`` and ``completion`` take names alone."""

JSON = ("eval", "ls", "show", "score")
"""Verbs that print their result as one JSON object when ``json=true`` is written."""
