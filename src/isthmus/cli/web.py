"""`isthmus web`: the console in the browser, without typing a token."""

from isthmus.cli.option import ContextOption, Format, FormatOption


def web(context: ContextOption = None, output: FormatOption = Format.TABLE) -> None:
    """Print a link that signs a browser in to the console, once, within ten minutes, with the rights of your token."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value, say

    with connect(context) as console:
        answer = console.request("POST", "/sign-in-codes", {})
        url = f"{console.url}/sign-in#{answer['code']}"
    if output is not Format.TABLE:
        print_value({"url": url, "expires": answer["expires"]}, output)
        return
    print(url)
    say(f"signs one browser in, once, until {answer['expires']}")
