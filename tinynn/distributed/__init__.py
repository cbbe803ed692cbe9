"""Data-parallel training: the processes that mpiexec started share the batches of one run.

On the command line, and in train.py:

    mpiexec -n 4 python -m mpi4py train.py

    from tinynn import distributed, fit

    ranks = distributed.Ranks()
    history = fit(net, SGD(0.1), (x, t), epochs=10, batch_size=256, comm=ranks)
    if ranks.first:
        net.save("net.npz")
"""

from tinynn.distributed.gpus import use_gpu
from tinynn.distributed.ranks import Ranks

__all__ = ["Ranks", "use_gpu"]
