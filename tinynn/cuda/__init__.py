"""What runs on a CUDA device: kernels, matrix products, graphs of them; what stands behind backend="cupy"."""
