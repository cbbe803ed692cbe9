"""Streams, pools and graphs of a device that is not there: what a capture asks of `cupy.cuda`."""

from __future__ import annotations

from typing import Any

from tinynn.testing.device_array import QUEUE
from tinynn.testing.device_queue import Memory, Record

__all__ = ["FakeCuda"]


class FakePool:
    """Memory that is not given back before the pool is gone."""

    def __init__(self) -> None:
        self.blocks: list[Memory] = []

    def malloc(self, size: int) -> None:
        """Names the pool; the memory is NumPy's."""


class FakeAllocator:
    """Within it memory comes from the pool that the function belongs to."""

    def __init__(self, malloc: Any) -> None:
        self.pool: FakePool = malloc.__self__

    def __enter__(self) -> None:
        self.before, QUEUE.pool = QUEUE.pool, self.pool.blocks

    def __exit__(self, *error: object) -> None:
        QUEUE.pool = self.before


class FakeDevicePlace:
    """The current device, as something to be within."""

    id = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class FakeStream(FakeDevicePlace):
    """All streams are one: a call is done when it is made."""

    def __init__(self, non_blocking: bool = False) -> None:
        pass

    def synchronize(self) -> None:
        """Waits, which a step that is captured cannot."""
        QUEUE.refuse_capture("a wait for the device", "no wait")

    def begin_capture(self) -> None:
        """From here on calls are kept, not made."""
        QUEUE.recorded = Record()

    def end_capture(self) -> FakeGraph:
        """The calls since."""
        record, QUEUE.recorded = QUEUE.recorded, None
        assert record is not None
        return FakeGraph(record)


class FakeGraph:
    """A captured step."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def launch(self, stream: Any = None) -> None:
        """The step again."""
        QUEUE.launches += 1
        self.record.replay()


class FakeCuda:
    """The module `cupy.cuda`."""

    Device = FakeDevicePlace
    MemoryPool = FakePool
    Stream = FakeStream
    get_current_stream = FakeStream
    using_allocator = FakeAllocator
