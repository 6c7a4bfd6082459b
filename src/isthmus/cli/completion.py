"""`isthmus completion`: a script that teaches a shell to complete commands."""

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that are supported."""

    BASH = "bash"
    ZSH = "zsh"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script of a shell.

    bash: `source <(isthmus completion bash)` in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # documented there

    print(get_completion_script(prog_name="isthmus", complete_var="_ISTHMUS_COMPLETE", shell=shell.value))
