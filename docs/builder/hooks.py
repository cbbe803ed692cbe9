"""What MkDocs calls while it builds the site; `hooks` in mkdocs.yml names this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.builder.formulas import characters, math_font, with_mathml
from docs.builder.offline import fetched_by_site
from docs.builder.pages import generated, nav_of, notebooks, pictures
from docs.builder.sources import ROOT, expand

__all__ = ["on_config", "on_files", "on_page_content", "on_page_markdown", "on_post_build"]


def on_config(config: Any) -> None:
    """Fills the parts of the navigation that name a folder of generated pages."""
    config.nav = filled(config.nav)


def filled(nav: Any) -> Any:
    """The navigation with the pages of a folder in the place of its name, and without what is empty then."""
    if isinstance(nav, dict):
        return {title: item for title, item in zip(nav, map(filled, nav.values()), strict=True) if item}
    if not isinstance(nav, list):
        return nav
    items = [nav_of(item) if isinstance(item, str) and item.endswith("/") else [filled(item)] for item in nav]
    return [item for several in items for item in several if item]


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages and pictures that do not lie under docs/."""
    for page, content in (generated() | notebooks()).items():
        files.append(File.generated(config, page, content=content))
    for picture in pictures():
        uri = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, uri, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Includes code and sections of the README."""
    try:
        return expand(markdown, page.file.src_uri)
    except ValueError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error


def on_page_content(html: str, page: Any, **kwargs: Any) -> str:
    """Turns formulas into MathML."""
    try:
        return with_mathml(html)
    except ValueError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error


def on_post_build(config: Any) -> None:
    """Adds the font for formulas, and refuses a site that would fetch something from elsewhere."""
    site = Path(config.site_dir)
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    math_font(characters(pages), site / "assets" / "math.woff2")
    if found := fetched_by_site(site):
        raise PluginError("the site would load from elsewhere: " + "; ".join(found))
