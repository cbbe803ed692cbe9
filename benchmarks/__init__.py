"""Benchmarks: scripts that measure tinynn beside its peers on the machine they are run on."""
