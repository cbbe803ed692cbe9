"""A page that reads handwriting: served on this machine, `serve`, or as one file without a server, `export_html`."""

from __future__ import annotations

from tinynn.app.page.export import export_html
from tinynn.app.page.serving import serve

__all__ = ["export_html", "serve"]
