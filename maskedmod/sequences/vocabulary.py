"""Vocabularies of published models: read from the files they lie in, their special tokens found, told what they are words of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from maskedmod.core.alphabet import Alphabet
from maskedmod.errors import UserError, unknown

Kind = Literal["residues", "pairs", "molecule", "nucleotides", "selfies", "words"]
Special = Mapping[str, str | None]
"""Special tokens by role, where their names do not tell: ``{mask: "?", end: null}``."""

FILES = ("tokens.txt", "tokenizer.json", "vocab.txt", "vocab.json", "dict.txt")
"""Names that vocabularies have beside weights, in the order in which they are looked for."""
_NAMES = {
    "start": ("cls", "s", "bos", "start", "sos"),
    "end": ("sep", "/s", "eos", "end"),
    "pad": ("pad", "padding"),
    "mask": ("mask",),
    "unk": ("unk", "unknown"),
}
_KEYS = {
    "start": ("cls_token", "bos_token"), "end": ("sep_token", "eos_token"), "pad": ("pad_token",), "mask": ("mask_token",),
    "unk": ("unk_token",),
}  # fmt: skip
"""What the files of transformers call the roles."""
ROLES = tuple(_NAMES)
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
"""Symbols that fairseq puts before those of its dict.txt; the mask comes after them."""
FILLED = 128
"""Fewer rows than that are added where an embedding is filled up to a multiple of 8, 64 or 128."""
UNUSED = re.compile(r"\[unused\d+\]|<unused \d+>|<null_\d+>|madeupword\d+|<extra_id_\d+>")

RESIDUES = frozenset("ACDEFGHIKLMNPQRSTVWY")
BASES = frozenset("ACGTUNRYSWKMBDHV")
"""Nucleotides and the letters of IUPAC for several of them."""
_SMILES = re.compile(r"(?:\[[^\]]+\]|Br|Cl|[BCNOSPFIbcnosp0-9()=#+\-\\/:~@>?*$%.])+")


def read_tokens(path: str | Path, rows: int | None = None) -> list[str]:
    """All tokens in the order of their ids: of a file with one a line, of fairseq's ``dict.txt`` (a token and its count a
    line), of ``vocab.json`` (ids by token) or of ``tokenizer.json``. ``rows``: filled up to that many with unused ones.
    UserError for what cannot be read, for a token that is there twice, and for more tokens than ``rows``."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"vocabulary {path} cannot be read: {error}") from None
    tokens = _of_json(text, path) if path.suffix == ".json" else _of_lines(text, path)
    if len(set(tokens)) < len(tokens):
        twice = next(token for i, token in enumerate(tokens) if token in tokens[:i])
        raise UserError(f"vocabulary {path}: token {twice!r} stands there twice")
    if rows is not None and len(tokens) > rows:
        raise UserError(f"vocabulary {path} has {len(tokens)} tokens, the model has {rows}: it belongs to another model")
    return tokens + [f"<unused {i}>" for i in range(len(tokens), rows or 0)]


def _of_lines(text: str, path: Path) -> list[str]:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise UserError(f"vocabulary {path} has an empty line, number {lines.index('') + 1}; expected one token a line")
    counted = [re.fullmatch(r"(.*\S) \d+(?: #fairseq:overwrite)?", line) for line in lines]
    if not lines or not all(counted):
        return lines
    tokens = [found[1] for found in counted if found is not None]
    tokens = [*(token for token in FAIRSEQ if token not in tokens), *tokens]
    return tokens if "<mask>" in tokens else [*tokens, "<mask>"]


