"""Networks as ONNX files, which every runtime reads, and ONNX files as networks: `from tinynn import onnx`."""

from tinynn.onnx.exporting import export
from tinynn.onnx.importing import import_
from tinynn.onnx.writing import writer

__all__ = ["export", "import_", "writer"]
