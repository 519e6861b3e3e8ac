"""Where a judge may be asked: one plain spelling of an allow-listed host, and nothing else."""

import pytest

from mira_spark.errors import ConfigError
from mira_spark.settings.urls import checked_url, host_of

HOSTS = (
    "api.openai.com",
    "adb-123.4.azuredatabricks.net",
    "vllm",
    "10.1.2.3",
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "::1",
    "[fd00::7]",
)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://api.openai.com", "api.openai.com"),
        ("https://api.openai.com/", "api.openai.com"),
        ("https://api.openai.com/v1/", "api.openai.com"),
        ("https://api.openai.com:443/v1", "api.openai.com"),
        ("https://api.openai.com:8443/v1", "api.openai.com"),
        (
            "https://adb-123.4.azuredatabricks.net/serving-endpoints",
            "adb-123.4.azuredatabricks.net",
        ),
        ("https://vllm:8000/a/b-c/d_e/v1.5", "vllm"),
        ("https://10.1.2.3/v1", "10.1.2.3"),
        ("https://[fd00::7]:8000/v1", "fd00::7"),
        ("https://127.0.0.1/v1", "127.0.0.1"),
        ("http://127.0.0.1/v1", "127.0.0.1"),
        ("http://127.0.0.1:65535/v1", "127.0.0.1"),
        ("http://127.8.9.1:8000/v1", "127.8.9.1"),
        ("http://localhost:8000/v1", "localhost"),
        ("http://[::1]:8000/v1", "::1"),
    ],
)
def test_a_listed_host_in_its_plain_spelling_may_be_asked(url: str, host: str) -> None:
    assert checked_url(url, HOSTS) == url
    assert host_of(url) == host


