#!/usr/bin/env python3
"""Whether the paths, modules, headings and make targets that the documents name are there.

Looks at README.md, CONTRIBUTING.md and docs/*.md: links, and what stands in `backticks`. What docs/decisions/ tells
may be history, and is not looked at.

    named_paths.py              check the project; one line per finding, exit 1 if there is any
    named_paths.py --self-test  show that what is missing is found, and only that
"""

import re
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator, List, Set

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/*.md", ".github/*.md", "SECURITY.md")
UNSEEN = {".git", ".venv", ".venv-torch", "target", "dist", "__pycache__", "corpus"}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)(?=[\s`]|$)")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
# A file that only sources have, or a folder.
PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*(?:\.(?:rs|py|pyi|md|toml|yml)|/)")
RUST_NAME = re.compile(r"(?:numpack|crate)((?:::\w+)+)")
PYTHON_NAME = re.compile(r"numpack((?:\.\w+)+)(?:\(.*\))?")


def tree(root: Path) -> Set[str]:
    """Every file and folder of the project, folders with a slash at the end."""
    found, folders = set(), [root]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.name in UNSEEN or entry.name.endswith(".npk"):
                continue
            found.add(entry.relative_to(root).as_posix() + ("/" if entry.is_dir() else ""))
            if entry.is_dir():
                folders.append(entry)
    return found


def is_there(path: str, known: Set[str]) -> bool:
    """Whether a path is one of the project's, from its root or from some folder within."""
    return any(fnmatch(have, path) or fnmatch(have, "*/" + path) for have in known)


def is_defined(names: List[str], folder: Path, suffix: str) -> bool:
    """Whether names one in another lead to a module, or to a word in the module they lead to."""
    module = [folder / f"{stem}.{suffix}" for stem in ("mod", "lib", "__init__")]
    for i, name in enumerate(names):
        inner = [folder / name / f"{stem}.{suffix}" for stem in ("mod", "__init__")]
        found = [file for file in [folder / f"{name}.{suffix}", *inner] if file.is_file()]
        if not found:
            files = [file for file in module if file.is_file()]
            files += folder.glob("*.pyi") if i == 0 else folder.rglob(f"*.{suffix}")
            text = "\n".join(file.read_text(encoding="utf-8") for file in files)
            return all(re.search(rf"\b{rest}\b", text) for rest in names[i:])
        folder, module = folder / name, found
    return True


def anchors(document: Path) -> Set[str]:
    """What the headings of a document are called in links."""
    headings = HEADING.findall(FENCE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path, text: str) -> Iterator[str]:
    """Links within the project that lead nowhere."""
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists():
            yield f"links to {link}, which is not there"
        elif heading and heading not in anchors(target):
            yield f"links to {link}, and there is no such heading"


def missing_names(root: Path, known: Set[str], text: str) -> Iterator[str]:
    """Paths and modules in backticks that the project does not have."""
    for code in CODE.findall(text):
        if rust := RUST_NAME.fullmatch(code):
            there = is_defined(rust.group(1)[2:].split("::"), root / "crates/numpack/src", "rs")
        elif python := PYTHON_NAME.fullmatch(code):
            there = is_defined(python.group(1)[1:].split("."), root / "python/numpack", "py")
        elif PATH.fullmatch(code) and not re.search(r"\.npk\b|^\.numpack/", code):
            there = is_there(code, known)
        else:
            continue
        if not there:
            yield f"names `{code}`, which is not there"


def check(root: Path) -> List[str]:
    """Every finding in the project at `root`."""
    known, found = tree(root), []
    targets = set(TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))
    for document in sorted(file for pattern in DOCUMENTS for file in root.glob(pattern)):
        text = document.read_text(encoding="utf-8")
        prose = FENCE.sub("", text)
        findings = [*broken_links(document, prose), *missing_names(root, known, prose)]
        named = MAKE.findall("\n".join(CODE.findall(prose) + FENCE.findall(text)))
        findings += [
            f"names `make {name}`, and there is no such target" for name in named if name not in targets
        ]
        found += [f"{document.relative_to(root).as_posix()}: {finding}" for finding in findings]
    return found


# What a project has for the test, a text that is right and one each of whose lines is wrong.
FILES = {
    "Makefile": "test: x\n",
    "crates/numpack/src/lib.rs": "pub mod disk;\npub use disk::Folder;\n",
    "crates/numpack/src/disk/mod.rs": "pub struct Folder;\n",
    "python/numpack/__init__.py": "from numpack._numpack import pack\n",
    "python/numpack/io/__init__.py": "",
    "python/numpack/io/csv.py": "def from_csv():\n",
    "docs/a.md": "# The one, *the* other\n",
}
RIGHT = """[a](docs/a.md#the-one-the-other) [b](https://example.org/x) `disk/mod.rs` `disk/` `docs/*.md` `make test`
`a/b` `numpack::disk::Folder` `numpack::Folder` `numpack.pack` `numpack.io.csv` `numpack.io.from_csv("a.csv")`
`data.npk/`
```text
[a](none.md) `none.rs`
make test
```
"""
WRONG = """[a](none.md)
[a](docs/a.md#none)
`disk/none.rs`
`none/`
`numpack::none::Folder`
`numpack::disk::None`
`numpack.io.none`
`make none`
"""


def self_test() -> bool:
    """Whether every wrong line is found and no right one."""
    with tempfile.TemporaryDirectory() as folder:
        for file, text in FILES.items():
            Path(folder, file).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, file).write_text(text, encoding="utf-8")
        Path(folder, "data.npk").mkdir()
        Path(folder, "README.md").write_text(RIGHT, encoding="utf-8")
        right = check(Path(folder))
        Path(folder, "README.md").write_text(WRONG, encoding="utf-8")
        wrong = check(Path(folder))
    if right or len(wrong) != len(WRONG.splitlines()):
        print("self-test: found in the right text:", right, "and in the wrong one:", *wrong, sep="\n")
    return not right and len(wrong) == len(WRONG.splitlines())


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(not self_test())
    findings = check(Path(__file__).resolve().parent.parent)
    print(*findings, sep="\n", end="\n" if findings else "")
    sys.exit(bool(findings))
