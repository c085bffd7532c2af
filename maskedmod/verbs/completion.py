"""maskedmod completion bash|zsh|fish

Prints a tab completion script.

  eval "$(maskedmod completion bash)"        in ~/.bashrc (zsh: the same in ~/.zshrc, after compinit)
  maskedmod completion fish | source         in ~/.config/fish/config.fish
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.config import WORDS, resolve_names
from maskedmod.recipe.layering import chosen
from maskedmod.verbs import VERBS
from maskedmod.verbs.eval import KEYS as EVAL_KEYS
from maskedmod.verbs.ls import FILTERS, PARTS
from maskedmod.verbs.score import CHOICES as SCORE_CHOICES
from maskedmod.verbs.score import KEYS as SCORE_KEYS
from maskedmod.zoo import checkpoints
from maskedmod.zoo.how import HOW

# bash cuts words at "=", so the candidates lose what stands before the last one there.
SCRIPTS = {
    "bash": """_maskedmod() {
  local line="${COMP_LINE:0:COMP_POINT}" cur="" IFS=$'\\n'
  local -a words; IFS=' ' read -r -a words <<< "$line"
  [[ "$line" == *" " ]] || cur="${words[-1]}"
  [[ "$line" == *" " ]] && words+=("")
  COMPREPLY=($(maskedmod __complete "${words[@]:1}" 2>/dev/null))
  [[ "$cur" == *=* && "$COMP_WORDBREAKS" == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${cur%=*}="}")
  [[ "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace
}
complete -o default -F _maskedmod maskedmod""",
    "zsh": """_maskedmod() {
  local -a found
  found=("${(@f)$(maskedmod __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  [[ -n "${found[1]}" ]] && compadd -S '' -- "${found[@]}" || _files
}
compdef _maskedmod maskedmod""",
    "fish": "complete -c maskedmod -f -a '(maskedmod __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'",
}
VERB_KEYS = {
    "train": WORDS,
    "show": WORDS,
    "cp": ("recipe", "output"),
    "eval": EVAL_KEYS,
    "embed": ("checkpoint", "input", "output", "pool", "layer", "batch_size", "workers", "device", "resume", "data", *HOW),
    "reconstruct": ("checkpoint", "input", "output", "samples", "columns", "seed", "wav", "mask", *HOW),
    "score": SCORE_KEYS,
}


def run(words: Sequence[str]) -> int:
    """Print the script of one shell."""
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise unknown("shell", " ".join(words), SCRIPTS)
    print(SCRIPTS[words[0]])
    return 0


def candidates(words: Sequence[str]) -> list[str]:
    """Completions of the last word, given the ones before; imports nothing heavy."""
    last = words[-1] if words else ""
    if len(words) < 2:
        found = list(VERBS)
    elif words[0] == "completion":
        found = list(SCRIPTS)
    elif words[0] == "ls":
        found = _listed(last.partition("=")[0], words[1:-1]) if "=" in last else _lists(words[1:-1])
    elif words[0] == "pull":
        found = list(checkpoints.entries())
    elif words[0] not in VERB_KEYS:
        found = []
    elif "=" in last:
        found = _values(last.partition("=")[0], words[1:-1])
    else:
        found = _keys(VERB_KEYS[words[0]], last, words[1:-1])
    return [candidate for candidate in found if candidate.startswith(last)]


def _lists(before: Sequence[str]) -> list[str]:
    """Words of ``ls``: the lists, and what chooses among recipes unless another list is named."""
    filters = [] if {*PARTS[1:]} & {*before} else [f"{key}=" for key in FILTERS]
    return [*PARTS, *filters]


def _listed(key: str, before: Sequence[str]) -> list[str]:
    """Values of a key of ``ls``. The first word of a family stands for it, since shells cut at blanks."""
    heads = recipe_head.heads()
    if key == "family":
        named = {word.partition("=")[2] for word in before if word.startswith("modality=")}
        return sorted({f"family={head.family.split()[0]}" for head in heads if not named or head.modality in named})
    return sorted({f"modality={head.modality}" for head in heads}) if key == "modality" else []


def _keys(known: Sequence[str], last: str, before: Sequence[str]) -> list[str]:
    root, dot, _ = last.partition(".")
    if not dot:
        nested = [f"{key}." for key in known if key in (*catalog.SLOTS, "train")]
        return [*(f"{key}=" for key in known if key != "train"), *nested]
    if root == "train":
        settings = catalog.fields("maskedmod.recipe", "settings", "TrainSettings")
        return [f"train.{name}=" for name in settings]
    block = chosen(_tree(before).get(root))
    if root not in catalog.SLOTS or block is None:
        return []
    modality = chosen(_tree(before).get("modality"))
    arguments = catalog.entry(root, block, modality).arguments[catalog.GIVEN.get(root, 0) :]
    return [f"{root}.{argument.name}=" for argument in arguments]


def _values(key: str, before: Sequence[str]) -> list[str]:
    if key == "recipe":
        return [f"recipe={name}" for name in recipe_file.names()]
    if key == "preset":
        return [f"preset={name}" for name in _presets(before)]
    if key == "resume":
        return ["resume=auto", "resume=never"]
    if key in SCORE_CHOICES:
        return [f"{key}={name}" for name in SCORE_CHOICES[key]]
    if key in catalog.SLOTS:
        return [f"{key}={name}" for name in catalog.names(key, chosen(_tree(before).get("modality")))]
    return []


def _tree(words: Sequence[str]) -> dict[str, Any]:
    """The layered tree of the words typed so far; empty while they are not complete."""
    try:
        return resolve_names(words)
    except UserError:
        return {}


def _presets(words: Sequence[str]) -> list[str]:
    names: list[str] = []
    for word in words:
        if word.startswith("recipe="):
            try:
                names += recipe_file.load_tree(recipe_file.find(word.partition("=")[2])).get("presets", {})
            except UserError:
                continue
    return names
