"""What a health check refuses."""

import pytest
from pydantic import ValidationError

from isthmus.model.health_check import HealthCheckSpec, Payload


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "exactly one of http, tcp, grpc and udp"),
        ({"http": {}, "udp": {"send": {"text": "a"}}}, "exactly one of http, tcp, grpc and udp"),
        ({"udp": {}}, "Field required"),
        ({"tcp": {"send": {}}}, "exactly one of text and hex"),
        ({"tcp": {"send": {"text": "a", "hex": "00"}}}, "exactly one of text and hex"),
        ({"tcp": {"expect": [{"hex": "0g"}]}}, "is not hexadecimal"),
        ({"http": {"method": "HEAD", "expectedBody": "a"}}, "has no body"),
        ({"http": {"method": "CONNECT"}}, "Input should be"),
        ({"http": {"headers": [{"name": "x-isthmus-a", "value": "b"}]}}, "are reserved"),
    ],
)
def test_refused(spec: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        HealthCheckSpec.model_validate(spec, strict=False)


def test_bytes_are_written_as_text_or_in_hexadecimal() -> None:
    assert Payload(text="é\r\n").payload() == b"\xc3\xa9\r\n"
    assert Payload(hex="0a FF00").payload() == b"\x0a\xff\x00"
