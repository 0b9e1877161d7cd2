"""The house rules that are easy to break without noticing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import cardioloom
from cardioloom import api
from cardioloom.app.cli import app

SRC = Path(cardioloom.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES = 300, 60
# Modules that starting up must not pay for.
HEAVY = ("numpy", "torch", "scipy", "pandas", "wfdb", "numba", "pydicom", "h5py", "matplotlib", "jinja2")


def test_files_are_found():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_file_and_its_functions_are_short(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) < MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            length = node.end_lineno - node.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)
            assert length < MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_one_way_doors_hold():
    """The layers of pyproject.toml; imports inside functions are counted."""
    from importlinter.cli import lint_imports

    assert lint_imports(str(SRC.parents[1] / "pyproject.toml"), no_cache=True) == 0


def test_a_door_that_is_broken_is_noticed(tmp_path: Path):
    """The contract can fail: the same layers upside down are refused."""
    config = (SRC.parents[1] / "pyproject.toml").read_text()
    down = config.replace('"cardioloom.app",', '"cardioloom.app",\n  "cardioloom.records",', 1)
    broken = tmp_path / "pyproject.toml"
    broken.write_text(down.replace('  "cardioloom.records",\n  "cardioloom.errors",', '  "cardioloom.errors",', 1))
    from importlinter.cli import lint_imports

    assert lint_imports(str(broken), no_cache=True) != 0


def test_commands_are_the_verbs():
    commands = {name for name in app if not name.startswith("-")}
    assert commands == set(api.__all__) - {"load"}


def test_public_names_resolve_and_stay_verbs():
    for _ in range(2):  # a room of a verb's name would replace it after the first import
        for name in cardioloom.__all__:
            assert getattr(cardioloom, name) is not None
        for verb in api.__all__:
            assert inspect.isfunction(getattr(cardioloom, verb))
    assert set(cardioloom.__all__) <= set(dir(cardioloom))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cardioloom.nonsense


def test_every_public_function_has_a_docstring():
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                decorated = isinstance(node, ast.FunctionDef) and any(
                    "_verb" in ast.dump(d) for d in node.decorator_list
                )
                assert decorated or ast.get_docstring(node), f"{path.name}: {node.name}"


@pytest.mark.parametrize("code", ["import cardioloom", "from cardioloom.app.cli import run; run(['--help'])"])
def test_starting_up_imports_nothing_heavy(code: str):
    probe = f"{code}\nimport sys\nprint('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED []"


def test_version_is_in_the_changelog():
    changelog = (SRC.parents[1] / "CHANGELOG.md").read_text()
    assert f"## {cardioloom.__version__}" in changelog
