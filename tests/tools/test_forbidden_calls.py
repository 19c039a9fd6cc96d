"""The lint that keeps unpickling, evaluation and shells out of the repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "forbidden_calls.py"


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("forbidden_calls", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import pickle", "import pickle"),
        ("import a, cloudpickle.sub as b", "import cloudpickle.sub"),
        ("from marshal import loads", "from marshal import"),
        ("from torch import load", "torch.load"),
        ("import torch\ntorch.load('x')", "torch.load"),
        ("run = torch.load", "torch.load"),
        ("socket.recv_pyobj()", "socket.recv_pyobj"),
        ("eval('1')", "eval"),
        ("f = exec", "exec"),
        ("subprocess.run('ls', shell=True)", "shell=True"),
        ("subprocess.run('ls', shell=flag)", "shell=flag"),
        ("np.load(p, allow_pickle=True)", "allow_pickle=True"),
        ("os.system('ls')", "os.system"),
    ],
)
def test_finds(lint: ModuleType, source: str, what: str) -> None:
    assert [found for _, found in lint.findings(source)] == [what]


@pytest.mark.parametrize(
    "source",
    [
        "# torch.load and eval('x') in a comment",
        '"""pickle.loads in a docstring"""',
        "model.eval()",
        "re.compile('x')",
        "np.load(p, allow_pickle=False)",
        "subprocess.run(['ls'], shell=False)",
        "safetensors.torch.load_file(p)",
    ],
)
def test_leaves_harmless_code_alone(lint: ModuleType, source: str) -> None:
    assert list(lint.findings(source)) == []


def test_names_the_line_and_fails(
    lint: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import os\n\nimport pickle\n")
    assert lint.main([str(bad)]) == 1
    assert f"{bad}:3: `import pickle`" in capsys.readouterr().out


def test_reads_the_whole_repository(lint: ModuleType) -> None:
    names = {path.relative_to(lint.ROOT).as_posix() for path in lint.python_files()}
    assert {"inve_core/errors.py", "tools/forbidden_calls.py", "tests/tools/test_forbidden_calls.py"} <= names
