"""What an adapter promises. Everything that is particular to images, spectrograms, graphs, ... is behind this class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from maskedmod.core.alphabet import Alphabet
from maskedmod.core.context import Context
from maskedmod.core.spec import Spec
from maskedmod.core.token_statistics import token_statistics
from maskedmod.core.tokens import Tokens


@dataclass(frozen=True)
class Record:
    """A sample before it is decoded. ``data`` is a path, bytes, an array or any object that the modality reads;
    ``key`` names it in messages (a file, ``file.parquet row 17``); ``label`` is an int, a float, a name or None.
    ``extra``: what a reader wants to know beside the data (``rate`` of an array, ``start`` of a window). A training loader
    puts ``seed`` there, an int from (seed, epoch, index), so that a reader may cut at random and a resumed run reads the same;
    validation puts a fixed one, with ``held_out``: cut there, but change nothing."""

    data: Any
    key: str
    label: Any = None
    extra: dict[str, Any] = field(default_factory=dict)


Ticks = tuple[tuple[float, str], ...]
"""Labels along an edge of a picture: place from 0 (left, bottom) to 1 (right, top) and text with its unit."""


@dataclass(frozen=True)
class Panel:
    """One picture of a drawing: ``image`` uint8 ``[H, W, 3]`` numpy, with the caption that goes under it. ``across`` and
    ``upward``: its axes, where it has any."""

    image: Any
    caption: str = ""
    across: Ticks = ()
    upward: Ticks = ()


@dataclass(frozen=True)
class Grouping:
    """A named way to split data for an evaluation: ``group`` gives the name of the group that a record belongs to, which is never
    on both sides; ``rule`` how groups are dealt out, see ``maskedmod.evaluate.grouped``."""

    group: Callable[[Record], str]
    rule: Literal["largest_first", "shuffled", "balanced"]


class BadSample(ValueError):  # noqa: N818 - it is a fact about data, not a fault of the program
    """A sample that cannot be used. The message says what is wrong; the loader adds the key and raises or counts."""


def written(data: Any, what: str) -> str:
    """The text of a record's data, str or UTF-8 bytes, as it stands but for a byte order mark at its start. BadSample when it is
    neither, or blank; ``what`` was expected."""
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadSample(f"is not UTF-8: {error.reason} at byte {error.start}") from None
    if not isinstance(data, str):
        raise BadSample(f"expected {what}, got {type(data).__name__}")
    if data.startswith("\ufeff"):
        data = data[1:]
        altered("the byte order mark at its start left out")
    if not data.strip():
        raise BadSample("is empty")
    return data


_CHANGES: ContextVar[list[str] | None] = ContextVar("changes", default=None)


def altered(what: str) -> None:
    """A reader says here what a usable sample lost or had converted (``transparency dropped``). Heard inside ``changes()``."""
    heard = _CHANGES.get()
    if heard is not None:
        heard.append(what)


@contextmanager
def changes() -> Iterator[list[str]]:
    """The list that ``altered`` adds to while samples are read inside this block."""
    heard: list[str] = []
    token = _CHANGES.set(heard)
    try:
        yield heard
    finally:
        _CHANGES.reset(token)


class Modality(nn.Module, ABC):
    """Base of adapters; constructor arguments are the keys of the ``modality:`` slot of a recipe.

    Order of calls: ``read`` (loader process, one record) -> ``collate`` (loader process, list of samples) -> ``prepare`` (on
    the device: augmentation, filter banks, normalisation) -> ``tokenize``. Statistics that are measured on the data
    (``measure``) are plain floats in ``statistics``; the run stores them and gives them back before training resumes.
    """

    extensions: ClassVar[tuple[str, ...]] = ()
    """File name endings that ``data=folder`` collects, lower case with the dot."""

    columns: ClassVar[tuple[str, ...]] = ()
    """Column names that ``data=parquet`` and ``data=hf`` look for, in this order."""

    wholes: ClassVar[tuple[str, ...]] = ()
    """Keys that make a mapping a sample as it is, of which no column is taken: the faces of a mesh."""

    text: ClassVar[bool] = False
    """Strings are samples themselves (sequences of letters), not names of files."""

    too_long: ClassVar[str] = "longer ones are bad samples"
    """Of packed modalities: what training makes of a sample that is longer than ``token_lengths`` allows."""

    windowing: ClassVar[tuple[str, ...]] = ()
    """Arguments that say in what windows long samples are read, which may change after training: features come from any."""

    measured_on: ClassVar[int] = 256
    """Training samples, chosen at random, that a run hands to ``measure``; fewer where there are fewer."""

    held: int | None = None
    """Most samples that a run may hold in memory for its pictures and measures of features, where one sample is large; None: as
    many as these want."""

    signal: ClassVar[str] = ""
    """Key of a prepared batch under which ``tokenize`` finds the normalised signal; empty when it is no single tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.statistics: dict[str, Any] = {}
        self.augment: nn.Module | None = None
        self.alphabet: Alphabet | None = None

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """Sizes of the tokens (width, teacher and target are 0 here)."""

    @abstractmethod
    def read(self, record: Record) -> Any:
        """Decode one record on the CPU. Raises BadSample when it cannot be used."""

    def expand(self, record: Record) -> Sequence[Record]:
        """One record -> the samples it holds (windows of a long recording); called by data sources after the split."""
        return (record,)

    def divide(self, record: Record) -> Sequence[Record]:
        """One record -> the parts of it that training reads one at a time (of a graph too large for a step), by default itself;
        called by data sources. Features come from the whole."""
        return (record,)

    def token_lengths(self, lengths: Tensor) -> Tensor | None:
        """For packed modalities: most tokens, special ones included, that records of these ``lengths`` (int64 ``[n]``, what a
        source counted: letters) give in training. None (default): samples of this modality are not packed."""
        return None

    def several(self, data: Any) -> Sequence[Any] | None:
        """The samples of an array that holds many of them; None when ``data`` is one sample (default)."""
        return None

    @abstractmethod
    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        """Samples of a batch -> dict of tensors (small dtypes: uint8, int16) that travel to the device."""

    @abstractmethod
    def prepare(self, batch: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """On the device: augment when ``ctx.training``, compute features, normalise."""

    @abstractmethod
    def tokenize(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """Named views of a prepared batch; a single one is called ``main``."""

    @abstractmethod
    def embedding(self, width: int) -> nn.Module:
        """Learned map from ``Tokens.values`` to ``[..., width]``; the encoder owns and calls it."""

    @abstractmethod
    def untokenize(self, values: Tensor, tokens: Tokens) -> Tensor:
        """Inverse of tokenize on values ``[B, N, P]``: the (normalised) signal, e.g. ``[B, C, H, W]``."""

    @abstractmethod
    def draw(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Panel]:
        """One picture per sample of values ``[B, N, P]``; positions in ``hidden`` bool ``[B, N]`` are greyed out."""

    @abstractmethod
    def demo(self, split: str) -> Sequence[Record]:
        """Records of the built-in sample for split ``train`` or ``val``; needs no download."""

    def typical(self, count: int) -> Sequence[Record]:
        """At most ``count`` records that stand for the data where there are none: what a step costs is counted on them. By
        default of the built-in sample."""
        return self.demo("val")[:count]

    def measure(self, samples: Sequence[Any]) -> dict[str, Any]:
        """Statistics of decoded training samples that this adapter wants measured (nothing by default)."""
        return {}

    def remarks(self) -> list[str]:
        """Lines that a run says of its statistics (none by default)."""
        return []

    def raw_features(self, batch: dict[str, Any]) -> Tensor:
        """Features without any learning, ``[B, F]``, of a prepared batch: what a probe on an encoder has to beat. By default
        mean and deviation of every token value over a sample's tokens, or shares of every id."""
        return token_statistics(next(iter(self.tokenize(batch).values())), self.spec.vocab)

    def groupings(self) -> Mapping[str, Grouping]:
        """Splits by groups that evaluations of this modality use, by name (none by default)."""
        return {}

    def unit(self) -> str:
        """What one token is called in throughput figures."""
        return "token"

    def audio(self, values: Tensor, tokens: Tokens, hidden: Tensor | None = None) -> list[Any]:
        """Listenable form of values, ``(samples, rate)`` each, for modalities that have one (none by default); positions in
        ``hidden`` bool ``[B, N]`` are silent."""
        return []

    def plausible(self, sample: Any) -> None:
        """Raises BadSample where a sample that was read is on another scale than the model was trained on, as an array given by
        hand may be. Called after ``read``, in training as in use: whatever one takes the other takes (nothing is checked by
        default). Statistics that are to be measured may not be there yet."""
