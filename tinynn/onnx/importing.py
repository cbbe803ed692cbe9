from typing import Any

__all__ = ["import_"]


def import_(path: Any) -> Any: ...
