"""`doctor`: what is installed, and does it work?"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

from cardioloom import __version__
from cardioloom.errors import MissingExtraError

SCHEMA = "cardioloom.doctor/1"


def doctor() -> dict[str, object]:
    """Examine the installation: Python, dependencies, extras, formats.

    Returns:
        plain values, as `cardioloom doctor --json -` prints them: ``healthy`` is False where a package that the
        core needs is missing.
    """
    from cardioloom.readers import READERS
    from cardioloom.writers import WRITERS

    core, extras = _requirements()
    packages = {name: _version(name) for name in core}
    return {
        "schema": SCHEMA,
        "cardioloom": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "extras": {extra: {name: _version(name) for name in names} for extra, names in extras.items()},
        "formats": {"read": list(READERS), "write": list(WRITERS)},
        "models": [],
        "healthy": all(packages.values()),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Names of the packages the core needs, and those of each extra, from the installed metadata."""
    try:
        extras: dict[str, list[str]] = {
            name: [] for name in distribution("cardioloom").metadata.get_all("Provides-Extra", [])
        }
    except PackageNotFoundError as error:
        folder = Path(__file__).parents[2].name
        raise MissingExtraError(f"cardioloom runs from {folder} without being installed: pip install it") from error
    core = []
    for requirement in requires("cardioloom") or []:
        name = requirement.split(";")[0].strip()
        for stop in "<>=!~[ (":
            name = name.split(stop)[0]
        _, _, marker = requirement.partition("extra ==")
        if marker:
            extras[marker.strip().strip("'\"")].append(name)
        else:
            core.append(name)
    return core, extras
