"""What a user gets wrong, end to end: every mistake is one line on standard error that names it, and a code that is not 0."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import maskedmod
from maskedmod.cli import main
from maskedmod.errors import UserError

SMALL = [
    "encoder.depth=1", "encoder.width=24", "encoder.heads=2", "head.depth=1", "head.width=24", "head.heads=2",
    "train.steps=2", "train.batch_size=4", "train.warmup_steps=1", "train.val_batches=1", "train.baseline_batches=1",
    "train.tensorboard=false", "data=folder",
]  # fmt: skip
IMAGE = ["recipe=mae", "preset=tiny", "modality.size=16", "modality.patch_size=4", *SMALL]
AUDIO = [
    "recipe=audio_mae", "preset=tiny", "modality.mel_bins=16", "modality.frames=16", "modality.patch_size=8",
    "head.window=null", *SMALL,
]  # fmt: skip

Run = Callable[..., tuple[int, str]]


def png(path: Path, height: int = 20, width: int = 20, mode: str = "RGB", seed: int = 0) -> None:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def wav(path: Path, samples: int = 4000, channels: int = 1, subtype: str = "PCM_16", seed: int = 0, rate: int = 16000) -> None:
    import soundfile

    sound = np.random.default_rng(seed).normal(0, 0.1, (samples, channels)).astype(np.float32)
    soundfile.write(str(path), sound, rate, subtype=subtype)


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures, f00.png to f11.png."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(12):
        png(folder / f"f{i:02}.png", seed=i)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips, f00.wav to f11.wav."""
    folder = tmp_path_factory.mktemp("clips")
    for i in range(12):
        wav(folder / f"f{i:02}.wav", seed=i)
    return folder


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps with checkpoints at 2 and 4."""
    out = tmp_path_factory.mktemp("trained") / "run"
    words = [*IMAGE, f"data.path={pictures}", "train.steps=4", "train.checkpoint_every=2", f"out={out}"]
    assert main(["train", *words]) == 0
    return out


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process and in an empty folder -> exit code and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err

    return call


def refused(outcome: tuple[int, str], *parts: object) -> str:
    """Code 2, and one line of error that holds ``parts``; what was said before it, in lines of its own, is progress."""
    code, text = outcome
    lines = text.strip().splitlines()
    assert code == 2 and "Traceback" not in text
    assert sum(line.startswith("maskedmod: error: ") for line in lines) == 1 and lines[-1].startswith("maskedmod: error: ")
    for part in parts:
        assert str(part) in lines[-1], f"{part!r} is not in {lines[-1]!r}"
    return lines[-1]


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def left_out(out: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (out / "bad_samples.jsonl").read_text().splitlines()]
    assert len({line["key"] for line in lines}) == len(lines)
    return {line["key"]: line["reason"] for line in lines}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trian"], ["'trian'", "did you mean train?"]),
        (["train", "recipe=maee"], ["'maee'", "did you mean mae?"]),
        (["train", "recipe=nowhere.yaml"], ["nowhere.yaml does not exist"]),
        (["train", "recipe=mae", "preset=tyny"], ["'tyny'", "did you mean tiny?"]),
        (["train", *IMAGE, "mask=radnom"], ["'radnom'", "did you mean random?"]),
        (["train", *IMAGE, "data=fodler"], ["'fodler'", "did you mean folder?"]),
        (["train", *IMAGE, "trian.steps=3"], ["'trian'", "did you mean train?"]),
        (["train", *IMAGE, "data.path=.", "train.stepz=3"], ["'stepz'", "did you mean steps?"]),
        (["train", *IMAGE, "mask.rato=0.5"], ["'rato'", "did you mean ratio?"]),
        (["train", *IMAGE, "mask.ratio={strat: 0.5, end: 0.7}"], ["'strat'", "did you mean start?"]),
        (["train", *IMAGE, "data.path=.", "stages=[{name: a, trian: {steps: 1}}]"], ["'trian'", "stage 1", "mean train?"]),
        (["train", *IMAGE, "resume=atuo"], ["'atuo'", "did you mean auto?"]),
        (["show", "recipe=mae", "head.dept=2"], ["'dept'", "did you mean depth?"]),
        (["reconstruct", "checkpoint=x", "sampels=2"], ["'sampels'", "did you mean samples?"]),
    ],
)
def test_misspelt(run: Run, words: list[str], parts: list[str]) -> None:
    refused(run(*words), *parts)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([*IMAGE, "train.steps=many"], ["steps", "an integer", "'many'"]),
        ([*AUDIO, "modality.frames=[1]"], ["frames", "an integer", "[1]"]),
        ([*IMAGE, "train=5"], ["train expects", "5"]),
        ([*IMAGE, "mask=5"], ["mask expects", "5"]),
        ([*IMAGE, "train.compile=3"], ["compile", "true or false"]),
        ([*IMAGE, "train.precision=fp16"], ["precision", "bf16"]),
        ([*IMAGE, "seed=99999999999999999999"], ["seed"]),
        ([*IMAGE, "mask.ratio={"], ["mask.ratio", "YAML"]),
        ([*IMAGE, "encoder=null"], ["no encoder block is chosen"]),
    ],
)
def test_wrong_type(run: Run, words: list[str], parts: list[str]) -> None:
    refused(run("train", *words, "data.path=."), *parts)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("modality.patch_size=5", ["16", "5"]),
        ("modality.patch_size=0", ["patch_size"]),
        ("mask.ratio=1.5", ["mask.ratio", "1.5"]),
        ("mask.ratio={start: 0.5, end: 3.0}", ["mask.ratio", "3.0"]),
        ("encoder.width=0", ["encoder=transformer", "width"]),
        ("encoder.heads=5", ["encoder=transformer", "24", "5"]),
        ("encoder.depth=-1", ["encoder=transformer", "depth"]),
        ("head.heads=0", ["head=mae_decoder", "heads"]),
        ("train.batch_size=64", ["11 samples", "64", "train.batch_size"]),
        ("train.accumulate=3", ["train.batch_size 4", "train.accumulate 3"]),
        ("train.steps=0", ["train.steps"]),
        ("train.device=cuda", ["train.device=cuda", "train.device=cpu"]),
        ("train.device=gpu", ["train.device=gpu", "cuda:1"]),
        ("train.device=meta", ["train.device=meta"]),
        ("train.distributed=ddp", ["torchrun"]),
        ("modality.channels=4", ["f0", "3 channels, expected 4"]),
        ("data.val_pattern=zz*", ["val_pattern=zz*"]),
        ("init=nowhere", ["nowhere: no such file"]),
    ],
)
def test_impossible_setting(run: Run, pictures: Path, word: str, parts: list[str]) -> None:
    if word == "train.device=cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so that the setting is right")
    refused(run("train", *IMAGE, f"data.path={pictures}", "out=run", word), *parts)


def test_compile_backend_that_does_not_exist(run: Run, pictures: Path) -> None:
    words = ["train.compile=true", "train.compile_backend=egar"]
    refused(run("train", *IMAGE, f"data.path={pictures}", "out=run", *words), "train.compile_backend=egar")


def test_processes_that_do_not_divide_the_batch(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    refused(run("train", *IMAGE, f"data.path={pictures}"), "out=DIR")
    for name, text in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, text)
    words = ["out=run", "train.distributed=ddp", "train.accumulate=3"]
    refused(run("train", *IMAGE, f"data.path={pictures}", *words), "batch_size 4", "1 processes x train.accumulate 3")


def test_data_folder(run: Run, tmp_path: Path, pictures: Path) -> None:
    refused(run("train", *IMAGE, "data.path=nowhere", "out=run"), "nowhere does not exist")
    (tmp_path / "empty").mkdir()
    refused(run("train", *IMAGE, "data.path=empty", "out=run"), "empty", ".png", "it is empty")
    refused(run("train", *IMAGE, f"data.path={pictures / 'f00.png'}", "out=run"), "f00.png is a file")
    refused(run("train", *AUDIO, f"data.path={pictures}", "out=run"), ".wav", "12 .png")
    refused(run("train", *IMAGE, "out=run"), "path is missing")
    (tmp_path / "rows.parquet").write_text("hello")
    refused(run("train", *IMAGE, "data=parquet", "data.path=rows.parquet", "out=run"), "rows.parquet")


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "truncated png": ("f05.png", halve, "cut off"),
    "empty png": ("f05.png", lambda path: path.write_bytes(b""), "0 bytes"),
    "text called png": ("f05.png", lambda path: path.write_text("hello there"), "not an image"),
    "NaN array": ("g.npy", lambda path: np.save(path, np.full((20, 20, 3), np.nan, np.float32)), "NaN"),
    "one channel too many": ("g.npy", lambda path: np.save(path, np.zeros((20, 20, 4), np.float32)), "4 channels, expected 3"),
    "damaged validation picture": ("f00.png", halve, "cut off"),
    "broken link": ("g.png", lambda path: path.symlink_to("nowhere.png"), "cannot be opened"),
    "empty wav": ("f05.wav", lambda path: path.write_bytes(b""), "0 bytes"),
    "text called wav": ("f05.wav", lambda path: path.write_text("hello there"), "not a sound file"),
    "truncated wav": ("f05.wav", halve, "cut off"),
    "wav without samples": ("f05.wav", lambda path: wav(path, 0), "no sound"),
    "shorter than a frame": ("f05.wav", lambda path: wav(path, 399), "399 samples"),
    "NaN wav": ("f05.wav", lambda path: _nan_wav(path), "NaN"),
}


def _nan_wav(path: Path) -> None:
    import soundfile

    soundfile.write(str(path), np.full(4000, np.nan, np.float32), 16000, subtype="FLOAT")


@pytest.mark.parametrize("kind", BAD)
def test_bad_sample(run: Run, kind: str, pictures: Path, clips: Path, tmp_path: Path) -> None:
    name, damage, reason = BAD[kind]
    base, words = (clips, AUDIO) if name.endswith(".wav") else (pictures, IMAGE)
    data = copied(base, tmp_path / "data")
    damage(data / name)
    words = [*words, f"data.path={data}", "data.val_pattern=f0[01]*", "train.steps=3"]
    refused(run("train", *words, "out=stopped"), name, reason, "train.bad_samples=skip")
    code, said = run("train", *words, "train.bad_samples=skip", "out=skipped")
    assert code == 0
    found = left_out(tmp_path / "skipped")
    assert list(found) == [str(data / name)] and reason in found[str(data / name)]
    assert "1 sample could not be read and left out: skipped/bad_samples.jsonl" in said


@pytest.mark.parametrize("words", [IMAGE, [*IMAGE, "modality.mean=imagenet", "modality.std=imagenet"], AUDIO])
def test_all_samples_bad(run: Run, words: list[str], tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"f{i:02}.{'wav' if words is AUDIO else 'png'}").write_text("hello there")
    for policy in ("raise", "skip"):
        out = [f"out={tmp_path}/../{tmp_path.name}_{policy}", f"train.bad_samples={policy}"]
        refused(run("train", *words, f"data.path={tmp_path}", *out), "f", "not a")


def test_all_validation_samples_bad(run: Run, pictures: Path, tmp_path: Path) -> None:
    data = copied(pictures, tmp_path / "data")
    halve(data / "f00.png")
    words = [f"data.path={data}", "data.val_pattern=f00*", "train.bad_samples=skip", "out=run"]
    refused(run("train", *IMAGE, *words), "no validation sample could be used")


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: png(folder / "g.png", 1, 1),
        lambda folder: png(folder / "g.png", 2, 300),
        lambda folder: png(folder / "g.png", mode="P"),
        lambda folder: png(folder / "g.png", mode="RGBA"),
        lambda folder: png(folder / "g.png", mode="1"),
        lambda folder: png(folder / "g.jpg", mode="CMYK"),
        lambda folder: _deep_png(folder / "g.png"),
        lambda folder: _animation(folder / "g.gif"),
        lambda folder: png(folder / "füße 図 .png"),
    ],
    ids=["1x1", "smaller than a patch", "palette", "alpha", "1 bit", "CMYK", "16 bit", "animation", "name"],
)
def test_odd_picture_is_used(run: Run, pictures: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    data = copied(pictures, tmp_path / "daten ü 図")
    make(data)
    code, said = run("train", *IMAGE, f"data.path={data}", "data.val_pattern=f00*", "train.steps=3", "out=out ü 図")
    assert code == 0 and "12 files to train on" in said


def _deep_png(path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 65535, (1000, 900)).astype(np.uint16)).save(path)


def _animation(path: Path) -> None:
    from PIL import Image

    frames = [Image.fromarray(np.full((20, 20), value, np.uint8)) for value in (0, 9)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def test_orientation_of_the_camera_is_left_as_stored(tmp_path: Path) -> None:
    """As documented, and as torchvision does: EXIF's rotation is not applied."""
    from maskedmod.modalities.image.reading import decode
    from PIL import Image

    png(tmp_path / "a.png", 40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(tmp_path / "a.png").save(tmp_path / "a.jpg", exif=exif)
    assert decode(tmp_path / "a.jpg", 3, True, None).shape == (3, 40, 20)


def test_deep_grey_picture_as_colour(tmp_path: Path) -> None:
    from maskedmod.modalities.image.reading import decode

    _deep_png(tmp_path / "a.png")
    colour, grey = (decode(tmp_path / "a.png", channels, True, None) for channels in (3, 1))
    assert colour.shape == (3, 1000, 900) and torch.equal(colour, grey.expand(3, -1, -1)) and 0.9 < float(grey.max()) <= 1


def test_odd_clips_are_used(run: Run, clips: Path, tmp_path: Path) -> None:
    data = copied(clips, tmp_path / "data")
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        wav(data / f"g_{subtype}.wav", subtype=subtype)
    wav(data / "h_stereo.wav", channels=2)
    wav(data / "h_one_frame.wav", samples=400)
    wav(data / "h_fast.wav", rate=44100, samples=12000)
    wav(data / "h_slow.wav", rate=8000)
    code, said = run("train", *AUDIO, f"data.path={data}", "data.val_pattern=f00*", "train.batch_size=20", "out=run")
    assert code == 0 and "20 files to train on" in said


def test_cut_checkpoint(run: Run, trained: Path, pictures: Path, tmp_path: Path) -> None:
    words = [*IMAGE, f"data.path={pictures}", "train.steps=4", "train.checkpoint_every=2"]
    cut = copied(trained, tmp_path / "cut")
    file = cut / "checkpoints" / "step_00000004" / "model.safetensors"
    halve(file)
    for path in (cut, file.parent, file):
        refused(run("reconstruct", f"checkpoint={path}"), file.relative_to(tmp_path), "damaged")
        refused(run("train", *words, "out=new", f"init={path}"), file.relative_to(tmp_path), "damaged")
    shutil.copy(file, tmp_path / "lone.safetensors")
    refused(run("train", *words, "out=new", "init=lone.safetensors"), "lone.safetensors", "cut off")
    code, said = run("train", *words, f"out={cut}")
    assert code == 0 and "model.safetensors is damaged" in said and "going on from step 2" in said
    whole, again = ([json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (trained, cut))
    assert [line["loss"] for line in whole if "loss" in line] == [line["loss"] for line in again if "loss" in line]
    for path in cut.glob("checkpoints/step_*/model.safetensors"):
        halve(path)
    refused(run("train", *words, f"out={cut}"), "no checkpoint in", "is whole")


def test_damaged_run_files(run: Run, trained: Path, pictures: Path, tmp_path: Path) -> None:
    words = [*IMAGE, f"data.path={pictures}", "train.steps=4", "train.checkpoint_every=2"]
    for name in ("recipe.yaml", "statistics.json"):
        damaged = copied(trained, tmp_path / name.partition(".")[0])
        (damaged / name).write_text("{a: [b")
        refused(run("reconstruct", f"checkpoint={damaged}"), name)
        refused(run("train", *words, f"out={damaged}"), name)
    damaged = copied(trained, tmp_path / "means")
    halve(damaged / "baseline.safetensors")
    shutil.rmtree(damaged / "checkpoints" / "step_00000004")
    refused(run("train", *words, f"out={damaged}"), "baseline.safetensors", "delete it")


def test_load_of_what_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello there")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    for name, reason in (
        ("text.pth", "text, not weights"),
        ("empty.pth", "damaged"),
        ("other.pth", "layout"),
        ("none.pth", "no such"),
    ):
        with pytest.raises(UserError, match=f"{name}.*{reason}"):
            maskedmod.load(tmp_path / name)


def test_out(run: Run, trained: Path, pictures: Path, clips: Path, tmp_path: Path) -> None:
    words = [*IMAGE, f"data.path={pictures}"]
    refused(run("train", *words, f"out={trained}", "train.lr=0.5"), "another recipe", "train.lr was 0.001 and is 0.5", "init=")
    refused(run("train", *AUDIO, f"data.path={clips}", f"out={trained}"), "another recipe")
    same = [*words, "train.steps=4", "train.checkpoint_every=2", f"out={trained}"]
    refused(run("train", *same, "resume=never"), "holds a run already")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    refused(run("train", *words, "out=letters"), "not empty")
    refused(run("train", *words, "out=letters/a.txt"), "is a file")
    refused(run("train", *words, "out=letters/a.txt/run"), "cannot be written")
    refused(run("reconstruct", f"checkpoint={trained}", "output=letters/a.txt/a.png"), "cannot be written")
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user for whom folders can be read-only")
def test_out_in_a_read_only_folder(run: Run, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(run("train", *IMAGE, f"data.path={pictures}", "out=locked/run"), "cannot be written")


def test_a_failed_attempt_leaves_nothing_behind(run: Run, pictures: Path, clips: Path, tmp_path: Path) -> None:
    """The statistics of data that were named by mistake must not be used for the right ones."""
    refused(run("train", *IMAGE, f"data.path={pictures}", "train.batch_size=64", "out=run"), "train.batch_size")
    dark = tmp_path / "dark"
    dark.mkdir()
    for i in range(8):
        np.save(dark / f"{i}.npy", np.full((20, 20, 3), 10 + i, np.uint8))
    assert run("train", *IMAGE, f"data.path={dark}", "out=run")[0] == 0
    assert max(json.loads((tmp_path / "run" / "statistics.json").read_text())["mean"]) < 0.1


def test_input_of_reconstruct(run: Run, trained: Path, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello there")
    refused(run("reconstruct"), "checkpoint=RUN")
    refused(run("reconstruct", "checkpoint=nowhere"), "nowhere: no such file or folder")
    refused(run("reconstruct", f"checkpoint={trained}", "input=nowhere"), "nowhere does not exist")
    refused(run("reconstruct", f"checkpoint={trained}", "input=a.png"), "a.png", "not an image")
    refused(run("reconstruct", f"checkpoint={trained}", f"input={clips}"), ".png")
    refused(run("reconstruct", f"checkpoint={trained}", "samples=0"), "samples")
    refused(run("reconstruct", f"checkpoint={trained}", "mask.ratio=2"), "mask.ratio")


def test_unusual_and_right(run: Run, pictures: Path, tmp_path: Path) -> None:
    """Corners that must work: no ``out``, bf16 on the CPU, compiled, a part of an epoch, one sample, nothing to validate on."""
    words = [*IMAGE, f"data.path={pictures}"]
    assert "run folder runs/mae-tiny\n" in run("train", *words)[1]
    assert "run folder runs/mae-tiny-2\n" in run("train", *words)[1]
    assert "going on from step 2" in run("train", *words, "resume=auto")[1]
    assert run("train", *words, "train.precision=bf16", "out=bf16")[0] == 0
    assert run("train", *words, "train.steps=null", "train.epochs=1.5", "out=epochs")[0] == 0
    assert (tmp_path / "epochs" / "checkpoints" / "step_00000003").is_dir()  # 11 samples, batches of 4: 2 a pass
    one = tmp_path / "one"
    one.mkdir()
    png(one / "a.png")
    code, said = run("train", *IMAGE, f"data.path={one}", "train.batch_size=1", "out=single")
    assert code == 0 and "1 files to train on, 0 to validate" in said and "not validated" in said
    refused(run("train", *IMAGE, f"data.path={one}", "out=single4"), "has 1 samples", "train.batch_size")
    assert run("train", *words, "train.compile=true", "train.compile_backend=eager", "out=compiled")[0] == 0


def test_interrupted_at_a_terminal(pictures: Path, tmp_path: Path) -> None:
    """Ctrl-C while training: a checkpoint, one line that says how to go on, code 130. Needs no home, and writes nothing outside
    ``out``."""
    home = {"HOME": str(tmp_path / "nobody"), "OMP_NUM_THREADS": "1"}
    words = [*IMAGE, f"data.path={pictures}", "train.steps=1000000", "train.log_every=1", f"out={tmp_path / 'out' / 'run'}"]
    (tmp_path / "here").mkdir()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and hands that on
    process = subprocess.Popen(
        [sys.executable, "-m", "maskedmod", "train", *words], cwd=tmp_path / "here", env={**os.environ, **home},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    metrics, end = tmp_path / "out" / "run" / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()  # a run of a million steps must not outlive the test that failed to stop it
    assert process.returncode == 130 and "Traceback" not in said
    last, run = said.strip().splitlines()[-1], tmp_path / "out" / "run"
    assert re.fullmatch(rf"stopped by Ctrl-C at step \d+, checkpoint saved; the same command with out={run} goes on", last), said
    assert len(list((run / "checkpoints").iterdir())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "out"] and not list((tmp_path / "here").iterdir())
