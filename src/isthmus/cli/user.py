"""`isthmus user`: people who sign in to the console in the browser with a password."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption

app = typer.Typer(help="People who sign in to the console in the browser with a password.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
PasswordStdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; asked for otherwise.")
]


@app.command("create")
def create(
    name: NameArgument,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="admin: may change everything; read.")] = "read",
    password_stdin: PasswordStdinOption = False,
    context: ContextOption = None,
) -> None:
    """Create a user, with a password of at least 12 characters."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import say

    if role not in ("admin", "read"):
        raise CommandError(f"--role: {role!r} is not a role; write admin or read.", Exit.USAGE)
    password = _password(password_stdin)
    with connect(context) as console:
        console.request("POST", "/accounts", {"name": name, "role": role, "password": password})
    say(f"user {name} created; signs in at {console.url}")


@app.command("list")
def list_users(context: ContextOption = None, output: FormatOption = Format.TABLE) -> None:
    """List the users."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_table, print_value

    with connect(context) as console:
        answer = console.get("/accounts")
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    print_table(
        ("NAME", "ROLE", "CREATED"), ((each["name"], each["role"], each["created"]) for each in answer["items"])
    )


@app.command("password")
def password(name: NameArgument, password_stdin: PasswordStdinOption = False, context: ContextOption = None) -> None:
    """Give a user another password; whoever is signed in with the old one is signed out."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import say

    given = _password(password_stdin)
    with connect(context) as console:
        console.request("PUT", f"/accounts/{quote(name, safe='')}/password", {"password": given})
    say(f"password of {name} changed")


@app.command("remove")
def remove(name: NameArgument, context: ContextOption = None) -> None:
    """Remove a user, who is signed out at once."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import say

    with connect(context) as console:
        console.request("DELETE", f"/accounts/{quote(name, safe='')}")
    say(f"user {name} removed")


def _password(from_stdin: bool) -> str:
    """The password, from a pipe or typed twice; never from the command line, which others can read."""
    if from_stdin:
        return sys.stdin.read().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask for the password; use --password-stdin.", Exit.USAGE)
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
