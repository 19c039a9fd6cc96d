"""Refuse code that unpickles, evaluates or hands a string to a shell.

    python tools/forbidden_calls.py [FILE...]      without files: every Python file of the repository

Everything that reaches the daemon comes from a socket or a project file, so the means by which such bytes
become code are kept out of the whole repository, not only out of the places that read them today. There is no
way to silence a finding: a use that is right belongs in another form.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEARCHED = ("inve_core", "daemon", "plugins", "tests", "tools")

MODULES = frozenset(
    {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "msgpack_numpy"}
)
BUILTINS = frozenset({"eval", "exec", "compile", "__import__"})
ATTRIBUTES = frozenset({"recv_pyobj", "send_pyobj"})
DOTTED = frozenset(
    {"torch.load", "torch.save", "os.system", "os.popen", "builtins.eval", "builtins.exec", "yaml.load"}
)
# An argument of any call, with the values that are harmless.
ARGUMENTS = {"shell": (False,), "allow_pickle": (False,)}


def findings(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what is forbidden there) for one file's text.

    Raises:
        SyntaxError: if the text is not Python.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from ((node.lineno, f"import {name}") for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] in MODULES:
                yield node.lineno, f"from {module} import"
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in names if name in DOTTED)
        elif isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if node.attr in ATTRIBUTES or dotted in DOTTED:
                yield node.lineno, dotted
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.lineno, node.id
        elif isinstance(node, ast.keyword) and node.arg in ARGUMENTS:
            harmless = isinstance(node.value, ast.Constant) and node.value.value in ARGUMENTS[node.arg]
            if not harmless:
                yield node.value.lineno, f"{node.arg}={ast.unparse(node.value)}"


def python_files() -> Iterator[Path]:
    """Yield every Python file of the repository that `make lint` answers for."""
    for name in SEARCHED:
        yield from sorted((ROOT / name).rglob("*.py"))


def main(arguments: list[str]) -> int:
    """Print each finding as file:line; return 1 if there was one."""
    found = 0
    for path in map(Path, arguments) if arguments else python_files():
        for line, what in findings(path.read_text(encoding="utf-8")):
            print(f"{path}:{line}: `{what}` is forbidden: it turns data into code (see CONTRIBUTING.md)")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
