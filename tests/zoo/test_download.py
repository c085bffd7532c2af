"""Names to files: against a server on the loopback, with everything that goes wrong on the way."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import maskedmod
from maskedmod.cli import main
from maskedmod.errors import UserError
from maskedmod.zoo import checkpoints
from maskedmod.zoo.checkpoints import Checkpoint
from maskedmod.zoo.fetch import cache, https, names
from maskedmod.zoo.layouts.known import LAYOUTS
from tests.zoo.server import COMMIT, Site, serving
from tests.zoo.test_load import SETTINGS, fair_whole

NAME = "a_mae"


@pytest.fixture
def weights() -> bytes:
    return save(fair_whole())


@pytest.fixture
def site(weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with one model on the hub and one plain file, caches of its own, and a catalogue that knows the file."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    files = {
        "model.safetensors": weights,
        "config.json": b'{"a": 1}',
        "README.md": b"text",
        "pytorch_model.bin": b"the same, old",
    }
    with serving(Site(files={"/w/a.safetensors": weights}, models={"org/mae": files})) as found:
        monkeypatch.setenv("MASKEDMOD_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(https, "PAUSE", 0.01)
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # only whole pieces are kept
        monkeypatch.setattr(_http, "_DEFAULT_RETRY_ON_STATUS_CODES", ())  # its own pauses are long
        known(monkeypatch, url=f"{found.url}/w/a.safetensors")
        yield found


def known(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """The catalogue knows one file."""
    entry = Checkpoint(NAME, "mae", "all", "MIT", **{"files": ("a.safetensors",), **facts})  # type: ignore[arg-type]
    for module in ("maskedmod.zoo.fetch.names", "maskedmod.zoo.load"):
        monkeypatch.setattr(import_module(module), "entries", lambda: {NAME: entry})


def refused(name: str, *words: str) -> None:
    said: list[str] = []
    with pytest.raises(UserError) as caught:
        names.located(name, said.append)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    for word in words:
        assert word in message, message


def quiet(line: str) -> None:
    """Nobody listens."""


def left(folder: Path) -> list[str]:
    """Names of the files in a folder but locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


def test_a_file_is_fetched_once_and_pinned(site: Site, weights: bytes, tmp_path: Path) -> None:
    path = names.located(NAME, quiet)
    assert path == tmp_path / "cache" / "checkpoints" / NAME / "a.safetensors" and path.read_bytes() == weights
    assert left(path.parent) == ["a.safetensors"]
    assert cache.pins() == {NAME: {"a.safetensors": hashlib.sha256(weights).hexdigest()}}
    before = len(site.asked)
    assert names.located(NAME, quiet) == path and len(site.asked) == before
    assert maskedmod.load(NAME, settings=SETTINGS).layout == "fair_mae"


def test_settings_of_the_catalogue_hold_unless_given(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, url=f"{site.url}/w/a.safetensors", settings={**SETTINGS, "norm_pix_loss": False})
    assert maskedmod.load(NAME).tree["target"] == {"raw": {"norm": "none"}}
    assert maskedmod.load(NAME, settings={"norm_pix_loss": True}).tree["target"] == {"raw": {"norm": "patch"}}


def test_a_connection_that_drops_is_gone_on_from(site: Site, weights: bytes) -> None:
    site.drops = [0.4, 0.7]
    said: list[str] = []
    path = names.located(NAME, said.append)
    assert path.read_bytes() == weights
    start, middle = int(len(weights) * 0.4), int(len(weights) * 0.7)
    assert site.gets("a.safetensors") == ["", f"bytes={start}-", f"bytes={middle}-"]
    assert len(said) == 2 and "trying again" in said[0]


def test_a_part_of_another_process_is_gone_on_from(site: Site, weights: bytes) -> None:
    """As after a crash; and thrown away when the server's file has become another one."""
    site.drops, half = [0.4] + [0.4] * 9, len(weights)
    refused(NAME, "5 attempts", "put it into")
    folder = cache.place(NAME)
    assert left(folder) == [".a.safetensors.part", ".a.safetensors.part.json"]
    site.drops, site.asked = [], []
    assert names.located(NAME, quiet).read_bytes() == weights
    assert site.gets("a.safetensors") == [f"bytes={int(half * 0.4)}-"]
    (folder / "a.safetensors").unlink()
    (cache.home() / "pins.json").unlink()
    site.drops = [0.4] * 9
    refused(NAME, "5 attempts")
    site.drops, site.files["/w/a.safetensors"] = [], weights[::-1]
    assert names.located(NAME, quiet).read_bytes() == weights[::-1]


def test_a_wrong_hash_leaves_nothing(site: Site, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, url=f"{site.url}/w/a.safetensors", sha256={"a.safetensors": "0" * 64})
    refused(NAME, "a.safetensors has SHA-256", "published is 000")
    assert left(cache.home()) == []
    known(monkeypatch, url=f"{site.url}/w/a.safetensors")
    names.located(NAME, quiet).unlink()
    site.files["/w/a.safetensors"] = weights[:-1] + b"x"
    refused(NAME, "the first download had", "pins.json")
    assert left(cache.place(NAME)) == []


