import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.identity import JoinToken, Role, TokenInvalid, parse_token

TOKEN = JoinToken.create(("https://10.0.0.1:7400",), "ab" * 32, Role.SITE, "fra")


def test_a_token_is_one_line_and_read_back() -> None:
    line = TOKEN.encode()
    assert line.startswith("isthmus1.")
    assert len(line.split()) == 1
    assert parse_token(f"  {line}\n") == TOKEN


def test_every_token_has_its_own_secret() -> None:
    other = JoinToken.create(TOKEN.urls, TOKEN.ca_sha256, TOKEN.role, TOKEN.name)
    assert other.secret_digest != TOKEN.secret_digest
    assert TOKEN.secret not in TOKEN.secret_digest


@pytest.mark.parametrize(
    "line", ["", "isthmus1.", "isthmus2.e30", "isthmus1.e30", TOKEN.encode()[:-9], "isthmus1.####"]
)
def test_a_damaged_token_is_refused(line: str) -> None:
    with pytest.raises(TokenInvalid):
        parse_token(line)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        parse_token(text)
