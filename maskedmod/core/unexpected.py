"""What a reader raises that it did not mean to: a fact about the sample, told with the place in the code where it happened."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskedmod.core.modality import BadSample
from maskedmod.errors import UserError

OURS = (UserError, ImportError, NameError)
"""What no file can be blamed for: a wrong setting, a missing package, a name that is not there. Memory can run out over one
file, whose header asks for it."""


class UnexpectedSample(BadSample):
    """A BadSample that nobody wrote a line for. ``trace`` is the traceback, kept for whoever mends the reader."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@contextmanager
def as_bad_sample() -> Iterator[None]:
    """Every exception inside but ``OURS`` becomes a BadSample: one record that a reader stumbles over never ends a run whose
    bad samples are to be skipped, and it is named. An error of the program among them stays in sight: the message names the
    type of the exception, file and line."""
    try:
        yield
    except (BadSample, *OURS):
        raise
    except OSError as error:
        raise BadSample(f"cannot be opened: {error}") from error
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"cannot be read ({what}, at {Path(last.filename).name} line {last.lineno})"
        raise UnexpectedSample(message, "".join(traceback.format_exception(error))) from error
