"""The command ``maskedmod VERB key=value ...``. A verb is a module of ``maskedmod.verbs`` with ``run(words) -> int``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from importlib import import_module
from typing import NoReturn

from maskedmod.errors import UserError, one_line, unknown
from maskedmod.support.columns import fitted
from maskedmod.support.version import __version__
from maskedmod.verbs import JSON, VERBS

USAGE_ERROR = 2
"""Exit code when a setting, a file or a name is wrong."""


def entry() -> NoReturn:
    """The program ``maskedmod``: run the verb of the command line and end the process."""
    leave(main())


def leave(code: int) -> NoReturn:
    """End the process. One of several started by torchrun goes at once, without the interpreter's own shut-down: the threads
    of torch's process groups sometimes abort during it, and a run that is done would end as failed."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb in this process; the exit code. Errors a user can mend are one line on standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(f"maskedmod {__version__}")
        return 0
    try:
        return _run(words[0], words[1:])
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(f"maskedmod: {stop.code}", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else 1)
    except KeyboardInterrupt:
        print("maskedmod: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone; nothing is left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ValueError, OSError) as error:
        if os.environ.get("MASKEDMOD_TRACEBACK"):
            raise
        place = "" if isinstance(error, UserError) else " (MASKEDMOD_TRACEBACK=1 shows where)"
        print(f"maskedmod: error: {one_line(str(error), 1000)}{place}", file=sys.stderr)
        return USAGE_ERROR


def _run(verb: str, words: list[str]) -> int:
    if verb == "__complete":
        from maskedmod.verbs.completion import candidates

        print("\n".join(candidates(words)))
        return 0
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    module = import_module(f"maskedmod.verbs.{verb}")
    if any(word in ("-h", "--help") for word in words):
        print(fitted((module.__doc__ or "").strip()))
        return 0
    from maskedmod.verbs.words import spoken, switch

    words, quiet = switch(spoken(verb, words), "quiet")
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere) if quiet else nullcontext():
        return int(module.run(words))


def _help() -> str:
    verbs = "\n".join(f"  {verb:<12} {line}" for verb, line in VERBS.items())
    return fitted(f"""maskedmod {__version__}: masked modelling for every modality

usage: maskedmod VERB key=value ...

{verbs}

Words: recipe=NAME or recipe=FILE.yaml, preset=tiny, mask=random mask.ratio=0.4, train.steps=1000, data=folder data.path=DIR,
out=DIR; a block is swapped by its name (mask=axis), which drops the arguments of the one before.
quiet=true with any verb: nothing but errors and results; json=true: the result as one JSON object ({", ".join(JSON)}).
maskedmod VERB --help says more.""")
