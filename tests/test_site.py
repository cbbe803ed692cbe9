"""The site: it builds without a warning, needs no network to be read, and shows the code and names that there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import tinynn
import tinynn.sklearn as sklearn
import tinynn.torch as torch
from docs.builder.docstrings import markdown
from docs.builder.formulas import mathml, with_mathml
from docs.builder.offline import fetched, fetched_by_site
from docs.builder.pages import generated, nav_of, public
from docs.builder.sources import code_of, expand, extras, relinked
from docs.screenshots import chromium
from tinynn import ConfigurationError, datasets, onnx, pictures, testing

ROOT = Path(__file__).parents[1]
PATIENCE = 300_000  # milliseconds: a browser on a busy machine is slow, which decides nothing


def test_the_site(tmp_path: Path) -> None:
    """One test, since it takes seconds to build, and tests may be spread over several processes."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*.html")
        if path.name != "404.html"  # its links begin at the root of a server
    }
    check_that_it_needs_no_network(tmp_path)
    check_that_every_loaded_file_is_there(tmp_path, pages)
    check_formulas_and_code(pages["formulas/affine.html"])
    check_notebooks(tmp_path, pages["notebooks/own_layer.html"])
    check_that_every_public_name_has_an_entry(pages)
    assert [page for page in pages if f'href="{page}"' not in pages["index.html"] and page != "index.html"] == []
    check_the_search(tmp_path)


def check_that_it_needs_no_network(site: Path) -> None:
    assert fetched_by_site(site) == []
    assert (site / "assets" / "math.woff2").stat().st_size > 10_000
    assert len(json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]) > 200


def check_that_every_loaded_file_is_there(site: Path, pages: dict[str, str]) -> None:
    loaded = re.compile(r'<(?:link rel="(?:stylesheet|icon)" href|script src|img [^>]*src)="?([^"\s>]+)')
    found = [(page, name.partition("?")[0]) for page, text in pages.items() for name in loaded.findall(text)]
    assert len(found) > 100
    assert [(page, name) for page, name in found if not (site / page).parent.joinpath(name).exists()] == []


def check_formulas_and_code(page: str) -> None:
    assert page.count("<math ") > 20
    assert "arithmatex" not in page and "$" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "self.ops.matmul(rows.T, dy, out=self.dW)" in re.sub(r"<[^>]*>", "", page)


def check_notebooks(site: Path, page: str) -> None:
    text = re.sub(r"<[^>]*>", "", page)
    assert "class Swish(Layer):" in text and "fix:      compare backward" in text and "accuracy 99%" in text
    assert page.count("<math ") > 4 and 'src="own_layer_files/own_layer_' in page
    assert 'href="own_layer.ipynb" download' in page and (site / "notebooks" / "own_layer.ipynb").exists()
    assert 'href="own_layer.html"' in (site / "notebooks" / "index.html").read_text(encoding="utf-8")


def check_that_every_public_name_has_an_entry(pages: dict[str, str]) -> None:
    text = "".join(page for name, page in pages.items() if name.startswith("api/"))
    shown = set(re.findall(r'id="(tinynn\.[\w.]+)"', text))
    for package in (tinynn, datasets, onnx, pictures, sklearn, testing, torch):
        public = [(name, getattr(package, name)) for name in package.__all__]
        named = {f"{thing.__module__}.{name}" for name, thing in public if callable(thing)}
        assert named and named - shown == set()


def check_the_search(site: Path) -> None:
    """Of a page opened from a folder, which may start no worker (assets/iframe-worker.js), and of one from a server."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except ConfigurationError:
            pytest.skip("no Chromium on this machine; all but the search has been checked")
        page = browser.new_page()
        for root in (f"file://{site}", stack.enter_context(served(site))):
            assert "optimizers.html" in found(page, f"{root}/guide/nan.html?q=momentum", "Momentum")
            # In the midst of a clause, since between the words of Chinese there is no space.
            chinese = found(page, f"{root}/zh/index.html?q=权重", "只有一个权重")
            assert "one_weight.html" in chinese and "Missing" not in chinese


def found(page: Any, address: str, word: str) -> str:
    """What the search of a page finds, as HTML, once the word is marked in it."""
    page.goto(address)
    page.locator(".md-search-result mark", has_text=word).first.wait_for(state="attached", timeout=PATIENCE)
    return page.locator(".md-search-result").inner_html()


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a server of these files, which ends with the block."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """One that does not log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


# --- what is fetched


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.org/x.js"></script>',
        "<script async src=//a.org/x.js></script>",
        '<link rel="stylesheet" href="http://a.org/x.css">',
        '<img alt="" src="https://a.org/x.png">',
        "@import 'https://a.org/x.css';",
        "a { background: url(https://a.org/x.png) }",
        '<pre class="mermaid"><code>graph</code></pre>',
    ],
)
def test_what_comes_from_elsewhere_is_noticed(text: str) -> None:
    assert len(fetched(text)) == 1


def test_links_are_not_fetched() -> None:
    assert fetched('<a href="https://a.org">a</a><img src="x.png"><script src="../x.js"></script>') == []


# --- code from the sources


def test_code_is_found_by_name() -> None:
    code = code_of("tinynn/layers/affine.py", "Affine.forward")
    assert code.startswith('````python title="tinynn/layers/affine.py"\ndef forward(self, x: Array)')
    assert code.endswith("    return y, x\n````")
    verb = code_of("tinynn/backend/activation_verbs.py", "ActivationVerbs.relu")
    assert "@straight\ndef relu" in verb
    assert "extern" in code_of("tinynn/cuda/elementwise.py", "SOURCE")
    assert "class Affine" in code_of("tinynn/layers/affine.py")
    with pytest.raises(ValueError, match=r"affine\.py has no Affine\.sideways"):
        code_of("tinynn/layers/affine.py", "Affine.sideways")


