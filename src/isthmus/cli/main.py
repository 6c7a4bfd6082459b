"""`isthmus`: the entry point. Maps what goes wrong to a sentence and an exit code."""

import os
import sys

import typer

from isthmus.cli import (
    alerts,
    apis,
    apply,
    backup,
    compile,
    completion,
    console,
    context,
    delete,
    demo,
    diff,
    explain,
    get,
    region,
    restore,
    rollout,
    site,
    status,
    token,
    traffic,
    user,
    version,
    web,
)
from isthmus.cli.error import EXIT_CODES, CommandError, Exit
from isthmus.cli.output import say

app = typer.Typer(
    name="isthmus",
    help="A globally distributed application network: declare objects, and every site runs what it needs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_OBJECTS, _LOOK, _RUN, _ADMIN = "Objects", "Look around", "Processes", "Administration"
app.command("apply", rich_help_panel=_OBJECTS)(apply.apply)
app.command("diff", rich_help_panel=_OBJECTS)(diff.diff)
app.command("get", rich_help_panel=_OBJECTS)(get.get)
app.command("delete", rich_help_panel=_OBJECTS)(delete.delete)
app.command("compile", rich_help_panel=_OBJECTS)(compile.compile_objects)
app.add_typer(rollout.app, name="rollout", rich_help_panel=_OBJECTS)
app.command("status", rich_help_panel=_LOOK)(status.status)
app.add_typer(alerts.app, name="alerts", rich_help_panel=_LOOK)
app.command("explain", rich_help_panel=_LOOK)(explain.explain)
app.command("traffic", rich_help_panel=_LOOK)(traffic.traffic)
app.command("requests", rich_help_panel=_LOOK)(traffic.requests)
app.command("apis", rich_help_panel=_LOOK)(apis.apis)
app.command("web", rich_help_panel=_LOOK)(web.web)
app.command("demo", rich_help_panel=_LOOK)(demo.demo)
app.command("console", rich_help_panel=_RUN)(console.console)
app.command("region", rich_help_panel=_RUN)(region.region)
app.add_typer(site.app, name="site", rich_help_panel=_RUN)
app.add_typer(token.app, name="token", rich_help_panel=_ADMIN)
app.add_typer(user.app, name="user", rich_help_panel=_ADMIN)
app.add_typer(context.app, name="context", rich_help_panel=_ADMIN)
app.command("backup", rich_help_panel=_ADMIN)(backup.backup)
app.command("restore", rich_help_panel=_ADMIN)(restore.restore)
app.command("completion", rich_help_panel=_ADMIN)(completion.completion)
app.command("version", rich_help_panel=_ADMIN)(version.version)


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="isthmus")
    except CommandError as error:
        for detail in error.details:
            say(detail)
        say(f"isthmus: {error}")
        sys.exit(error.code)
    except BrokenPipeError:  # the reader of a pipe has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("ISTHMUS_TRACEBACK"):
            raise
        say(f"isthmus: internal error: {type(error).__name__}: {error} (ISTHMUS_TRACEBACK=1 shows where)")
        sys.exit(Exit.INTERNAL)
