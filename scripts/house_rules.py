#!/usr/bin/env python3
"""The house rules a machine can count, checked over the Rust and the Python sources.

Not a Rust parser: comments and literals are blanked and braces are counted, which is enough for these
rules and needs no compiler. What clippy can check better is left to clippy.

    house_rules.py              check the project; one line per finding, exit 1 if there is any
    house_rules.py --self-test  show that each rule finds what it must, and only that
"""

import ast
import posixpath
import re
import sys
import tempfile
from bisect import bisect_right
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

# Folders of Rust sources. Length is counted in the crates' src folders alone.
COUNTED = ("crates/*/src",)
OTHERS = (
    "crates/*/tests",
    "crates/*/benches",
    "crates/*/examples",
    "fuzz/fuzz_targets",
    "tests/seed-programs/src",
    "tests/seed-programs/tests",
)

# Python files; ruff and mypy check them too, here they are held to the rules that have no linter.
PYTHON = ("python", "scripts", "tests/*.py", "examples", "benchmarks")

# One token that must not be read as code: comments, strings (raw ones too), character literals.
OPAQUE = re.compile(
    r"""
    //[^\n]*
  | (?P<block>/\*)
  | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)
  | \b[bc]?"(?:\\.|[^"\\])*"
  | "(?:\\.|[^"\\])*"
  | b?'(?:\\(?:u\{[0-9a-fA-F_]+\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'
    """,
    re.VERBOSE | re.DOTALL,
)
CFG_TEST = re.compile(r"#\[\s*cfg\s*\(\s*(?:all\s*\(\s*)?test\b")
FUNCTION = re.compile(r"\bfn\s+(\w+)")
ALLOW = re.compile(r"#!?\[\s*(?:cfg_attr\s*\(.*?,\s*)?allow\s*\(", re.DOTALL)
EXPECT = re.compile(r"#!?\[\s*expect\s*\(([^\]]*)\]")
UNSAFE = re.compile(r"\bunsafe\s*(?:\{|impl\b)")
CHILD_MODULE = re.compile(r"\bmod\s+(\w+)\s*;")


class Finding(NamedTuple):
    """One broken rule at one place."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def end_of_block_comment(text: str, start: int) -> int:
    """Offset just past the block comment that opens at `start`; Rust's block comments nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def blank(text: str) -> str:
    """`text` with every comment and literal turned to spaces; line ends and offsets are kept."""
    pieces, at = [], 0
    while found := OPAQUE.search(text, at):
        end = end_of_block_comment(text, found.start()) if found["block"] else found.end()
        pieces.append(text[at : found.start()])
        pieces.append(re.sub(r"[^\n]", " ", text[found.start() : end]))
        at = end
    pieces.append(text[at:])
    return "".join(pieces)


def end_of_item(code: str, start: int) -> int:
    """Offset just past the item that starts at `start`: its closing brace, or the `;` in its place."""
    depth = 0
    for mark in re.compile(r"[()\[\]{};]").finditer(code, start):
        sign = mark.group()
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth == 0 and sign == "}":
                return mark.end()
        elif depth == 0:
            return mark.end()
    return len(code)