def test_a_page_includes_code_and_sections() -> None:
    page = expand("a\n\n```source\ntinynn/layers/dropout.py start\n```\n\n```readme\nLicence\n```\n", "guide/x.md")
    assert "def start(rng" in page and "CC BY-SA" in page and "```source" not in page
    assert expand('```python no-run="it needs a GPU"\nx\n```\n', "x.md") == "```python\nx\n```\n"
    with pytest.raises(ValueError, match="no section 'Nothing'"):
        expand("```readme\nNothing\n```\n", "x.md")


def test_links_go_to_the_pages_that_show_a_file() -> None:
    assert relinked("[a](../../examples/mnist.py)", "docs/guide", "guide/x.md") == "[a](../examples/mnist.md)"
    assert relinked("[a](../../README.md#x)", "docs/guide", "guide/x.md") == "[a](../index.md#x)"
    assert relinked("[a](../notebooks/mnist.ipynb)", "docs/guide", "guide/x.md") == "[a](../notebooks/mnist.md)"
    assert relinked("![a](examples/pictures/regions.png)", "", "guide/x.md") == "![a](../examples/pictures/regions.png)"
    assert relinked("[a](docs/files.md)", "", "index.md") == "[a](files.md)"
    assert relinked("see [a `b`](../tinynn/layer.py).", "docs", "x.md") == "see a `b`."
    for other in ("[a](x.md)", "[a](https://a.org/x)", "x[0](1)", "[a](#part)"):
        assert relinked(other, "docs/guide", "guide/x.md") == other


def test_the_extras_are_those_of_the_package() -> None:
    table = extras()
    assert "| `tinynn-xp[llvm]` | `llvmlite" in table
    assert "pytest" not in table and "ruff" not in table


def test_pages_that_nobody_writes() -> None:
    pages = generated()
    assert "# examples/mnist.py" in pages["examples/mnist.md"]
    assert "::: tinynn.layers.affine.Affine" in pages["api/layers.md"]
    assert {"benchmarks/RESULTS.md", "changes.md"} <= set(pages)


def test_the_api_is_what_users_import() -> None:
    """A module may share more with its neighbours than its package offers."""
    layers = public(["layer", "layers"])
    assert [*layers][:2] == ["tinynn.layer", "tinynn.layers.activations"]
    assert layers["tinynn.layers.activations"] == ["ReLU", "Sigmoid", "Tanh", "Step"]
    assert layers["tinynn.layers.affine"] == ["Affine"]
    assert sorted(name for names in layers.values() for name in names) == sorted(["Layer", *tinynn.layers.__all__])
    assert public(["registry"]) == {"tinynn.registry": ["register", "register_all", "find", "name_of"]}
    assert "::: tinynn.backend.activation_verbs.ActivationVerbs" in generated()["api/backends.md"]


def test_the_navigation_of_a_folder() -> None:
    assert {"Layers": "api/layers.md"} in nav_of("api/")
    assert nav_of("examples/")[0] == {"mnist.py": "examples/mnist.md"}
    assert nav_of("nothing/") == []
    assert nav_of("notebooks/")[1:] == [
        {"Which quadrant?": "notebooks/quadrant.md"},
        {"Handwritten digits in a few lines": "notebooks/mnist.md"},
        {"Write a layer, and check it": "notebooks/own_layer.md"},
    ]
    lessons = ["index", "one_weight", "gates", "quadrant", "digits", "convolutions"]
    assert [page for item in nav_of("tutorial/") for page in item.values()] == [
        f"tutorial/{name}.md" for name in lessons
    ]


# --- formulas


def test_a_formula_becomes_mathml() -> None:
    assert with_mathml('<p><span class="arithmatex">\\(a &lt; b\\)</span></p>') == (
        '<p><math data-search-exclude xmlns="http://www.w3.org/1998/Math/MathML" display="inline">'
        "<mrow><mi>a</mi><mo>&#x0003C;</mo><mi>b</mi></mrow></math></p>"
    )
    block = with_mathml('<div class="arithmatex">\\[\\sqrt{x}\\]</div>')
    assert block.startswith('<div class="formula"><math') and "<msqrt>" in block
    assert with_mathml('<div class="arithmatex">\\[a \\qquad b\\]</div>').count("<math ") == 2


def test_spaces_in_formulas() -> None:
    assert "<mi>log</mi><mspace" in mathml(r"\log p")
    assert "<mspace" not in mathml(r"\log(p)")
    assert 'form="prefix"' in mathml("L = -x")
    assert "<mi>&#x0221E;</mi>" in mathml(r"\infty")
    assert 'form="prefix"' not in mathml("a - x")


@pytest.mark.parametrize("formula", [r"\nonsense x", r"\begin{aligned} a &= b \end{aligned}"])
def test_a_formula_that_cannot_be_read_is_refused(formula: str) -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        mathml(formula)


# --- docstrings


def test_a_docstring_becomes_a_list_of_its_fields() -> None:
    fields = "Shapes:   x (N, D),\n          y (N, D).\nErrors:   `a_b` <- [c]."
    assert markdown(f"y = x * g_n.\n\n{fields}\n\n    code * x\n\nMore: text.") == (
        "y = x \\* g\\_n.\n{ .formula-line }\n\n- **Shapes:** x (N, D), y (N, D).\n"
        "- **Errors:** `a_b` &lt;- \\[c\\].\n\n    code * x\n\nMore: text."
    )
    assert markdown("Says what it is.") == "Says what it is."
