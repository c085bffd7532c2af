"""One evaluation from start to end, whatever its protocol: features, trials, table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskedmod.errors import unknown
from maskedmod.evaluate.judge import PROTOCOLS, build, judge
from maskedmod.evaluate.prepare import table
from maskedmod.evaluate.probes.probe import Probe
from maskedmod.evaluate.result import Result
from maskedmod.evaluate.settings import Settings
from maskedmod.finetune.judge import evaluate_trained
from maskedmod.finetune.options import DEFAULTS, Options, options

TRAINED_PROTOCOLS = tuple(DEFAULTS)
"""Those that train a network on labels; the others are probes on frozen features."""


def evaluate(
    checkpoints: Sequence[str | Path],
    protocol: str,
    data: Sequence[str] = (),
    settings: Settings | None = None,
    folder: Path | None = None,
    **arguments: Any,
) -> Result:
    """Judge the encoders of ``checkpoints`` (run folders or published weights of one recipe: several runs give the
    deviation over their seeds), beside the same encoder at random initialisation and the modality's raw features.

    ``protocol``: one of ``PROTOCOLS`` (frozen features) or ``TRAINED_PROTOCOLS`` (networks, in sub-folders of ``folder``;
    default: ``protocol`` in the first checkpoint's run), with its own ``arguments``. ``data``: words such as ``data=folder``,
    ``data.path=DIR`` laid over the run's recipe; none means the run's own data; also ``modality.max_length=N`` and others of
    the modality's ``windowing``. Raises UserError for whatever a user can mend.
    """
    settings, made = settings or Settings(), chosen(protocol, arguments)
    if isinstance(made, Options):
        place = folder or home(checkpoints[0] if checkpoints else "") / protocol
        return evaluate_trained(checkpoints, protocol, data, settings, made, place)
    found = table(checkpoints, data, settings, "numbers" in made.tasks)
    return judge(found, protocol, made, settings, [str(path) for path in checkpoints])


def chosen(protocol: str, arguments: Mapping[str, Any]) -> Probe | Options:
    """The protocol with its arguments. UserError names an unknown one, and arguments that it does not take."""
    if protocol in TRAINED_PROTOCOLS:
        return options(protocol, arguments)
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS + TRAINED_PROTOCOLS)
    return build(protocol, arguments)


def home(checkpoint: str | Path) -> Path:
    """The run folder of a checkpoint; the working directory for weights that are no run."""
    start = Path(checkpoint)
    return next((folder for folder in (start, *list(start.parents)[:3]) if (folder / "recipe.yaml").is_file()), Path())