SPELLING = "should read https://HOST"
UNLISTED = "is not in hosts"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", SPELLING),
        ("api.openai.com", SPELLING),
        ("api.openai.com/v1", SPELLING),
        ("//api.openai.com/v1", SPELLING),
        ("https:api.openai.com/v1", SPELLING),
        ("https:/api.openai.com/v1", SPELLING),
        ("https:///v1", SPELLING),
        ("https://", SPELLING),
        ("ftp://api.openai.com/v1", SPELLING),
        ("file:///etc/passwd", SPELLING),
        ("gopher://127.0.0.1:6379/_x", SPELLING),
        ("javascript:alert(1)", SPELLING),
        ("HTTPS://api.openai.com/v1", SPELLING),
        ("https://API.openai.com/v1", SPELLING),
        (" https://api.openai.com/v1", SPELLING),
        ("https://api.openai.com/v1\n", SPELLING),
        ("https://api.openai.com/v1 ", SPELLING),
        ("https://api.\topenai.com/v1", SPELLING),
        ("https://api.openai.com\r\nHost:evil.com/v1", SPELLING),
        ("https://api.openai.com\\@evil.com/v1", SPELLING),
        ("https://evil.com\\api.openai.com/v1", SPELLING),
        ("https://api.openai.com@evil.com/v1", SPELLING),
        ("https://user@api.openai.com/v1", SPELLING),
        ("https://user:hunter2@api.openai.com/v1", SPELLING),
        ("https://api.openai.com%2eevil.com/v1", SPELLING),
        ("https://api%2eopenai.com/v1", SPELLING),
        ("https://api.openai.com/v1?key=hunter2", SPELLING),
        ("https://api.openai.com?@evil.com/", SPELLING),
        ("https://api.openai.com/v1#x", SPELLING),
        ("https://api.openai.com#@evil.com/", SPELLING),
        ("https://api.openai.com;evil.com/v1", SPELLING),
        ("https://*.openai.com/v1", SPELLING),
        ("https://api_openai.com/v1", SPELLING),
        ("https://api.openai.com:/v1", SPELLING),
        ("https://api.openai.com:0/v1", SPELLING),
        ("https://api.openai.com:0443/v1", SPELLING),
        ("https://api.openai.com:-1/v1", SPELLING),
        ("https://api.openai.com:443:80/v1", SPELLING),
        ("https://api.openai.com:https/v1", SPELLING),
        ("https://api.openai.com:100000/v1", SPELLING),
        ("https://api.openai.com:65536/v1", "port 65536 does not exist"),
        ("https://api.openai.com:\u0664\u0664\u0663/v1", SPELLING),
        ("https://api.openai.com/v1/../admin", SPELLING),
        ("https://api.openai.com/./v1", SPELLING),
        ("https://api.openai.com//v1", SPELLING),
        ("https://api.openai.com/v1/%2e%2e/x", SPELLING),
        ("https://\u0430pi.openai.com/v1", SPELLING),
        ("https://api\u3002openai\u3002com/v1", SPELLING),
        ("https://\u24d0pi.openai.com/v1", SPELLING),
        ("https://xn--pi-7kc.openai.com/v1", "no plain host name"),
        ("https://api.openai.com./v1", "no plain host name"),
        ("https://.api.openai.com/v1", "no plain host name"),
        ("https://api..openai.com/v1", "no plain host name"),
        ("https://-api.openai.com/v1", "no plain host name"),
        ("https://api-.openai.com/v1", "no plain host name"),
        ("https://./v1", "no plain host name"),
        ("https://openai.com/v1", UNLISTED),
        ("https://evil-api.openai.com/v1", UNLISTED),
        ("https://api.openai.com.evil.com/v1", UNLISTED),
        ("https://sub.api.openai.com/v1", UNLISTED),
        ("https://api-openai.com/v1", UNLISTED),
        ("https://evil.com/api.openai.com/v1", UNLISTED),
        ("https://10.1.2.4/v1", UNLISTED),
        ("https://192.168.0.1/v1", UNLISTED),
        ("https://172.16.0.1/v1", UNLISTED),
        ("https://127.0.0.2/v1", UNLISTED),
        ("http://127.0.0.2/v1", UNLISTED),
        ("https://[fd00::8]/v1", UNLISTED),
        ("http://api.openai.com/v1", "https only"),
        ("http://vllm:8000/v1", "https only"),
        ("http://10.1.2.3/v1", "https only"),
        ("http://[fd00::7]/v1", "https only"),
        ("http://2130706433/v1", "an address as usually written"),
        ("http://0x7f000001/v1", "an address as usually written"),
        ("http://0x7f.0.0.1/v1", "an address as usually written"),
        ("http://017700000001/v1", "an address as usually written"),
        ("http://0177.0.0.1/v1", "an address as usually written"),
        ("http://127.0.0.01/v1", "an address as usually written"),
        ("http://127.1/v1", "an address as usually written"),
        ("http://127.0.0.0x1/v1", "an address as usually written"),
        ("http://127.0.0.256/v1", "an address as usually written"),
        ("http://127.0.0.1.1/v1", "an address as usually written"),
        ("http://127.0.0.1./v1", "no plain host name"),
        ("http://[0:0:0:0:0:0:0:1]/v1", "an address as usually written"),
        ("http://[::01]/v1", "an address as usually written"),
        ("http://[::1%25eth0]/v1", SPELLING),
        ("http://[127.0.0.1]/v1", SPELLING),
        ("https://[vllm]/v1", SPELLING),
        ("https://[deadbeef]/v1", SPELLING),
        ("http://::1/v1", SPELLING),
        ("http://[::1/v1", SPELLING),
        ("http://localhost.localdomain/v1", UNLISTED),
    ],
)
def test_any_other_spelling_or_host_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_url(url, HOSTS)
    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "metadata.google.internal",
        "metadata",
        "2852039166",
        "0xa9fea9fe",
        "xn--bcher-kva.example",
        "api.openai.com.",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_some_hosts_are_never_asked_even_if_listed(scheme: str, host: str) -> None:
    with pytest.raises(ConfigError):
        checked_url(f"{scheme}://{host}/latest/meta-data", [host, host.strip("[]")])


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://api.openai.com/v1"])
def test_without_a_list_nothing_may_be_asked(url: str) -> None:
    with pytest.raises(ConfigError, match=UNLISTED):
        checked_url(url, [])
