"""Recording work on a GPU, to be launched again at once."""

import contextlib
import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def aside(work: Callable[[], Tensor], stream: torch.cuda.Stream) -> Tensor:
    """Do work on a stream, after what the current one has been given, and have that one wait for it."""
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = work()
    torch.cuda.current_stream().wait_stream(stream)
    return result


def capture(
    work: Callable[[], Tensor], stream: torch.cuda.Stream, generators: Sequence[torch.Generator] = ()
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Record `work` without running it.

    `torch.cuda.graph` does the same after a garbage collection and with the allocator's cache given back,
    which takes longer than a hundred steps of training.

    Args:
        work: has run before on this stream, so that kernels are compiled and libraries have their handles and
            memory: tiny-cuda-nn keeps some for each stream.
        stream: on which it is recorded; not the default one.
        generators: that the work draws random numbers from.

    Returns:
        The graph, and what `work` returned: its replays write there.

    Raises:
        RuntimeError: the work cannot be recorded, e.g. because it waits for the device.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        # Relaxed: kernels' own libraries may allocate while they are recorded.
        graph.capture_begin(capture_error_mode="relaxed")
        # A collection might let go of another graph meanwhile, which a recording does not survive.
        collects = gc.isenabled()
        gc.disable()
        try:
            result = work()
        except BaseException:
            # Ends the recording, which has failed, too; what failed first says more than that.
            with contextlib.suppress(RuntimeError):
                graph.capture_end()
            raise
        finally:
            if collects:
                gc.enable()
        graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)
    return graph, result
