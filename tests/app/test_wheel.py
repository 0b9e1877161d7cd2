"""A wheel built from the tree installs without extras and reads an ECG, on the oldest and the newest Python here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synthetic import ecg, write_wfdb

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = [f"3.{minor}" for minor in range(11, 16)]


def interpreter(version: str) -> str | None:
    """A Python of that version that starts (a shim of a version manager may not)."""
    candidates = [
        shutil.which(f"python{version}"),
        *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
    ]
    for candidate in candidates:
        if candidate is None:
            continue
        code = "import sys, venv; print('.'.join(map(str, sys.version_info[:2])))"
        result = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True, check=False)
        if result.stdout.strip() == version:
            return str(candidate)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("end", ["oldest", "newest"])
def test_the_wheel_reads_an_ecg_with_the_core_alone(end: str, tmp_path: Path):
    found = [version for version in VERSIONS if interpreter(version)]
    if end == "newest" and len(found) == 1:
        pytest.skip(f"only Python {found[0]} is installed here, which the other case tests")
    version = found[0] if end == "oldest" else found[-1]
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}

    def run(*command: str | Path) -> str:
        result = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    run(interpreter(version) or "", "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    path = write_wfdb(tmp_path / "a.hea", ecg(bpm=66))
    report = json.loads(
        run(tmp_path / "venv/bin/cardioloom", "read", path, "--json", "-", "--html", tmp_path / "r.html")
    )
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(66, abs=0.5)
    assert (tmp_path / "r.html").stat().st_size > 10_000
    packages = run(python, "-m", "pip", "list", "--format=freeze")
    assert "torch" not in packages
    assert "pytest" not in packages
