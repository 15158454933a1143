"""What the command lines of `sweeps` and `analysis` share: `--json`, and what Tab completes.

The Tab key completes commands and options, and the names of studies. For bash and zsh, once:
`eval "$(register-python-argcomplete kdlab-sweeps)"`, and so for `kdlab-analysis`; for `kdlab`
`kdlab -sc install=bash` prints what Hydra has.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from kdlab.storage.roots import default_root
from sweeps.study import folders


def add_json(command: argparse.ArgumentParser) -> None:
    """Let a command print one line of JSON in place of its text: `as_json` says so."""
    text = "print one line of JSON, for scripts"
    command.add_argument("--json", dest="as_json", action="store_true", help=text)


def answer_completion(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit; else do nothing.

    To be called before anything else is loaded, as the shell asks at every press of the key.
    """
    if "_ARGCOMPLETE" in os.environ:  # which argcomplete's shell function sets
        import argcomplete

        argcomplete.autocomplete(parser)


def of_studies(argument: Any) -> None:
    """Let an argument be completed by the names of studies: the project's, kdlab's, the root's."""
    argument.completer = _studies


def _studies(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    launched = Path(parsed_args.root or default_root()).glob("studies/*/plan.parquet")
    return sorted(folders.names() | {path.parent.name for path in launched})
