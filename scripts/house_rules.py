#!/usr/bin/env python3
"""The house rules that neither clippy nor ruff can check; clippy.toml and pyproject.toml have all the others.

house_rules.py              check the project; one line per finding, exit 1 if there is any
house_rules.py --self-test  show that each rule finds what it must, and only that
"""

import ast
import re
import sys
import tempfile
from pathlib import Path
from typing import Iterator, List

MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 60
RUST = (
    "crates/*/src",
    "crates/*/tests",
    "crates/*/benches",
    "examples",
    "fuzz/fuzz_targets",
    "tests/seed-programs/src",
    "tests/seed-programs/tests",
)
PYTHON = ("python", "scripts", "tests", "examples", "benchmarks")
# Where the unit tests of a Rust file begin: they stand at its end and are not counted.
TESTS = re.compile(r"^#\[cfg\((?:all\()?test\b.*\]\nmod \w+ \{", re.MULTILINE)
ITEM = re.compile(
    r"^\s*(?:pub(?:\(\w+\))? )?(?:async )?(?:fn|struct|enum|trait|mod|type|def|class) (\w+)", re.MULTILINE
)
ALLOW = re.compile(r"^\s*#!?\[\s*(?:cfg_attr\(.*)?allow\(", re.MULTILINE)
EMPTY_NAME = re.compile(
    r"(?:^|_)(?:managers?|helpers?|utils?|utilit(?:y|ies)|misc|optimi[sz]ed|smart|v2)(?:_|$)"
)


def words(name: str) -> str:
    """A name in snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def names(path: Path, text: str) -> Iterator[str]:
    """A file and what it defines say what they are."""
    for found in [path.stem, *ITEM.findall(text)]:
        if EMPTY_NAME.search(words(found)):
            yield f"1: `{found}` says nothing: name what it is or does"


def rust(path: Path, text: str) -> Iterator[str]:
    """A file opens with what it is, and is one idea."""
    if not text.startswith("//!"):
        yield "1: the file does not open with a `//!` header"
    for found in ALLOW.finditer(text):  # clippy does not see other workspaces and other systems' code
        yield f'{text.count(chr(10), 0, found.end()) + 1}: allow: write #[expect(lint, reason = "...")]'
    tests = TESTS.search(text)
    lines = text.count("\n", 0, tests.start() if tests else len(text))
    if "src" in path.parts and lines > MAX_FILE_LINES:
        yield f"1: {lines} lines without tests, {MAX_FILE_LINES} are the most: split the file"


def python(path: Path, text: str) -> Iterator[str]:
    """A function fits on a screen, and a file of the package is one idea."""
    if "python" in path.parts and (lines := text.count("\n")) > MAX_FILE_LINES:
        yield f"1: {lines} lines, {MAX_FILE_LINES} are the most: split the file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.lineno}: def {node.name} has {lines} lines, {MAX_FUNCTION_LINES} are the most"


def check(root: Path) -> List[str]:
    """Every finding in the project at `root`."""
    found = []
    for patterns, suffix, rule in ((RUST, "rs", rust), (PYTHON, "py", python)):
        files = {
            file
            for pattern in patterns
            for folder in root.glob(pattern)
            for file in folder.rglob(f"*.{suffix}")
        }
        for file in sorted(files):
            path, text = file.relative_to(root), file.read_text(encoding="utf-8")
            found += [
                f"{path.as_posix()}:{finding}" for check in (rule, names) for finding in check(path, text)
            ]
    return found


# A file of a project, its text, and words of each finding.
CASES = [
    ("crates/a/src/a.rs", "//! H.\n" + "// x\n" * 499 + "#[cfg(test)]\nmod tests {\n" + "// x\n" * 99 + "}\n", []),
    ("crates/a/src/a.rs", "//! H.\n" + "// x\n" * 500, ["501 lines"]),
    ("crates/a/tests/a.rs", "//! H.\n" + "// x\n" * 600, []),
    ("crates/a/tests/a.rs", "\n//! H.\nfn reached() {}\n", ["header"]),
    ("crates/a/src/utils.rs", "//! H.\n", ["utils"]),
    ("crates/a/src/a.rs", "//! H.\npub struct FileManager;\nfn a_helper_of() {}\n", ["FileManager", "a_helper"]),
    ("fuzz/fuzz_targets/a.rs", "//! H.\n// #[allow(x)]\n#[allow(x)]\n", ["3: allow"]),
    ("python/a.py", "x = 1\n" * 501, ["501 lines"]),
    ("tests/a.py", "def f():\n" + "    f()\n" * 59, []),
    ("tests/a.py", "x = 1\n\n\ndef f():\n" + "    f()\n" * 60, ["4: def f has 61"]),
]  # fmt: skip


def self_test() -> int:
    """The number of cases that went wrong."""
    wrong = 0
    for file, text, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file)
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            found = check(Path(folder))
        if len(found) != len(expected) or not all(word in line for word, line in zip(expected, found)):
            wrong += 1
            print(f"self-test: {file}: expected {expected}, found {found}")
    return wrong


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test() > 0)
    findings = check(Path(__file__).resolve().parent.parent)
    print(*findings, sep="\n", end="\n" if findings else "")
    sys.exit(bool(findings))
