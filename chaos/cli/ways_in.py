"""The verbs that help with the others: ``help`` and ``completion``."""

from __future__ import annotations

import argparse
from typing import Final

from chaos.cli.output import show
from chaos.core.errors import BadInput

_FILES: Final = ("FILE", "PATH")
_FOLDERS: Final = ("DIR", "RUN")


def help_(arguments: argparse.Namespace) -> int:
    """The help of a verb, or of the whole command."""
    from chaos.cli.main import parser, suggested, verbs_of

    top = parser()
    if arguments.about is None:
        show(top.format_help(), whole=True)
        return 0
    known = verbs_of(top)
    if arguments.about not in known:
        near = suggested(arguments.about, known)
        raise BadInput(f"there is no verb '{arguments.about}'", right=f"did you mean '{near}'?" if near else "nines help lists them")
    show(known[arguments.about].format_help(), whole=True)
    return 0


def completion(arguments: argparse.Namespace) -> int:
    """A script that completes verbs, options and files: it starts no Python when a key is pressed."""
    import shtab

    from chaos.cli.main import parser, verbs_of

    top = parser()
    for verb in verbs_of(top).values():
        for action in verb._actions:
            word = action.metavar if isinstance(action.metavar, str) else ""
            if word.startswith(_FILES):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif word.startswith(_FOLDERS):
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    show(shtab.complete(top, shell=arguments.shell), whole=True)
    return 0
