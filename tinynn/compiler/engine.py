"""Machine code for this processor, from the text of LLVM's intermediate representation."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from typing import Any

from tinynn.errors import MissingExtraError

__all__ = ["Processor", "call_of", "lanes_of", "processor"]

LOCK = threading.Lock()
FOUND: list[Processor] = []
OLDEST = 17  # of LLVM: before it pointers had types


class Processor:
    """LLVM's view of the processor: `vector`, the bytes of its widest vectors; `registers`, how many it has of them.

    Errors: MissingExtraError without the package llvmlite.
    """

    def __init__(self) -> None:
        try:
            import llvmlite.binding as llvm
        except ImportError:
            raise MissingExtraError("llvmlite", extra="llvm", purpose='backend="llvm"') from None
        if llvm.llvm_version_info[0] < OLDEST:
            raise MissingExtraError("llvmlite >= 0.45", extra="llvm", purpose='backend="llvm"')
        self.llvm: Any = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        wide = features.get("avx512f") and features.get("avx512dq") and features.get("avx512vl")
        self.vector = 64 if wide else 32 if features.get("avx2") else 16
        self.registers = 32 if wide or "neon" in features else 16
        self.features = features.flatten()
        self.loaded: dict[str, int] = {}
        self.engines: list[Any] = []  # they own the machine code

    def address(self, text: str) -> int:
        """Where the machine code of the function `run` begins; made once for each text."""
        with LOCK:
            found = self.loaded.get(text)
            if found is None:
                found = self.loaded[text] = self.compile(text)
        return found

    def compile(self, text: str) -> int:
        llvm = self.llvm
        module = llvm.parse_assembly(text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=self.features, opt=3, jit=True
        )  # one for each engine, which takes it as its own
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        # The loops are written in vectors already.
        options.loop_vectorization = options.slp_vectorization = False
        llvm.create_pass_builder(machine, options).getModulePassManager().run(
            module, llvm.create_pass_builder(machine, options)
        )
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        self.engines.append(engine)
        return engine.get_function_address("run")


def processor() -> Processor:
    """This machine's: one, whichever threads ask for it first, since it owns the machine code of all of them."""
    if not FOUND:
        with LOCK:
            if not FOUND:
                FOUND.append(Processor())
    return FOUND[0]


def lanes_of(itemsize: int, size: int) -> int:
    """How many elements of so many bytes go into a vector; no more than are wanted for `size` of them."""
    lanes = processor().vector // itemsize
    while lanes > 1 and lanes // 2 >= size:
        lanes //= 2
    return lanes


def call_of(code: Any) -> Callable[..., Any]:
    """The function that was written, to be called with its arguments but the table; it holds on to the arrays."""
    arguments = [ctypes.c_int64 if each.startswith("i64") else ctypes.c_void_p for each in code.arguments]
    table = (ctypes.c_void_p * max(1, len(code.addresses)))(*code.addresses)
    function = ctypes.CFUNCTYPE(None, *arguments)(processor().address(code.text()))
    call: Any = functools.partial(function, ctypes.addressof(table))
    call.machine_code = table, tuple(code.kept)
    return call
