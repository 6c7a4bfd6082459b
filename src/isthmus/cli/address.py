"""`HOST:PORT` and networks on the command line."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from isthmus.cli.error import CommandError, Exit


def parse_address(text: str, option: str) -> tuple[str, int]:
    """Host and port of `192.0.2.1:80`, `[::1]:80` or `name:80`."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise CommandError(f"{option}: {text!r} is not HOST:PORT, for example 127.0.0.1:9100.", Exit.USAGE)
    return host.removeprefix("[").removesuffix("]"), int(port)


def parse_network(text: str, option: str) -> IPv4Network | IPv6Network:
    """A network in CIDR notation: `10.0.0.0/8`, `fd00::/8`."""
    try:
        return ip_network(text)
    except ValueError:
        raise CommandError(f"{option}: {text!r} is not a network, for example 10.0.0.0/8.", Exit.USAGE) from None
