"""maskedmod completion bash|zsh|fish

Prints a tab completion script.

  eval "$(maskedmod completion bash)"        in ~/.bashrc (zsh: the same in ~/.zshrc, after compinit)
  maskedmod completion fish | source         in ~/.config/fish/config.fish
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskedmod.errors import UserError, unknown
from maskedmod.recipe import catalog
from maskedmod.recipe import file as recipe_file
from maskedmod.recipe import head as recipe_head
from maskedmod.recipe.config import WORDS, resolve_names
from maskedmod.recipe.layering import chosen
from maskedmod.verbs import JSON, MAIN, VERBS
from maskedmod.verbs.convert import FORMATS
from maskedmod.verbs.convert import KEYS as CONVERT_KEYS
from maskedmod.verbs.embed import KEYS as EMBED_KEYS
from maskedmod.verbs.eval import KEYS as EVAL_KEYS
from maskedmod.verbs.eval import PROTOCOLS
from maskedmod.verbs.ls import FILTERS, PARTS, SLOTS
from maskedmod.verbs.reconstruct import KEYS as RECONSTRUCT_KEYS
from maskedmod.verbs.score import CHOICES as SCORE_CHOICES
from maskedmod.verbs.score import KEYS as SCORE_KEYS
from maskedmod.verbs.verify import AGAINST
from maskedmod.verbs.verify import KEYS as VERIFY_KEYS
from maskedmod.verbs.words import spoken
from maskedmod.zoo import checkpoints

# bash cuts words at "=", so the candidates lose what stands before the last one there.
SCRIPTS = {
    "bash": """_maskedmod() {
  local line="${COMP_LINE:0:COMP_POINT}" cur="" IFS=$'\\n'
  local -a words; IFS=' ' read -r -a words <<< "$line"
  [[ "$line" == *" " ]] || cur="${words[-1]}"
  [[ "$line" == *" " ]] && words+=("")
  COMPREPLY=($(maskedmod __complete "${words[@]:1}" 2>/dev/null))
  [[ "$cur" == *=* && "$COMP_WORDBREAKS" == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${cur%=*}="}")
  [[ "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace
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
    "embed": EMBED_KEYS,
    "reconstruct": RECONSTRUCT_KEYS,
    "score": SCORE_KEYS,
    "convert": CONVERT_KEYS,
    "verify": VERIFY_KEYS,
}
CHOICES = {
    **SCORE_CHOICES,
    "resume": ("auto", "never"),
    "protocol": PROTOCOLS,
    "to": FORMATS,
    "against": AGAINST,
    "quiet": ("true",),
    "json": ("true",),
}
"""Keys with few values."""
PATHS = ("checkpoint", "input", "output", "out", "init", "mutants", "data.path", "teacher.checkpoint")
"""Keys whose value is a file or a folder."""


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
        found = _listed(last.partition("=")[0], words[1:-1]) if "=" in last else _lists(last, words[1:-1])
    elif words[0] == "pull":
        found = list(checkpoints.entries())
    elif words[0] not in VERB_KEYS:
        found = []
    elif "=" in last:
        key, _, value = last.partition("=")
        found = _values(key, value, words[1:-1])
    else:
        switches = ("quiet", *(("json",) if words[0] in JSON else ()))
        found = [*_main(words[0], last, words[1:-1]), *_keys((*VERB_KEYS[words[0]], *switches), last, words[1:-1])]
    return [candidate for candidate in dict.fromkeys(found) if candidate.startswith(last)]


def _main(verb: str, last: str, before: Sequence[str]) -> list[str]:
    """What may stand as the first word, without its key."""
    if [word for word in before if "=" not in word or word.startswith(f"{MAIN[verb]}=")]:
        return []
    names = recipe_file.names() if MAIN[verb] == "recipe" else []
    return [*names, *_paths(last)] if last else [*names]


def _paths(start: str) -> list[str]:
    """Files and folders that a text begins; folders end in ``/``. Hidden ones only where the text says so."""
    folder, _, name = start.rpartition("/")
    place = Path(f"{folder}/" if folder or start.startswith("/") else ".").expanduser()
    try:
        found = sorted(place.iterdir())
    except OSError:
        return []
    front = f"{folder}/" if "/" in start else ""
    kept = [path for path in found if path.name.startswith(name) and (name or not path.name.startswith("."))]
    return [f"{front}{path.name}{'/' if path.is_dir() else ''}" for path in kept]


def _lists(last: str, before: Sequence[str]) -> list[str]:
    """Words of ``ls``: the lists, and what chooses among recipes or presets unless another list is named."""
    named = {*before} & {*PARTS, *SLOTS}
    filters = [f"{key}=" for key, part in FILTERS.items() if not named or part in named]
    folders = [path for path in _paths(last) if path.endswith("/")] if "runs" in before else []
    return [*PARTS, *SLOTS, *filters, "json=", *folders]


def _listed(key: str, before: Sequence[str]) -> list[str]:
    """Values of a key of ``ls``. The first word of a family stands for it, since shells cut at blanks."""
    heads = recipe_head.heads()
    if key == "family":
        named = {word.partition("=")[2] for word in before if word.startswith("modality=")}
        return sorted({f"family={head.family.split()[0]}" for head in heads if not named or head.modality in named})
    if key in ("recipe", "json"):
        return _values(key, "", before)
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


def _values(key: str, value: str, before: Sequence[str]) -> list[str]:
    if key == "recipe":
        return [f"recipe={name}" for name in [*recipe_file.names(), *(_paths(value) if value else [])]]
    if key == "preset":
        return [f"preset={name}" for name in _presets(before)]
    if key in CHOICES:
        return [f"{key}={name}" for name in CHOICES[key]]
    if key in PATHS or key.endswith((".path", ".checkpoint")):
        published = list(checkpoints.entries()) if value and key.endswith("checkpoint") else []
        return [f"{key}={path}" for path in [*_paths(value), *published]]
    if key in catalog.SLOTS:
        return [f"{key}={name}" for name in catalog.names(key, chosen(_tree(before).get("modality")))]
    return []


def _tree(words: Sequence[str]) -> dict[str, Any]:
    """The layered tree of the words typed so far; empty while they are not complete."""
    try:
        return resolve_names(spoken("train", words))
    except UserError:
        return {}


def _presets(words: Sequence[str]) -> list[str]:
    names: list[str] = []
    for word in spoken("train", words):
        if word.startswith("recipe="):
            try:
                names += recipe_file.load_tree(recipe_file.find(word.partition("=")[2])).get("presets", {})
            except UserError:
                continue
    return names
