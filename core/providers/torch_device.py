"""Where torch computes: which devices this machine has, what each can do, and how much memory is free on it."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InvalidSetting
from core.i18n import Phrase
from core.settings import Settings

if TYPE_CHECKING:
    import torch

_BFLOAT16_CAPABILITY = (8, 0)  # of a CUDA card: Ampere and newer compute in bfloat16


@dataclass(frozen=True, slots=True)
class Device:
    """``name`` as torch spells it (``cuda:0``, ``mps``, ``cpu``); ``platform`` tells ROCm from CUDA, which share it."""

    name: str
    platform: str
    label: str

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    def __str__(self) -> str:
        return self.name


def devices() -> list[Device]:
    """What torch can compute on here, the best first."""
    import torch

    found = []
    if torch.cuda.is_available():
        platform = "rocm" if torch.version.hip else "cuda"
        found = [Device(f"cuda:{i}", platform, torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "mps", "Apple GPU"))
    return [*found, Device("cpu", "cpu", "CPU")]


def choose(settings: Settings) -> Device:
    """The device the settings name; without a name the one with most free memory among the best.

    Raises:
        InvalidSetting: (reason ``no_device``) this machine, or this build of torch, does not have it.
    """
    wanted, here = settings.values["local.device"].lower(), devices()
    if not wanted:
        return max((d for d in here if d.kind == here[0].kind), key=lambda d: free_bytes(d) or 0)
    same = [d for d in here if wanted in (d.name, d.kind, d.platform)]
    if not same:
        allowed = ", ".join(d.name for d in here)
        raise InvalidSetting(reason="no_device", name="local.device", value=wanted, allowed=allowed, build=_build())
    return max(same, key=lambda d: free_bytes(d) or 0)


def choose_dtype(device: Device, settings: Settings) -> torch.dtype:
    """The number format to compute in. Without a wish: bfloat16 where the device has it, else float16 on graphics
    cards and float32 on a CPU, which computes half precision many times slower unless it has AMX.

    Raises:
        InvalidSetting: the device cannot compute in the format asked for.
    """
    import torch

    able = _dtypes(device)
    wanted = settings.values["local.dtype"]
    if not wanted:
        found: torch.dtype = getattr(torch, able[0])
        return found
    if wanted not in able:
        where = settings.sources.get("local.dtype", "local.dtype")
        allowed = Phrase("allowed.one_of", choices=", ".join(able))
        raise InvalidSetting(reason="not_on_device", name="local.dtype", value=wanted, allowed=allowed, where=where, device=device.name)  # fmt: skip
    chosen: torch.dtype = getattr(torch, wanted)
    return chosen


def _dtypes(device: Device) -> tuple[str, ...]:
    """The formats a device computes in, the one to take first."""
    import torch

    if device.kind == "cuda":
        modern = device.platform == "rocm" or torch.cuda.get_device_capability(device.name) >= _BFLOAT16_CAPABILITY
        return ("bfloat16", "float16", "float32") if modern else ("float16", "float32")
    if device.kind == "mps":
        return ("float16", "bfloat16", "float32")
    return ("bfloat16", "float32") if torch.cpu._is_amx_tile_supported() else ("float32", "bfloat16")


def free_bytes(device: Device) -> int | None:
    """Memory a new model may take on ``device``; ``None`` where the system does not say."""
    import torch

    if device.kind == "cuda":
        return int(torch.cuda.mem_get_info(device.name)[0])
    if device.kind == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def trim(device: Device | torch.device) -> None:
    """Give memory nobody uses any more back to the device and the system."""
    import torch

    gc.collect()
    kind = str(device).partition(":")[0]
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()
    else:
        _trim_heap()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that an allocator had nothing left: on a CPU torch raises a plain ``RuntimeError``."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in said or "out of memory" in said.lower())


def _trim_heap() -> None:
    """glibc keeps freed blocks of a few megabytes; elsewhere there is nothing to do."""
    import ctypes

    if sys.platform == "linux":
        release: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if release is not None:
            release(0)


def _build() -> str:
    import torch

    return f"torch {torch.__version__}"