def of_fairseq(path: str | Path) -> bool:
    """Whether a file is a ``dict.txt`` of fairseq."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(re.fullmatch(r".*\S \d+(?: #fairseq:overwrite)?", line) for line in lines)


def _of_json(text: str, path: Path) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"vocabulary {path} is no JSON: {error}") from None
    table: dict[str, Any] = {}
    if isinstance(found, dict) and isinstance(found.get("model"), dict):
        own = found["model"].get("vocab", {})
        pieces = own if isinstance(own, dict) else {piece[0]: i for i, piece in enumerate(own) if isinstance(piece, list)}
        table = {**pieces, **{one["content"]: one["id"] for one in found.get("added_tokens") or []}}
    elif isinstance(found, dict):
        table = found
    elif isinstance(found, list):
        table = {token: i for i, token in enumerate(found)}
    if not table or not all(type(i) is int and 0 <= i < 10_000_000 for i in table.values()):
        raise UserError(f"vocabulary {path}: expected ids by token, a list of tokens, or a tokenizer.json")
    names = {i: token for token, i in table.items()}
    if len(names) < len(table):
        raise UserError(f"vocabulary {path}: several tokens have one id")
    return [names.get(i, f"<unused {i}>") for i in range(max(names) + 1)]


def find(weights: Path, rows: int | None = None) -> Path | None:
    """The vocabulary that lies beside a file of weights, or else one folder up; None where there is none. One with more tokens
    than ``rows`` belongs to another model and is passed over; so is, away from the ``config.json`` of its model, one with so many
    fewer that no filling up explains it."""
    folder = weights if weights.is_dir() else weights.parent
    for place in (folder, folder.resolve().parent):
        most = (rows or 0) if place == folder and (place / "config.json").is_file() else FILLED
        for name in FILES:
            file = place / name
            if file.is_file() and _fits(file, rows, most):
                return file
    return None


def _fits(file: Path, rows: int | None, most: int) -> bool:
    """Whether a file can be of a model of so many ids, of which at most ``most`` are not used."""
    try:
        left = 0 if rows is None else rows - len(read_tokens(file))
    except UserError:
        return False
    return left == 0 or (rows is not None and 0 < left < most and (rows % 8 == 0 or most == rows))


def file_of(given: str | Path) -> Path:
    """The file of a vocabulary that is named, itself or its folder. UserError where there is none."""
    path = Path(given)
    found = find(path) if path.is_dir() else path
    if found is None or not found.is_file():
        raise UserError(f"vocabulary={given}: no such file, nor a folder with {', '.join(FILES)}")
    return found


def told(folder: Path, tokens: Sequence[str]) -> dict[str, str | None]:
    """Special tokens that ``tokenizer_config.json`` or ``special_tokens_map.json`` in a folder name, as far as they are among
    ``tokens``; None: that there is none."""
    named: dict[str, Any] = {}
    out: dict[str, str | None] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            named.update({key: value for key, value in found.items() if key.endswith("_token")})
    for role, keys in _KEYS.items():
        values = [named[key] for key in keys if key in named]
        texts = [value["content"] if isinstance(value, dict) else value for value in values]
        if values:
            texts = [text for text in texts if isinstance(text, str)]
            if not texts or texts[0] in tokens:
                out[role] = texts[0] if texts else None
    return out


def roles(tokens: Sequence[str], special: Special | None = None, where: str = "special") -> dict[str, str | None]:
    """Which token has which role: as ``special`` says, else by the names that such tokens usually have, in angle or square
    brackets. UserError for a role or token that there is not."""
    plain: dict[str, str] = {}
    for token in tokens:
        if (name := _bare(token)) is not None:
            plain.setdefault(name, token)
    out: dict[str, str | None] = {}
    for role, names in _NAMES.items():
        out[role] = next((plain[name] for name in names if name in plain), None)
    for role, said in (special or {}).items():
        if role not in out:
            raise unknown("role", str(role), ROLES, f"of {where}")
        if said is not None and said not in tokens:
            raise UserError(f"{where}: {role}={said!r} is no token of the vocabulary")
        out[role] = said
    return out


def _bare(token: str) -> str | None:
    """``<mask>`` and ``[MASK]`` -> ``mask``; None for a name of another form, as ``[S]`` of a molecule is."""
    if len(token) > 2 and token[0] == "<" and token[-1] == ">":
        return token[1:-1].lower()
    if len(token) > 4 and token[0] == "[" and token[-1] == "]" and token.isupper():
        return token[1:-1].lower()
    return None


def alphabet(
    tokens: Sequence[str], special: Special | None = None, where: str = "vocabulary", standard: Iterable[str] = ()
) -> Alphabet:
    """Tokens with their roles. UserError without a mask token, which says how to name it."""
    found = roles(tokens, special)
    if found["mask"] is None:
        raise UserError(f"{where} has no mask token; expected one called <mask> or [MASK] among them, or special={{mask: TOKEN}}")
    taken = set(filter(None, found.values()))
    also = [token for token in tokens if token not in taken and not _content(token)]
    chosen = [token for token in standard if token in tokens]
    return Alphabet.named(tokens, **found, standard=chosen, also_special=also)  # type: ignore[arg-type]


def _content(token: str) -> bool:
    """Whether a token is content, by its name."""
    return not UNUSED.fullmatch(token) and _bare(token) not in {name for names in _NAMES.values() for name in names}


def kind_of(tokens: Sequence[str], special: Special | None = None) -> Kind:
    """What a vocabulary is of. Residues: single letters, the twenty among them; pairs: a residue and a state of its structure;
    molecule: parts of SMILES; nucleotides: bases, single or several to a token; words: anything else."""
    named = set(filter(None, roles(tokens, special).values()))
    content = [token for token in tokens if token not in named and _content(token) and not re.fullmatch(r"<.*>", token)]
    single = {token for token in content if len(token) == 1}
    if single >= RESIDUES and all(len(token) == 1 for token in content) and not single & set("()=c"):
        return "residues"
    if content and all(len(token) == 2 for token in content) and {token[0] for token in content} >= RESIDUES:
        return "pairs"
    if {"[Branch1]", "[Ring1]", "[Branch1_1]"} & set(content):
        return "selfies"
    letters = [token.upper() for token in content if token.isalpha()]
    bases = letters and len(letters) >= 0.8 * len(content) and all(set(token) <= BASES for token in letters)
    if bases and {"A", "C", "G"} <= set("".join(letters)):
        return "nucleotides"
    longer = [token for token in content if len(token) > 1]
    judged = longer if len(longer) > 4 else content
    share = sum(_SMILES.fullmatch(token.removeprefix("##")) is not None for token in judged) / max(len(judged), 1)
    return "molecule" if {"C", "N", "O", "(", ")", "="} <= set(content) and share > 0.8 else "words"


def trained(path: Path) -> bool:
    """Whether a file is one of a tokenizer that was trained (merges, word pieces of the tokenizers library) and is no mere
    list."""
    if path.name == "vocab.json":
        return (path.parent / "merges.txt").is_file()
    if path.suffix != ".json":
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and isinstance(found.get("model"), dict) and found["model"].get("type") != "WordLevel"
