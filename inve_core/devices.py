"""Which device and which backend the fields run on."""

import sys

import torch

from inve_core.errors import DeviceError


def resolve_device(name: str) -> str:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists on this machine.

    Raises:
        DeviceError: the name is none of these, or the GPU that it names is not there.
    """
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return "cpu"
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdigit()) or name.endswith(":"):
        raise DeviceError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}; use one of these.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(number or 0)
    if index >= count:
        found = f"{count} CUDA device{'s' if count != 1 else ''}"
        raise DeviceError(
            f"device {name!r} needs CUDA device {index}, but torch finds {found} here; "
            "use --device cpu, or install a CUDA build of torch and its driver."
        )
    return f"cuda:{index}"


def describe_device(device: str) -> str:
    """The device as a person would name it: `cpu`, or the GPU's model name."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def free_bytes(device: str) -> int:
    """What torch could still take of a GPU's memory, by the driver and by this process's own limit.

    On a CPU, without limit.
    """
    if not device.startswith("cuda"):
        return sys.maxsize
    index = torch.device(device).index
    number = torch.cuda.current_device() if index is None else index
    free, total = torch.cuda.mem_get_info(number)
    reserved, taken = torch.cuda.memory_reserved(number), torch.cuda.memory_allocated(number)
    # Since torch 2.7; before, a process has no way to ask for its own limit.
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)(number)
    return min(free + reserved, int(share * total)) - taken