def test_answers_of_the_server(site: Site, weights: bytes) -> None:
    del site.files["/w/a.safetensors"]
    refused(NAME, "404", "put it into")
    assert len(site.asked) == 1
    site.files["/w/a.safetensors"], site.errors = weights, [503, 500, 429]
    assert names.located(NAME, quiet).read_bytes() == weights
    names.located(NAME, quiet).unlink()
    site.errors, site.asked = [503] * 9, []
    refused(NAME, "503", "5 attempts")
    assert len(site.asked) == 5 and left(cache.place(NAME)) == []


def test_two_at_once_fetch_once(site: Site, weights: bytes) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(names.located(NAME, quiet))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1 and paths[0].read_bytes() == weights and len(site.gets("a.safetensors")) == 1


def test_two_processes_at_once_fetch_once(site: Site, weights: bytes, tmp_path: Path) -> None:
    site.files["/w/a.safetensors"] = weights * 500  # long enough for both to meet
    target = tmp_path / "out" / "a.safetensors"
    script = (
        "import sys; from pathlib import Path; from maskedmod.zoo.fetch import https\n"
        "https.fetch(sys.argv[1], Path(sys.argv[2]), lambda path: None, print)"
    )
    command = [sys.executable, "-c", script, f"{site.url}/w/a.safetensors", str(target)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert target.read_bytes() == weights * 500 and len(site.gets("a.safetensors")) == 1 and left(target.parent) == [target.name]


def test_a_full_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known before: refused at once. Not known: a limit on the size of files, which fails in writing as a full disk does."""
    with monkeypatch.context() as patch:
        patch.setattr(https.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10_000})())
        refused(NAME, "disk is full")
    assert left(cache.home()) == []
    script = (
        "import resource, signal, sys; from pathlib import Path; from maskedmod.zoo.fetch import https\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "https.fetch(sys.argv[1], Path(sys.argv[2]), lambda path: None, print)"
    )
    target = tmp_path / "out" / "a.safetensors"
    command = [sys.executable, "-c", script, f"{site.url}/w/a.safetensors", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "the disk is full" in done.stderr.splitlines()[-1] and left(target.parent) == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own; skips where mounting is not permitted."""
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def on(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both caches lie on this disk."""
    from huggingface_hub import constants

    monkeypatch.setenv("MASKEDMOD_CACHE", str(disk))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk / "hub"))


def test_a_full_small_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        on(disk, monkeypatch)
        monkeypatch.setattr(https.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**12})())
        refused(NAME, "the disk is full")
        assert left(disk) == []
        refused("org/mae", "the disk is full")
        assert not list((disk / "hub").rglob("model.safetensors"))


def test_a_read_only_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has is served without asking the network; anything else cannot be fetched."""
    with small_disk(tmp_path / "disk", "4m") as disk:
        on(disk, monkeypatch)
        had = [names.located(name, quiet) for name in (NAME, "org/mae")]
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        site.asked.clear()
        assert [names.located(name, quiet) for name in (NAME, "org/mae")] == had and not site.asked
        site.models["org/other"] = site.models["org/mae"]
        refused("org/other", "cannot be written", "HF_HUB_CACHE")
        known(monkeypatch, url=f"{site.url}/w/a.safetensors", files=("b.safetensors",))
        refused(NAME, "cannot be written", "MASKEDMOD_CACHE")


def test_a_cache_that_cannot_be_written(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MASKEDMOD_CACHE", str(tmp_path / "file"))
    refused(NAME, str(tmp_path / "file"), "cannot be written", "MASKEDMOD_CACHE names another folder")


def test_offline(site: Site, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(NAME, "HF_HUB_OFFLINE", f"{site.url}/w/a.safetensors", str(cache.place(NAME)))
    refused("org/mae", "HF_HUB_OFFLINE", "model.safetensors", str(cache.place("org/mae")))
    assert not site.asked
    for name in (NAME, "org/other"):  # put there by hand
        cache.place(name).mkdir(parents=True)
    (cache.place(NAME) / "a.safetensors").write_bytes(weights)
    (cache.place("org/other") / "model.safetensors").write_bytes(weights)
    assert names.located(NAME, quiet).read_bytes() == weights
    assert names.located("org/other", quiet) == cache.place("org/other")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = names.located("org/mae", quiet)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    site.asked.clear()
    assert names.located("org/mae", quiet) == folder and not site.asked


def test_no_server_at_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(https, "ATTEMPTS", 2)
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    known(monkeypatch, url=f"{nowhere}/a.safetensors")
    refused(NAME, "refused", "put it into")
    refused("org/mae", "model.safetensors", "put it into")


def test_what_other_programs_put_into_the_hubs_cache(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked after first, as small files may be missing; used when there is no answer."""
    from huggingface_hub import hf_hub_download

    folder = Path(hf_hub_download("org/mae", "model.safetensors")).parent
    monkeypatch.setattr(https, "ATTEMPTS", 2)
    said: list[str] = []
    site.errors = [503] * 20
    assert names.located("org/mae", said.append) == folder and "what is in the cache is used" in said[-1]
    assert left(folder) == ["model.safetensors"] and not cache.pins()
    site.errors = []
    assert names.located("org/mae", quiet) == folder and left(folder) == ["config.json", "model.safetensors"]


def test_a_model_of_the_hub(site: Site, weights: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """The small files come with it, the same weights in another format do not; then nothing is asked again."""
    assert main(["pull", "org/mae"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert left(folder) == ["config.json", "model.safetensors"] and folder.name == COMMIT
    pins = cache.pins()["org/mae"]
    assert pins["commit"] == COMMIT and pins["model.safetensors"] == hashlib.sha256(weights).hexdigest()
    site.asked.clear()
    assert names.located("org/mae", quiet) == folder and not site.asked
    assert maskedmod.load("org/mae", settings=SETTINGS).layout == "fair_mae"


def test_shards_of_the_hub(site: Site, weights: bytes) -> None:
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    site.models["org/big"] = {"model.safetensors.index.json": index, "model-1.safetensors": weights, "model-2.safetensors": b"2"}
    folder = names.located("org/big", quiet)
    assert left(folder) == ["model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"]
    site.asked.clear()
    assert names.located("org/big", quiet) == folder and not site.asked
    (folder / "model-2.safetensors").unlink()
    names.located("org/big", quiet)
    assert (folder / "model-2.safetensors").read_bytes() == b"2"


def test_faults_of_the_hub(site: Site, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("org/none", "no such model", "HF_TOKEN")
    site.models["org/empty"] = {"README.md": b""}
    refused("org/empty", "none of model.safetensors")
    site.errors = [503, 502]
    site.drops = [0.4]
    assert (names.located("org/mae", quiet) / "model.safetensors").read_bytes() == weights
    assert f"bytes={int(len(weights) * 0.4) // 10_000 * 10_000}-" in site.gets("model.safetensors")
    site.models["org/wrong"] = {"model.safetensors": weights}
    site.linked[f"/org/wrong/resolve/{COMMIT}/model.safetensors"] = "0" * 64
    refused("org/wrong", "model.safetensors has SHA-256", "the server says 000")
    assert "org/wrong" not in cache.pins()


def test_two_commands_at_once(site: Site, weights: bytes, tmp_path: Path) -> None:
    """The hub's own lock: one of them fetches, both print the folder."""
    site.models["org/mae"]["model.safetensors"] = weights * 100
    environment = {**os.environ, "HF_ENDPOINT": site.url, "HF_HUB_CACHE": str(tmp_path / "other"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "maskedmod", "pull", "org/mae"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0] and said[0] == said[1]
    assert (Path(said[0]) / "model.safetensors").read_bytes() == weights * 100
    assert len(site.gets("model.safetensors")) == 1


def test_a_token_is_sent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    names.located("org/mae", quiet)
    assert "Bearer hf_secret" in site.tokens


def test_names_and_paths(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for given, yes in (
        ("org/mae", True),
        ("org/mae@main", True),
        (NAME, True),
        ("runs/a", False),
        ("a/b.pth", False),
        ("x", False),
    ):
        assert names.is_name(given) is yes, given
    refused(f"{NAME}@main", "has no revisions")
    known(monkeypatch, page="https://example.org/page")
    refused(NAME, "https://example.org/page", str(cache.place(NAME) / "a.safetensors"))
    with pytest.raises(UserError, match="did you mean facebook/vit-mae-base"):
        maskedmod.load("vit-mae-base")
    assert main(["pull", "nothing"]) == 2 and main(["pull"]) == 2


def test_the_catalogue_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    layouts = {layout.NAME: layout for layout in LAYOUTS}
    found = checkpoints.entries()
    for entry in found.values():
        assert not entry.layout or entry.layout in layouts, entry.name
        assert bool(entry.hub) + bool(entry.url) + bool(entry.page) == 1, entry.name
        assert entry.holds and entry.licence and entry.place.startswith("https://"), entry.name
        assert entry.files or entry.hub, entry.name
        if entry.layout:
            assert entry.settings.keys() <= layouts[entry.layout].SETTINGS.keys(), entry.name
        assert all(len(value) == 64 for value in entry.sha256.values())
    assert main(["ls", "checkpoints"]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line for line in lines[1:] if not line.startswith("   ")]  # what they hold stands below, further in
    assert sorted(line[2:] for line in named) == sorted(found)
    assert {line[2:] for line in named if line.startswith("* ")} == {name for name, entry in found.items() if entry.layout}


def test_the_list_is_read_without_torch() -> None:
    code = "import sys; from maskedmod.cli import main; main(['ls', 'checkpoints']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_loading_needs_no_second_copy(site: Site) -> None:
    """Tensors are views of the mapped file."""
    from maskedmod.zoo.files.source import read

    source = read(names.located(NAME, quiet))
    assert source.files and len({x.untyped_storage().data_ptr() for x in source.weights.values()}) == 1
    assert torch.equal(source.weights["norm.bias"], source.weights["norm.bias"])
