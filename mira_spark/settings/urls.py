"""Which URLs may be asked."""

import ipaddress
import re
from collections.abc import Collection

from mira_spark.errors import ConfigError

# One plain spelling is taken: what two programs could read in two ways is refused.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f]*:[0-9a-f:]*\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?",
    re.ASCII,
)


_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)


_METADATA = {"metadata", "metadata.google.internal", "instance-data"}


_METADATA_ADDRESSES = {
    ipaddress.ip_address("fd00:ec2::254"),
    ipaddress.ip_address("100.100.100.200"),
}


def checked_url(url: str, hosts: Collection[str]) -> str:
    """The URL, unchanged, when a judge may be asked there.

    https to a host that is in `hosts` letter by letter; http as well to loopback. Never a cloud's
    metadata service, never a host spelt in an odd way. Raises ConfigError.
    """
    match = _URL.fullmatch(url)
    if match is None:
        # The URL is not shown: it may hold a user and password.
        raise ConfigError(
            "url: should read https://HOST[:PORT]/PATH in plain characters, the host in lower "
            "case, without user, password, query or fragment"
        )
    host = match["host"]
    address = _address(host.strip("[]"))
    if (address and _is_forbidden(address)) or host in _METADATA:
        raise ConfigError(f"url: {host} is never asked: it is link-local, metadata or no host")
    if match["port"] and int(match["port"]) > 65_535:
        raise ConfigError(f"url: port {match['port']} does not exist: 65535 is the last")
    if host.strip("[]") not in {each.strip("[]") for each in hosts}:
        listed = ", ".join(hosts) or "none"
        raise ConfigError(f"url: host {host} is not in hosts ({listed}); list it if it is meant")
    if match["scheme"] == "http" and not (host == "localhost" or (address and address.is_loopback)):
        raise ConfigError(f"url: {host} is asked over https only; http is for loopback")
    return url


def host_of(url: str) -> str:
    """The host of a checked URL, without brackets or port."""
    match = _URL.fullmatch(url)
    return match["host"].strip("[]") if match else ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host spells, None for a name; ConfigError for an odd spelling."""
    labels = host.split(".")
    numeric = ":" in host or _NUMERIC.fullmatch(labels[-1])
    if numeric:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if address is None or str(address) != host:
            raise ConfigError(f"url: {host} should be an address as usually written, or a name")
        return address
    if not all(map(_LABEL.fullmatch, labels)) or any(each.startswith("xn--") for each in labels):
        raise ConfigError(f"url: {host} is no plain host name")
    return None


def _is_forbidden(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and not address.is_loopback)
        or address in _METADATA_ADDRESSES
    )
