"""The verbs of the command line, one module each. Each has ``run(words) -> exit code``; its docstring is its ``--help``."""

from __future__ import annotations

VERBS = {
    "train": "train a recipe: maskedmod train recipe=audio_mae",
    "eval": "judge features, or fine-tune, beside baselines: maskedmod eval checkpoint=runs/a protocol=knn",
    "reconstruct": "draw original, masked and reconstruction: maskedmod reconstruct checkpoint=runs/a",
    "embed": "write features of files to a file: maskedmod embed checkpoint=runs/a input=photos/ output=features.parquet",
    "score": "score mutants of a protein, or all: maskedmod score checkpoint=runs/a input=wildtype.fasta output=scan.csv",
    "ls": "list recipes, blocks, modalities and checkpoints",
    "show": "print a resolved recipe, its parameters, operations and memory: maskedmod show recipe=mae preset=tiny",
    "convert": "write a model as transformers, timm, fair-esm read it: maskedmod convert runs/a to=hf output=mine",
    "verify": "compare a checkpoint with its original code, layer by layer: maskedmod verify DIR against=transformers",
    "cp": "copy a recipe to a file of your own: maskedmod cp recipe=mae output=mine.yaml",
    "pull": "fetch a published checkpoint: maskedmod pull facebook/vit-mae-base",
    "completion": "print the tab completion script: maskedmod completion bash|zsh|fish",
}
"""Names and what each does, in the order of the help."""
