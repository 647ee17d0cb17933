"""Documents: links and paths lead somewhere, folders say what lives in them, nothing is private."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "distillery_core"
README_LINES = 250

_FENCED = re.compile(r"^(`{3,}).*?^\1`*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\[(?:[^\]\\]|\\.)*\]\((?P<target>[^()\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_OURS = re.compile(r"(?:docs|tests|distillery_core|agents|pipelines|stacks|plugins)/[\w./-]+")
_HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)

# Home folders and this repository's own build places; a user's path is in examples as `/path`.
_MACHINE = re.compile(
    r"/[w]ork/|/[h]ome/[a-z]\w*/|/[U]sers/\w+/|/[r]oot/\.|/[t]mp/lead|[A-Z]:\\[U]sers"
)
_BINARY = {".png", ".gz", ".safetensors", ".sqlite"}


def _prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def _links(path: Path) -> Iterator[str]:
    for match in _LINK.finditer(_prose(path)):
        target = unquote(re.sub(r"\\(.)", r"\1", match["target"]))
        if not re.match(r"[a-z]+:", target):
            yield target


def _anchors(path: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    headings = (re.sub(r"[`*\\]", "", text).lower() for text in _HEADING.findall(_prose(path)))
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in headings}


def _leads_nowhere(path: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    return not target.exists() or bool(anchor and anchor not in _anchors(target))


def test_every_link_leads_somewhere(documents: list[Path]) -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {link}"
        for path in documents
        for link in _links(path)
        if _leads_nowhere(path, link)
    ]
    assert not broken


def test_a_broken_link_and_a_missing_anchor_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = (
        "# Here it is\n[a](gone.md) [b](#here-it-is) [c](#gone) [d](https://x)\n```\n[e](no)\n```\n"
    )
    page.write_text(text, encoding="utf-8")
    assert [link for link in _links(page) if _leads_nowhere(page, link)] == ["gone.md", "#gone"]


def test_files_of_this_repository_that_are_named_exist(documents: list[Path]) -> None:
    pages = [path for path in documents if path.parent in (ROOT, ROOT / "docs", ROOT / "tests")]
    named = {
        (path.name, code)
        for path in (*pages, *(ROOT / "docs").glob("*/*.md"))
        for code in _CODE.findall(_prose(path))
        if _OURS.fullmatch(code) and Path(code).suffix
    }
    assert len(named) > 4
    assert not [(page, code) for page, code in sorted(named) if not (ROOT / code).exists()]


def test_no_file_names_a_machine(files: list[Path]) -> None:
    texts = (path for path in files if path.suffix not in _BINARY)
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in texts
        if (match := _MACHINE.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not found


@pytest.mark.parametrize("path", ["/" + "work/x", "/" + "home/ana/x", "/" + "root/.cache"])
def test_a_machine_path_is_noticed(path: str) -> None:
    assert _MACHINE.search(f"see {path}")


def _top_folders(files: list[Path]) -> list[Path]:
    names = {path.relative_to(ROOT).parts[0] for path in files if path.parent != ROOT}
    return [ROOT / name for name in sorted(names) if not name.startswith(".")]


def test_every_top_level_folder_says_what_lives_in_it(files: list[Path]) -> None:
    folders = _top_folders(files)
    assert {"agents", "docs", "filters", "pipelines", "plugins", "stacks", "tests"} <= {
        folder.name for folder in folders
    }
    for folder in folders:
        page = folder / ("__init__.py" if folder == PACKAGE else "README.md")
        assert page.is_file() and page.read_text(encoding="utf-8").strip(), page


def test_every_content_folder_says_what_lives_in_it(files: list[Path]) -> None:
    for kind, depth in (("agents", 2), ("plugins", 2), ("filters", 3)):
        below = [path.relative_to(ROOT).parts for path in files if ROOT / kind in path.parents]
        folders = {parts[:depth] for parts in below if len(parts) > depth}
        assert folders
        assert not [f for f in folders if not ROOT.joinpath(*f, "README.md").is_file()]


def _packages() -> list[Path]:
    return sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def _packages_within() -> list[Path]:
    """But for the verbs' modules, which are named as the verbs are."""
    found = sorted(path.parent for path in PACKAGE.rglob("*/__init__.py"))
    return [folder for folder in found if folder.name != "verbs"]


@pytest.mark.parametrize(
    "folder", _packages_within(), ids=lambda folder: str(folder.relative_to(PACKAGE))
)
def test_a_package_names_each_of_its_modules(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    told = ast.get_docstring(tree) or ""
    there = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert sorted(there) == sorted(set(re.findall(r"\b(\w+)\.py\b", told)))


def test_every_module_begins_with_its_purpose(files: list[Path]) -> None:
    modules = [path for path in files if PACKAGE in path.parents and path.suffix == ".py"]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in modules}
    silent = [str(path) for path, tree in trees.items() if not ast.get_docstring(tree)]
    assert not silent


def test_the_readme_is_short_and_names_every_place(files: list[Path]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < README_LINES
    assert not [f.name for f in _top_folders(files) if f"`{f.name}/`" not in text]
    assert not [f.name for f in _packages() if f"`{f.name}`" not in text]


def test_the_readme_lists_the_packages_in_the_order_of_their_layers() -> None:
    """The one that import-linter keeps."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rank = {name.strip(): n for n, layer in enumerate(layers) for name in layer.split("|")}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = text.partition("| package | what it does |\n|---|---|\n")[2].partition("\n\n")[0]
    told = [name for row in rows.splitlines() for name in _CODE.findall(row.split("|")[1])]
    assert [rank[name] for name in told] == sorted(rank[name] for name in told)


def test_every_test_folder_is_named(files: list[Path]) -> None:
    tests = ROOT / "tests"
    folders = {path.relative_to(tests).parts[0] for path in files if tests in path.parents[1:]}
    text = (tests / "README.md").read_text(encoding="utf-8")
    assert not [folder for folder in sorted(folders) if f"`{folder}/`" not in text]
    tables = (tests / "cases/README.md").read_text(encoding="utf-8")
    cases = [path.relative_to(tests / "cases") for path in files if tests / "cases" in path.parents]
    named = {part for path in cases for part in path.parts[:1]} - {"README.md"}
    assert not [name for name in sorted(named) if f"`{name}" not in tables]


def test_every_decision_and_every_document_is_listed() -> None:
    docs = ROOT / "docs"
    text = (docs / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in docs.glob("*.md")
                if page.name != "README.md" and f"({page.name})" not in text]  # fmt: skip
    for page in (docs / "decisions").glob("*-*.md"):
        assert f"({page.name})" in (docs / "decisions/README.md").read_text(encoding="utf-8")
        sections = _HEADING.findall(_prose(page))[1:]
        assert sections == ["Context", "Decision", "Consequences"], page.name