class Source:
    """One Rust file: its text, the same text with comments and literals blanked, and its lines."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.code = blank(text)
        self.code_lines = self.code.splitlines()
        self.starts = [0] + [end.end() for end in re.finditer("\n", text)]

    def line_of(self, offset: int) -> int:
        """Line of an offset, counted from 1."""
        return bisect_right(self.starts, offset)

    def test_spans(self) -> Iterator[Tuple[int, int]]:
        """Offsets of the items behind `#[cfg(test)]`, attribute included."""
        past = 0
        for found in CFG_TEST.finditer(self.code):
            if found.start() >= past:
                past = end_of_item(self.code, self.code.find("]", found.end()) + 1)
                yield found.start(), past

    def test_modules(self) -> Iterator[str]:
        """Names of the child files that are declared behind `#[cfg(test)]`."""
        for start, end in self.test_spans():
            declared = CHILD_MODULE.search(self.code[start:end])
            if declared and "{" not in self.code[start : start + declared.start()]:
                yield declared.group(1)


def file_length(source: Source) -> Iterator[Finding]:
    """A file is one idea: at most 500 lines, tests not counted."""
    tests = sum(source.line_of(end - 1) - source.line_of(start) + 1 for start, end in source.test_spans())
    if (lines := len(source.lines) - tests) > MAX_FILE_LINES:
        yield Finding(
            source.path, 1, f"{lines} lines without tests, {MAX_FILE_LINES} are the most: split the file"
        )


def function_length(source: Source) -> Iterator[Finding]:
    """A function fits on a screen: at most 60 lines from `fn` to its closing brace."""
    for found in FUNCTION.finditer(source.code):
        first = source.line_of(found.start())
        lines = source.line_of(end_of_item(source.code, found.end()) - 1) - first + 1
        if lines > MAX_FUNCTION_LINES:
            text = f"fn {found.group(1)} has {lines} lines, {MAX_FUNCTION_LINES} are the most"
            yield Finding(source.path, first, text)


def lint_exceptions(source: Source) -> Iterator[Finding]:
    """An exception to a lint is an `expect` with a reason, never an `allow`."""
    for found in ALLOW.finditer(source.code):
        text = 'allow: write #[expect(lint, reason = "...")]'
        yield Finding(source.path, source.line_of(found.start()), text)
    for found in EXPECT.finditer(source.code):
        if "reason" not in found.group(1):
            yield Finding(source.path, source.line_of(found.start()), "expect without a reason")


def first_line_of_statement(source: Source, line: int) -> int:
    """The line on which the statement that reaches `line` begins, attributes included."""
    while line > 1:
        above = source.code_lines[line - 2].strip()
        if not above or (above[-1] in ";{},") or (above[-1] == "]" and not above.startswith("#")):
            return line
        line -= 1
    return line


def has_safety_comment(source: Source, line: int) -> bool:
    """Whether the comment directly above `line` or above its statement says `SAFETY:`."""
    for at in (line, first_line_of_statement(source, line)):
        while at > 1 and source.lines[at - 2].lstrip().startswith(("//", "#[")):
            at -= 1
            if source.lines[at - 1].lstrip().startswith("// SAFETY:"):
                return True
    return False


def unsafe_reasons(source: Source) -> Iterator[Finding]:
    """Every unsafe block and unsafe impl says just above why it is sound."""
    for found in UNSAFE.finditer(source.code):
        line = source.line_of(found.start())
        if not has_safety_comment(source, line):
            yield Finding(source.path, line, "unsafe without a `// SAFETY:` comment just above")


def header(source: Source) -> Iterator[Finding]:
    """A file opens with what it is."""
    first = next((line for line in source.lines if line.strip()), "")
    if not first.startswith("//!"):
        yield Finding(source.path, 1, "the file does not open with a `//!` header")


def python_rules(path: str, text: str) -> Iterator[Finding]:
    """A Python file opens with what it is, and its functions fit on a screen."""
    tree = ast.parse(text)
    if not ast.get_docstring(tree):
        yield Finding(path, 1, "the file does not open with a docstring")
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield Finding(
                    path, node.lineno, f"def {node.name} has {lines} lines, {MAX_FUNCTION_LINES} are the most"
                )


def python_files(root: Path) -> Iterator[Path]:
    """Every Python file of the project."""
    for pattern in PYTHON:
        for found in sorted(root.glob(pattern)):
            yield from sorted(found.rglob("*.py")) if found.is_dir() else [found]


def is_test_file(path: Path, tests: List[Path]) -> bool:
    """Whether `path` is one of the test modules or lies below one."""
    return any(path == test.with_suffix(".rs") or test in path.parents for test in tests)


def sources(root: Path, patterns: Tuple[str, ...]) -> Iterator[Source]:
    """Every Rust file of the folders that match, in order."""
    for pattern in patterns:
        for folder in sorted(root.glob(pattern)):
            for path in sorted(folder.rglob("*.rs")):
                yield Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))


def module_folder(path: Path) -> Path:
    """The folder that holds the children of the module in `path`."""
    return path.parent if path.stem in ("lib", "main", "mod") else path.with_suffix("")


def check(root: Path) -> List[Finding]:
    """Every finding in the project at `root`."""
    counted, others = list(sources(root, COUNTED)), list(sources(root, OTHERS))
    tests = [module_folder(Path(s.path)) / name for s in counted for name in s.test_modules()]
    found: List[Finding] = []
    for source in counted:
        found.extend(function_length(source))
        if not is_test_file(Path(source.path), tests):
            found.extend(file_length(source))
    for source in counted + others:
        for rule in (lint_exceptions, unsafe_reasons, header):
            found.extend(rule(source))
    for path in python_files(root):
        found.extend(python_rules(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")))
    return sorted(found)


def lines_of(count: int) -> str:
    """So many lines of statements."""
    return "    let _ = 0;\n" * count


SAFE = "// SAFETY: the caller's promise.\n"
BRACES = """    let _ = ('}', "}", r#""}"#, b'\\'');
    /* } /* } */ } */ // }
