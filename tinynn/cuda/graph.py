"""A step as a CUDA graph: the kernels that it launched, launched again together; and several steps as one."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["CudaGraph"]


class CudaGraph:
    """`launch(count)` makes the step again, so many times: the same kernels on the same addresses.

    To record it the step is called twice: once so that its kernels are compiled and its memory is there, once for the
    record, in which nothing is computed. `between` is called in the middle, to put back what the first call changed.
    With `several` it is called as many times more, for a graph of that many steps: from one graph to the next a device
    rests for 5 us, from one kernel to the next for a quarter of one (H200).

    A graph knows addresses, not arrays. So the step runs in a thread of its own, in which every layer makes its arrays
    anew, and what is allocated there comes from a pool that nobody else uses and that lives as long as the graph does.
    Arrays from elsewhere that the step reads or writes are the caller's to keep.

    Errors: whatever the step raises; what the device says of a call that cannot be recorded.
    """

    def __init__(self, xp: Any, step: Callable[[], Any], between: Callable[[], Any], several: int = 1) -> None:
        self.xp, self.several = xp, several
        self.pool = xp.cuda.MemoryPool()
        self.stream = xp.cuda.Stream(non_blocking=True)
        xp.cuda.get_current_stream().synchronize()  # the other stream does not wait for what was asked of this one
        device, failed = xp.cuda.Device(), []
        self._one: Any = None
        self._several: Any = None

        def work() -> None:
            try:
                with device, self.stream, xp.cuda.using_allocator(self.pool.malloc):
                    step()
                    between()
                    self.stream.synchronize()
                    self._one = self._record(step, 1)
                    self._several = self._record(step, several) if several > 1 else self._one
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="tinynn capture")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def _record(self, step: Callable[[], Any], count: int) -> Any:
        self.stream.begin_capture()
        try:
            for _ in range(count):
                step()
        except BaseException:
            with contextlib.suppress(Exception):  # it says only that the capture is no longer valid
                self.stream.end_capture()
            raise
        return self.stream.end_capture()

    def launch(self, count: int = 1) -> None:
        """The step, on the current stream; returns before it is done."""
        for _ in range(count // self.several):
            self._several.launch()
        for _ in range(count % self.several):
            self._one.launch()
