"""ACL tokens that cannot be sent."""

from __future__ import annotations

import pytest

from isthmus.discovery.consul.api import Api
from isthmus.discovery.error import CredentialError
from isthmus.discovery.setting import ConsulSettings


@pytest.mark.parametrize("token", ["t0kén", "t0k\nn: 1", "t0k\x7f"])
def test_a_token_that_no_header_holds_is_refused_in_words(token: str) -> None:
    with pytest.raises(CredentialError, match=r"no header of HTTP can hold character 4 of the ACL token") as refused:
        Api(ConsulSettings("https://consul.example"), token)
    assert "t0k" not in str(refused.value)
