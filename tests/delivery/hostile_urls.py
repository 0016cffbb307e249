"""URLs that must never be connected to. At `{port}` a listener of the test waits on loopback."""

from __future__ import annotations

# Names that the resolver of the test knows, and what it answers.
NAMES = {
    "private.test": ["10.0.0.7"],
    "loopback.test": ["127.0.0.1"],
    "loopback6.test": ["::1"],
    "mixed.test": ["93.184.215.14", "127.0.0.1"],
    "mixed6.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "shared.test": ["100.64.0.1"],
    "unique-local.test": ["fd00::1"],
    "link-local.test": ["fe80::1"],
    "link-local-zone.test": ["fe80::1%lo"],
    "six-to-four.test": ["2002:7f00:1::"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "nat64-local.test": ["64:ff9b:1::7f00:1"],
    "teredo.test": ["2001:0:7f00:1::1"],
    "multicast.test": ["224.0.0.1"],
    "unspecified.test": ["0.0.0.0"],
    "empty.test": [],
    "nonsense.test": ["127.0.0.1.5"],
    "xn--lcalhost-54a.test": ["127.0.0.1"],
}

_HOSTS = (
    # Loopback in every spelling that some reader takes.
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "localhost.localdomain",
    "ip6-localhost", "127.1", "127.0.1", "127.0.0.1.", "0127.0.0.1", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1", "0x7f000001", "0x7F000001", "2130706433", "017700000001", "00000000000177.0.0.1", "127.0.0.01",
    "127.000.000.001", "0", "0x0", "00", "0.0.0.0", "0.0.0", "127.0.0.1%00.example.org", "127.0.0.1%2e",
    "%31%32%37.0.0.1", "loc%61lhost", "127.0.0.1 ", "1.2.3.4.5", "256.256.256.256", "4294967297",
    "0x100000001", "127.0.0.0x1",
    # The same as IPv6.
    "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:1::1]", "[2001:0:7f00:1::]", "[2001::1]",
    "[fe80::1]",
    "[fe80::1%lo]", "[fe80::1%25lo]", "[::1%lo]", "[fc00::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "[ff0e::1]",
    "[2001:db8::1]", "[3fff::1]", "[100::1]", "[2001:20::1]", "[2001:2::1]", "[2606:4700::5efe:7f00:1]",
    "[2606:4700::200:5efe:127.0.0.1]", "[5f00::1]", "[::1", "::1", "[127.0.0.1]", "[v1.fe]",
    # Networks that are not the public internet.
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    # Letters that look like others, or that a reader turns into others.
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021", "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "localho\u017ft", "l\u24decalhost", "127.0.0.1\u200b", "\u217cocalhost",
    "example.org\u2024", "-localhost", "local_host-", "a" * 64, ".", "..", "localhost..",
    *NAMES,
)  # fmt: skip
_WHOLE = (
    "http://example.org@127.0.0.1:{port}/", "http://user:password@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.org/", "http://example.org#@127.0.0.1:{port}/", "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "//127.0.0.1:{port}/", "127.0.0.1:{port}", "",
    "http://example.org\\@127.0.0.1:{port}/", "http://127.0.0.1\\@example.org:{port}/", "http://127.0.0.1:{port}\\",
    "http://127.0.0.1:{port}\r\nX: y/", "http://127.0.0.1\t:{port}/", "\thttp://127.0.0.1:{port}/", " http://127.0.0.1/",
    "file:///etc/passwd", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/_x", "dict://127.0.0.1:{port}/",
    "javascript:alert(1)", "data:text/plain,x", "unix:///var/run/docker.sock", "jar:http://127.0.0.1:{port}/!",
    "http://127.0.0.1:{port}:{port}/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/",
    "http://127.0.0.1:/", "http://127.0.0.1:0x50/", "http://127.0.0.1: {port}/", "https://:{port}/", "https://",
    "http://[::1]{port}/", "http://[::1]:{port}x/", "https://127.0.0.1:{port}/?a=b", "HTTP://127.0.0.1:{port}/",
    "http://93.184.215.14/", "https://93.184.215.14:25/", "https://93.184.215.14:22/", "https://example.org:6x/",
    "https://example.org/" + "a" * 2_000,
)  # fmt: skip

URLS = [*(f"{scheme}://{host}:{{port}}/" for host in _HOSTS for scheme in ("http", "https")), *_WHOLE]


def at(port: int) -> list[str]:
    """All of them, with the port of a listener."""
    return [url.replace("{port}", str(port)) for url in URLS]


def resolve(host: str, port: int) -> list[str]:
    """Answer for the names above; for any other as for one that does not exist, except for this machine's own."""
    if host in NAMES:
        return NAMES[host]
    if host.endswith(("localhost", "localdomain")):
        return ["127.0.0.1", "::1"]
    raise OSError(-2, "Name or service not known")
