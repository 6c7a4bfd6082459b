"""What a page's form sent: `application/x-www-form-urlencoded`, the same name any number of times."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from fastapi import Request

from isthmus.console.error import RequestRefused

_MOST_FIELDS = 20_000


class Form:
    """Names and values in the order in which they were sent."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def get(self, name: str, default: str = "") -> str:
        """The last value of a name."""
        return next((value for each, value in reversed(self.pairs) if each == name), default)

    def all(self, name: str) -> list[str]:
        """Every value of a name."""
        return [value for each, value in self.pairs if each == name]


async def read_form(request: Request) -> Form:
    """The form in a request's body.

    Raises:
        RequestRefused: 422 when it is none.
    """
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise RequestRefused(422, "invalid-request", f"The form cannot be read: {error}.") from None
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])
