"""`doctor`: what is installed, and does it work?"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.util import find_spec
from pathlib import Path

from cardioloom import __version__
from cardioloom.errors import CardioloomError, MissingExtraError

SCHEMA = "cardioloom.doctor/1"
NO_TORCH = "models need torch and safetensors: pip install 'cardioloom[models]'"


def doctor() -> dict[str, object]:
    """Examine the installation: Python, dependencies, extras, formats, and every installed model on every runtime.

    Returns:
        plain values, as `cardioloom doctor --json -` prints them: ``healthy`` is False where a package that the
        core needs is missing, or a model is refused or does not give its golden pair.
    """
    from cardioloom.readers import READERS
    from cardioloom.writers import WRITERS

    core, extras = _requirements()
    packages = {name: _version(name) for name in core}
    models = _models()
    return {
        "schema": SCHEMA,
        "cardioloom": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "extras": {extra: {name: _version(name) for name in names} for extra, names in extras.items()},
        "formats": {"read": list(READERS), "write": list(WRITERS)},
        "models": models,
        "healthy": all(packages.values()) and all(model["healthy"] for model in models),
    }


def _models() -> list[dict[str, object]]:
    """Each installed model on each runtime that is present: golden pair, licence, speed."""
    from cardioloom.models import installed

    try:
        names = installed.names()
    except MissingExtraError:  # the core alone is installed, and no place of models is named
        return []
    if not names or find_spec("torch") is None or find_spec("safetensors") is None:
        # What the package ships was not asked for: the core is whole without it.
        return [{"name": name, "healthy": False, "problem": NO_TORCH} for name in installed.added()]
    from cardioloom.models.runtime import RUNTIMES

    runtimes = [runtime for runtime in RUNTIMES if find_spec(runtime) is not None]
    return [_model(name, runtime) for name in names for runtime in runtimes]


def _model(name: str, runtime: str) -> dict[str, object]:
    from cardioloom.models import Model

    try:
        model = Model.from_pretrained(name, runtime=runtime)
    except CardioloomError as error:
        return {"name": name, "runtime": runtime, "healthy": False, "problem": str(error)}
    return {
        "name": name,
        "runtime": runtime,
        "healthy": True,
        "sha256": model.sha256,
        "licence": model.contract.card.licence,
        "trained_on": model.contract.card.trained_on,
        "largest_deviation": max(model.deviations["logits"], model.deviations["features"]),
        "deviations": model.deviations,
        "ecg_per_s": round(model.speed(), 1),
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
