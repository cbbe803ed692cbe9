"""Array calls compiled to machine code by LLVM: what stands behind backend="llvm".

From the calls that a step of a network was recorded as, `program` makes one function, or `run` one that makes many
steps; `code` writes it, `engine` has it compiled. Each of the other files says how one kind of call is written.
"""