"""

# Name, files, and the (file, line, word) of every finding; nothing else may be found.
CASES = [
    ("a clean file", {"lib.rs": "//! What it is.\n\nfn f() {}\n"}, []),
    ("no header", {"lib.rs": "\n// Words.\nfn f() {}\n"}, [("lib.rs", 1, "header")]),
    ("500 lines", {"lib.rs": "//! H.\n" + "// x\n" * 499}, []),
    ("501 lines", {"lib.rs": "//! H.\n" + "// x\n" * 500}, [("lib.rs", 1, "501 lines")]),
    (
        "tests are not counted",
        {"lib.rs": "//! H.\n" + "// x\n" * 499 + "#[cfg(test)]\nmod tests {\n" + "// x\n" * 99 + "}\n"},
        [],
    ),
    (
        "a test file is not counted",
        {"a.rs": "//! H.\n#[cfg(test)]\nmod tests;\n", "a/tests.rs": "//! H.\n" + "// x\n" * 600},
        [],
    ),
    (
        "a file with a test's name that is none",
        {"a.rs": "//! H.\nmod tests;\n", "a/tests.rs": "//! H.\n" + "// x\n" * 600},
        [("a/tests.rs", 1, "601 lines")],
    ),
    ("function of 60 lines", {"lib.rs": "//! H.\nfn f() {\n" + lines_of(58) + "}\n"}, []),
    (
        "function of 61 lines",
        {"lib.rs": "//! H.\nfn f() {\n" + lines_of(59) + "}\n"},
        [("lib.rs", 2, "fn f has 61")],
    ),
    (
        "braces in literals and comments do not end a function",
        {"lib.rs": "//! H.\nfn f<'a>() {\n" + BRACES + lines_of(58) + "}\n"},
        [("lib.rs", 2, "fn f has 62")],
    ),
    (
        "a declared function has no body",
        {"lib.rs": "//! H.\nfn f(a: [u8; 2]);\n" + "// x\n" * 99 + "fn g() {}\n"},
        [],
    ),
    ("allow", {"lib.rs": "//! H.\n#[allow(dead_code)]\nfn f() {}\n"}, [("lib.rs", 2, "allow")]),
    ("allow for the file", {"lib.rs": "//! H.\n#![allow(dead_code)]\n"}, [("lib.rs", 2, "allow")]),
    (
        "allow behind cfg_attr",
        {"lib.rs": "//! H.\n#[cfg_attr(unix, allow(x))]\nfn f() {}\n"},
        [("lib.rs", 2, "allow")],
    ),
    ("expect", {"lib.rs": '//! H.\n#[expect(dead_code, reason = "r")]\nfn f() {}\n'}, []),
    (
        "expect without a reason",
        {"lib.rs": "//! H.\n#[expect(dead_code)]\nfn f() {}\n"},
        [("lib.rs", 2, "reason")],
    ),
    ("words about allow", {"lib.rs": '//! H.\n// #[allow(x)]\nconst A: &str = "#[allow(x)]";\n'}, []),
    ("unsafe with its reason", {"lib.rs": "//! H.\nfn f() {\n" + SAFE + "unsafe { g() }\n}\n"}, []),
    (
        "reason above the statement",
        {"lib.rs": "//! H.\nfn f() {\n" + SAFE + "let a =\n    unsafe { g() };\n}\n"},
        [],
    ),
    (
        "unsafe without a reason",
        {"lib.rs": "//! H.\nfn f() {\n    unsafe { g() }\n}\n"},
        [("lib.rs", 3, "unsafe")],
    ),
    (
        "a reason serves one statement",
        {"lib.rs": "//! H.\nfn f() {\n" + SAFE + "unsafe { g() };\nunsafe { g() };\n}\n"},
        [("lib.rs", 5, "unsafe")],
    ),
    ("unsafe impl", {"lib.rs": "//! H.\nunsafe impl Send for A {}\n"}, [("lib.rs", 2, "unsafe")]),
    ("unsafe functions are clippy's", {"lib.rs": "//! H.\nunsafe fn f() {}\n"}, []),
    ("words about unsafe", {"lib.rs": '//! unsafe { }\n/// unsafe { }\nconst A: &str = "unsafe { }";\n'}, []),
    ("Python", {"../../../tests/a.py": '"""What it is."""\n\n\ndef f():\n' + "    f()\n" * 59}, []),
    (
        "Python without a docstring, a function of 61 lines",
        {"../../../tests/a.py": "# Words.\ndef f():\n" + "    f()\n" * 60},
        [("../../../tests/a.py", 1, "docstring"), ("../../../tests/a.py", 2, "def f has 61")],
    ),
    (
        "tests folders too",
        {"../tests/a.rs": "fn f() {}\n" + "// x\n" * 600},
        [("../tests/a.rs", 1, "header")],
    ),
]


def self_test() -> int:
    """Run every case in a scratch project; the number of cases that went wrong."""
    wrong = 0
    for name, files, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            src = Path(folder) / "crates" / "a" / "src"
            src.mkdir(parents=True)
            for file, text in files.items():
                (src / file).parent.resolve().mkdir(exist_ok=True)
                (src / file).write_text(text, encoding="utf-8")
            found = check(Path(folder))
        places = [(posixpath.normpath(f"crates/a/src/{file}"), line) for file, line, _ in expected]
        same = [(f.path, f.line) for f in found] == places
        if not same or not all(word in f.text for f, (_, _, word) in zip(found, expected)):
            wrong += 1
            print(f"self-test: {name}: expected {expected}, found {[str(f) for f in found]}")
    print(f"self-test: {len(CASES) - wrong} of {len(CASES)} cases as expected")
    return wrong


def main(arguments: List[str]) -> int:
    """Exit status: 0 clean, 1 findings, 2 wrong use."""
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(__file__).resolve().parent.parent
    if not list(sources(root, COUNTED)):
        print(f"house rules: no Rust source under {', '.join(COUNTED)}", file=sys.stderr)
        return 1
    found = check(root)
    for finding in found:
        print(finding)
    print(f"house rules: {len(found)} finding{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
