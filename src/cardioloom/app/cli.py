"""The command line: each command is the function of the same name in `cardioloom.api`.

Exit codes: 0 all done; 1 some item failed, all failures listed on stderr; 2 wrong call.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from cardioloom import __version__, api
from cardioloom.app.complain import LOG, complain
from cardioloom.errors import CardioloomError, UsageError

if TYPE_CHECKING:
    from cardioloom.store.check import Checked

DONE, FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
STDOUT = Path("-")

app = App(
    name="cardioloom",
    version=__version__,
    help="Reads the heart from ECG files. Not a diagnosis; for research use.\n\n--debug shows tracebacks.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # run() says in one sentence what is kept
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        code = run(arguments, debug=debug)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our pipe has left (| head); Python must not complain again at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command; errors become one sentence on stderr and an exit code."""
    if debug:
        logging.basicConfig(format="%(message)s")
        LOG.setLevel(logging.DEBUG)
    else:
        # What libraries log about a file's oddities is not for the terminal; what matters is in the report.
        logging.disable(logging.CRITICAL)
    try:
        code = app(_with_dashes(arguments), exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else DONE
    except CycloptsError as error:
        return complain(error, WRONG_CALL)
    except UsageError as error:
        return complain(error, WRONG_CALL)
    except CardioloomError as error:
        return complain(error, FAILED)
    except KeyboardInterrupt:
        return complain("interrupted: what was complete is written", INTERRUPTED)
    finally:
        logging.disable(logging.NOTSET)


def _with_dashes(arguments: Sequence[str]) -> list[str]:
    """``--json -`` as ``--json=-``: cyclopts takes a lone dash for the beginning of another option."""
    joined: list[str] = []
    for argument in arguments:
        if argument == "-" and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += "=-"
        else:
            joined.append(argument)
    return joined


def _verb(verb: Callable[..., object]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command with the signature and the help text of a verb; an option of one letter also with one dash.

    Its return annotation is left out: resolving it would import the records, and with them numpy, for ``--help``.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        wrapped = functools.wraps(verb)(command)
        hints = {name: hint for name, hint in verb.__annotations__.items() if name != "return"}
        short = {
            name: Annotated[hint, Parameter(name=(f"--{name}", f"-{name}"))]
            for name, hint in hints.items()
            if len(name) == 1
        }
        wrapped.__annotations__ = hints | short
        return app.command(wrapped)

    return decorate


@_verb(api.read)
def read(*paths: Path, **options: Any) -> int:
    # Each report is shown as soon as it is there; api.read would return them all at the end.
    from cardioloom.app.show import show_reports

    is_json_shown = options.get("json") == STDOUT
    if options.get("html") == STDOUT:
        raise UsageError("--html takes a file name, got -: name the page to write")
    reading = api.read_each(*paths, **options | ({"json": None} if is_json_shown else {}))
    if is_json_shown and len(reading.files) > 1:
        raise UsageError(f"--json - takes one ECG, got {len(reading.files)} files: give a folder to write to")
    return show_reports(reading, is_json_shown=is_json_shown)


@_verb(api.convert)
def convert(source: Path, target: Path, **options: Any) -> int:
    Console().print(f"wrote {api.convert(source, target, **options)}", highlight=False, soft_wrap=True, markup=False)
    return DONE


@_verb(api.embed)
def embed(model: str, *places: Path, **options: Any) -> int:
    # One ECG at a time for the bar; api.embed would answer at the end.
    from cardioloom.app.show import show_embedding

    return show_embedding(api.embed_each(model, *places, **options))


@_verb(api.similar)
def similar(file: Path, index: Path, /, **options: Any) -> int:
    # Each ECG's neighbours as soon as they are there.
    from cardioloom.app.searching import show_similar

    json = options.pop("json", None)
    searching = api.similar_each(file, index, json=None if json == STDOUT else json, **options)
    return show_similar(searching, json)


@_verb(api.simulate)
def simulate(out: Path, /, **options: Any) -> int:
    from cardioloom.app.cohorts import show_built

    return show_built("simulating", lambda progress: api.build_simulated(out, progress=progress, **options))


@_verb(api.cohort)
def cohort(action: Any, source: Path, out: Path | None = None, /, **options: Any) -> int:
    from cardioloom.app.cohorts import show_built, show_checked

    if action == "build" and "html" not in options:  # api.cohort refuses a page of a cohort that is being built
        return show_built("building", lambda progress: api.build_cohort(source, out, progress=progress, **options))
    checked = api.cohort(action, source, out, **options)
    return show_checked(cast("Checked", checked), options.get("html"))


@_verb(api.train)
def train(recipe: Any, cohort: Path, out: Path, /, **options: Any) -> int:
    from cardioloom.app.training import show_training

    return show_training(lambda watch: api.begin_training(recipe, cohort, out, watch=watch, **options))


@_verb(api.calibrate)
def calibrate(model: str, cohort: Path, out: Path, /, **options: Any) -> int:
    from cardioloom.app.calibrating import show_calibration

    return show_calibration(lambda progress: api.run_calibration(model, cohort, out, progress=progress, **options))


@_verb(api.evaluate)
def evaluate(model: str, cohort: Path, out: Path, /, **options: Any) -> int:
    from cardioloom.app.evaluating import show_evaluation

    return show_evaluation(lambda progress: api.evaluate_with(model, cohort, out, progress=progress, **options))


@_verb(api.weights)
def weights(action: Any, name: str | None = None, file: Path | None = None, /, **options: Any) -> int:
    from cardioloom.app.show import fetch_shown, show_weights

    if action == "fetch" and name is not None and file is None:
        show_weights(action, fetch_shown(name, **options))
    else:
        show_weights(action, api.weights(action, name, file, **options))
    return DONE


@app.command
def doctor(*, json: Path | None = None) -> int:
    """Examine the installation: Python, dependencies, extras, formats, and every installed model on every runtime.

    Args:
        json: where to write the result as JSON; - for standard output.
    """
    from cardioloom.app.show import show_doctor

    findings = api.doctor()
    show_doctor(findings, json)
    return DONE if findings["healthy"] else FAILED


if __name__ == "__main__":
    main()
