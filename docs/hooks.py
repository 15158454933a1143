"""What the site has beside the files of docs/: pages that lie elsewhere, links to code, the API.

The pages are plain Markdown, for a code host as much as for the site. Three things differ:

- a file elsewhere in the repository that is a page here, too, is added under another name, and
  links to it, and in it, are changed to fit;
- a link to any other file, such as a module, leads to the repository where `repo_url` names it, and
  is only its text where nothing does;
- a comment `<!-- ::: kdlab.record -->`, which a code host does not show, stands for the docstrings
  of that module or function.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
# By its place in docs/ each page whose file lies elsewhere.
ELSEWHERE = {
    "reference/menu.md": "conf/README.md",
    "reference/frame.md": "analysis/read/README.md",
    "reference/published.md": "analysis/published/README.md",
    "reference/claims.md": "analysis/published/claims/README.md",
    "results/summary.md": "analysis/results/README.md",
    "results/glue_small.md": "analysis/results/glue_small.md",
    "results/knowledge_sst2.md": "analysis/results/knowledge_sst2.md",
    "results/pkd_cola_mpnet.md": "analysis/results/pkd_cola_mpnet.md",
    "results/menu.md": "analysis/results/menu.md",
    "results/axes.md": "analysis/results/axes.md",
    "results/benchmarks.md": "tests/benchmarks/results.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/changelog.md": "CHANGELOG.md",
}
IMAGES = "analysis/results"  # of the pages of results
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
DOCSTRINGS = re.compile(r"^<!-- (::: .*) -->$", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere, and their images."""
    paths = [path for kind in ("png", "svg") for path in (ROOT / IMAGES).glob(f"*.{kind}")]
    images = {f"results/{path.name}": f"{IMAGES}/{path.name}" for path in paths}
    for uri, path in (ELSEWHERE | images).items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Change what a code host reads otherwise: see the top of this file."""
    uri = page.file.src_uri
    parts = CODE.split(markdown)  # every second one is code, in which nothing is a link
    parts[::2] = [LINK.sub(lambda found: _link(found, uri, config.repo_url), t) for t in parts[::2]]
    return DOCSTRINGS.sub(r"\1", "".join(parts))


def _link(match: re.Match[str], uri: str, repository: str | None) -> str:
    image, text, target = match.groups()
    if re.match(r"[a-z]+:|#", target):
        return match[0]
    path, _, anchor = target.partition("#")
    folder = posixpath.dirname(ELSEWHERE.get(uri, f"docs/{uri}"))
    file = posixpath.normpath(posixpath.join(folder, path))
    pages = {there: here for here, there in ELSEWHERE.items()}
    here = pages.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if image:
        here = f"results/{posixpath.basename(file)}"
    if here:
        found = posixpath.relpath(here, posixpath.dirname(uri) or ".")
        return f"{image}[{text}]({found}{'#' if anchor else ''}{anchor})"
    return f"[{text}]({repository.rstrip('/')}/blob/main/{file})" if repository else text
