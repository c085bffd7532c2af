"""Time and peak memory of loading a ViT-MAE of the size of ViT-L, ours beside transformers: python tests/bench/load_memory.py

Random weights of ``ViTMAEForPreTraining`` (1.3 GB) as transformers saves them, and the same as a PyTorch file. Each way of
loading runs in a process of its own, in turns, after the file was read once, and ends with the sum of every parameter: what only
maps the file would else leave the reading for later. Seconds of the CPU are those of the process, to compare on a machine that is
busy with others. Memory is the highest resident size above that of the process with its
imports: allocations and mapped pages both count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from maskedmod.support.compat import repair_torchaudio, repair_torchvision

REPEATS = 3


def repaired() -> None:
    """What transformers imports must be importable beside a CPU build of torch."""
    repair_torchvision()
    repair_torchaudio()


def make(folder: Path) -> int:
    """Write the folder -> bytes of the weights."""
    import torch

    repaired()
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    size = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    model = ViTMAEForPreTraining(ViTMAEConfig(**size))
    model.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "weights.pth")
    return (folder / "model.safetensors").stat().st_size


def peak() -> int:
    """Highest resident size since the last reset, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def once(way: str, folder: Path) -> dict[str, float]:
    """Load in this process."""
    import torch

    torch.set_num_threads(1)
    if way == "transformers":
        repaired()
        from transformers import ViTMAEForPreTraining

        load: Callable[[], torch.nn.Module] = lambda: ViTMAEForPreTraining.from_pretrained(folder)  # noqa: E731
    else:
        import maskedmod
        from maskedmod.zoo.load import load as ours

        maskedmod.create("mae", preset="demo")  # imports what a model needs
        load = lambda: ours(folder if way == "safetensors" else folder / "weights.pth").model  # noqa: E731
    Path("/proc/self/clear_refs").write_text("5")  # peak := now
    before, start, used = peak(), time.perf_counter(), time.process_time()
    model = load()
    opened, worked = time.perf_counter() - start, time.process_time() - used
    total = sum(float(parameter.detach().sum()) for parameter in model.parameters())
    seconds, most = time.perf_counter() - start, peak() - before
    return {"opened": opened, "worked": worked, "seconds": seconds, "bytes": most, "sum": total}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make(folder)
        print(f"weights: {size / 1e9:.2f} GB")
        ways = ("safetensors", "pth", "transformers")
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(REPEATS):
            for way in ways:
                out = subprocess.run([sys.executable, __file__, way, name], capture_output=True, text=True, check=True).stdout
                found[way].append(json.loads(out.splitlines()[-1]))
        for way, runs in found.items():
            opened, worked, seconds, most = (median(run[key] for run in runs) for key in ("opened", "worked", "seconds", "bytes"))
            times = f"loaded {opened:5.2f} s ({worked:4.2f} s of the CPU), read {seconds:5.2f} s"
            print(f"{way:<14} {times}, peak {most / 1e9:4.2f} GB = {most / size:.2f} of the file")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(once(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
