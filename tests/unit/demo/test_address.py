"""Documentation addresses become loopback addresses, ports become free ones, and two plans do not meet."""

import random
import socket
from typing import Any

from isthmus.demo.address import AddressPlan
from isthmus.demo.example import load_example


def test_documents_are_rewritten_consistently() -> None:
    plan = AddressPlan(random.Random(1))
    resolved = plan.resolve(
        {
            "spec": {"address": "192.0.2.20", "port": 8001, "bgpPort": 7179, "weight": 8001},
            "list": [{"address": "192.0.2.20", "port": 8001}, {"address": "2001:db8::1"}, "192.0.2.7"],
            "version": "1.2.3.4",
            "name": "fra",
        }
    )
    network = plan.host(20).removesuffix(".20")
    assert network.startswith("127.")
    assert resolved["spec"]["address"] == f"{network}.20"
    assert resolved["list"][0] == {"address": f"{network}.20", "port": resolved["spec"]["port"]}
    assert resolved["list"][1:] == [{"address": "2001:db8::1"}, f"{network}.7"]
    assert resolved["spec"]["port"] != resolved["spec"]["bgpPort"]
    assert resolved["spec"]["weight"] == 8001
    assert (resolved["version"], resolved["name"]) == ("1.2.3.4", "fra")


def test_ports_are_free_and_given_once() -> None:
    plan = AddressPlan()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [plan.port(number) for number in range(20)]
        assert len(set(ports)) == 20
        assert taken.getsockname()[1] not in ports
    assert plan.port(3) == ports[3]


def test_no_port_is_given_twice() -> None:
    class Stuck(random.Random):
        """Says everything twice."""

        def choice(self, options: Any) -> Any:
            self.said = [*getattr(self, "said", ()), None]
            return options[len(self.said) // 2]

    plan = AddressPlan(Stuck(1))
    ports = [plan.free_port(), plan.free_port(), plan.port(80), plan.free_port()]
    assert len(set(ports)) == 4


def test_examples_hold_no_other_address() -> None:
    """Everything that the demo listens on is an address of its own network, with a port of its own."""
    plan = AddressPlan()
    text = str([load_example(name, plan) for name in ("demo", "canary")])
    assert "192.0.2." not in text
    assert "7443" not in text
