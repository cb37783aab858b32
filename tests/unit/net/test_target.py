"""URLs are read strictly: two hundred ways to mean another place than one seems to."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from filmgate.net.addresses import Fence
from filmgate.net.target import Unreachable, read_url


def tricks() -> Iterator[str]:
    """Yield URLs that a careless reader takes for harmless ones."""
    numbers = (
        "2130706433",
        "0x7f000001",
        "0x7F.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0.0",
        "00000.0",
        "127.0.0.1.",
        "127.0.0.01",
        "127.0.0.256",
        "0x7f.1",
        "1.2.3.4.5",
        "999999999999",
        "0x",
    )
    odd_hosts = (
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "loc\u0430lhost",
        "\uff4cocalhost",
        "local%68ost",
        "127.0.0.1%00.example.com",
        "example.com%2f@127.0.0.1",
        "%31%32%37.0.0.1",
        "exa mple.com",
        "exa\tmple.com",
        "exa\nmple.com",
        "exa\rmple.com",
        "exa\0mple.com",
        "example.com\\@127.0.0.1",
        "127.0.0.1\\.example.com",
        "example.com\\127.0.0.1",
        "a" * 64 + ".example.com",
        "a." * 200 + "com",
        "a" * 65_000,
        ".",
        "..",
        ".example.com",
        "example..com",
        "example.com..",
        "exam,ple.com",
        "exam;ple.com",
        "exam!ple.com",
        "exam'ple.com",
        'exam"ple.com',
        "exam<ple.com",
        "exam^ple.com",
        "exam`ple.com",
        "exam{ple}.com",
        "exam|ple.com",
        "exam$ple.com",
        "exam&ple.com",
        "exam(ple).com",
        "exam*ple.com",
        "exam+ple.com",
        "exam=ple.com",
        "exam~ple.com",
    )
    brackets = (
        "[::1]",
        "[::]",
        "[::ffff:7f00:1]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[2606:4700::1111%25lo]",
        "[::1",
        "::1",
        "::1]",
        "[]",
        "[v1.a]",
        "[127.0.0.1]",
        "[localhost]",
        "[::1].example.com",
        "[::1]example.com",
        "[[::1]]",
        "[::1]:80:80",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    )
    authorities = (
        "@127.0.0.1",
        "a@127.0.0.1",
        "a:b@127.0.0.1",
        "example.com@127.0.0.1",
        "example.com:80@127.0.0.1",
        "example.com:@127.0.0.1",
        "a@b@example.com",
        "@example.com",
        ":@example.com",
        "example.com:",
        "example.com:0",
        "example.com:22",
        "example.com:65536",
        "example.com:-1",
        "example.com:+80",
        "example.com:8 0",
        "example.com:\uff18\uff10",
        "example.com:80:80",
        "example.com:0x50",
        "127.0.0.1:80",
        "127.0.0.1:443",
        "localhost:80",
        "",
    )
    for scheme in ("http", "https"):
        for host in (*numbers, *odd_hosts, *brackets, *authorities):
            yield f"{scheme}://{host}/"
    yield from (
        "",
        "/",
        "//127.0.0.1/",
        "example.com",
        "http:",
        "http:/127.0.0.1/",
        "http:127.0.0.1",
        "http:///127.0.0.1",
        "http:\\\\127.0.0.1\\",
        "http:/\\127.0.0.1",
        "ht\ntp://127.0.0.1",
        " http://example.com",
        "http://example.com ",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:70/",
        "dict://127.0.0.1/",
        "data:text/plain,x",
        "javascript:alert(1)",
        "unix:///run/docker.sock",
        "jar:http://example.com!/",
        "http+unix://%2frun%2fdocker.sock/",
        "hTTps://localHOST/",
        "http://example.com/\x7f",
        "http://example.com/é",
        "https://example.com/#@127.0.0.1\n",
    )


def test_two_hundred_tricks_are_refused_or_mean_what_they_say() -> None:
    fence = Fence()
    tried = list(tricks())
    understood, said = {}, set[str]()

    for url in tried:
        try:
            target = fence.check(url)
        except Unreachable as error:
            said.add(str(error))
        else:
            understood[url] = target

    assert len(tried) > 200
    assert len(said) < 10, "no refusal says which address it is about"
    assert {(target.host, target.port) for target in understood.values()} <= {
        ("example.com", 80),
        ("example.com", 443),
    }, "nothing but an empty port"
    assert len(understood) == 2


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://example.com", "example.com", 80, "/"),
        ("HTTPS://Example.COM/A?b=%2F&c", "example.com", 443, "/A?b=%2F&c"),
        ("https://example.com:443/a#b", "example.com", 443, "/a"),
        ("https://my_bucket.s3.example.com./k", "my_bucket.s3.example.com.", 443, "/k"),
        ("https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example", 443, "/"),
        ("https://example.com?x", "example.com", 443, "/?x"),
        ("https://example.com/@a:b@c", "example.com", 443, "/@a:b@c"),
    ],
)
def test_a_plain_url_is_read_as_it_is_written(url: str, host: str, port: int, path: str) -> None:
    target = read_url(url)

    assert (target.host, target.port, target.path, target.address) == (host, port, path, None)


def test_a_host_that_is_an_address_is_one() -> None:
    assert read_url("http://8.8.8.8/").address == IPv4Address("8.8.8.8")
    assert read_url("http://[2606:4700::1111]:80/").address == IPv6Address("2606:4700::1111")
