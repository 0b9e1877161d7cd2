"""`weights`: which models there are, what they are, and how they come onto this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cardioloom.errors import ModelError, UsageError

Action = Literal["list", "show", "add", "fetch", "export"]
# What each action is given besides itself.
NEEDS: dict[str, tuple[str, ...]] = {
    "list": (),
    "show": ("name",),
    "add": ("name", "file"),
    "fetch": ("name",),
    "export": ("name", "file"),
}


def weights(
    action: Action,
    name: str | None = None,
    file: Path | None = None,
    /,
    *,
    sha256: str | None = None,
    revision: str | None = None,
) -> dict[str, object]:
    """The weights of models: list, show NAME, add NAME FILE, fetch NAME, export NAME OUT.onnx.

    Args:
        action: list what is known and installed; show one model's card and contract; add an official checkpoint
            (it is converted in a process of its own, with limits); fetch it from the Hugging Face hub; export an
            installed model to ONNX.
        name: of the model.
        file: the checkpoint to add, or the ONNX file to write.
        sha256: that the checkpoint must have (add, fetch).
        revision: of the hub's repository to fetch, or of the file that is added.

    Returns:
        plain values: for list {"models": […]}, for the others what `show` prints of the model, or {"file": …}.

    Raises:
        UsageError: if an argument is missing, superfluous or unknown.
        ModelError: if a file or folder is refused; nothing is written then.
        MissingExtraError: if the packages that models need are not installed.
    """
    _check(action, name, file, sha256, revision)
    if action == "list":
        return {"cache": str(_cache()), "models": [_row(known) for known in _all_names()]}
    assert name is not None
    if action == "show":
        return _card(name)
    if action == "fetch":
        return fetch(name, sha256=sha256, revision=revision)
    assert file is not None
    if action == "add":
        from cardioloom.models.adding import add

        add(name, Path(file), sha256=sha256, revision=revision)
        return _card(name)
    from cardioloom.models.onnx import export

    return {"file": str(export(name, Path(file)))}


def fetch(
    name: str,
    *,
    sha256: str | None = None,
    revision: str | None = None,
    tick: Callable[[float], None] | None = None,
) -> dict[str, object]:
    """`weights fetch` for callers that show how far it is: ``tick`` is called with the share from 0 to 1.

    Raises:
        UsageError: if the name is unknown.
        ModelError: if the file cannot be had, or is not the one that was fetched before.
    """
    from cardioloom.models import fetching

    fetching.fetch(name, revision=revision, sha256=sha256, tick=tick)
    return _card(name)


def _check(action: str, name: str | None, file: Path | None, sha256: str | None, revision: str | None) -> None:
    if action not in NEEDS:
        raise UsageError(f"weights can {', '.join(NEEDS)}, got {action!r}: name one of them")
    given = {"name": name, "file": file}
    needs = NEEDS[action]
    if missing := [what for what in needs if given[what] is None]:
        raise UsageError(f"weights {action} needs {' and '.join(needs)}, got no {missing[0]}: give it")
    if extra := [what for what, value in given.items() if value is not None and what not in needs]:
        raise UsageError(f"weights {action} takes no {extra[0]}, got {given[extra[0]]}: leave it out")
    if (sha256 or revision) and action not in ("add", "fetch"):
        raise UsageError(f"--sha256 and --revision belong to add and fetch, not to {action}: leave them out")


def _cache() -> Path:
    from cardioloom.models import installed

    return installed.models()


def _all_names() -> list[str]:
    from cardioloom.models import adding, installed

    return list(dict.fromkeys([*adding.KNOWN, *installed.names()]))


def _row(name: str) -> dict[str, object]:
    """One model in a few words; a folder that cannot be read says why."""
    from cardioloom.models import adding, contract, installed

    there = name in installed.names()
    try:
        known = contract.read(installed.folder_of(name))[0] if there else adding.known(name)
    except ModelError as error:
        return {"name": name, "installed": True, "problem": str(error)}
    return {
        "name": name,
        "installed": there,
        "title": known.card.title,
        "leads": list(known.preparation.leads),
        "outputs": len(known.task.outputs),
        "trained_on": known.card.trained_on,
        "licence": known.card.licence,
        "source": known.card.source,
    }


def _card(name: str) -> dict[str, object]:
    """Everything that is known of one model: its contract, and where it lies if it is installed."""
    from cardioloom.models import adding, contract, installed

    if name in installed.names() or name not in adding.KNOWN:
        folder = installed.folder_of(name)
        known = contract.read(folder)[0]
        return {"installed": True, "folder": str(folder), **known.to_json()}
    return {"installed": False, **adding.known(name).to_json()}
