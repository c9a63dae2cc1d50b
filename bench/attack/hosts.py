"""Another site in a user's browser: names that lead here, and frames."""

from __future__ import annotations

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance

FOREIGN = (
    "evil.example",
    "evil.example:8501",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost@evil.example",
    "evil.example/localhost",
    "169.254.169.254",
    "2130706433",
    "0x7f000001",
    "",
    "localhost evil.example",
)
PATHS = ("/", "/system", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/static/js/x.js", UPLOADS, "/media/x")
SOCKET = (
    "GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def rebound(instance: Instance, tries: Tries) -> None:
    for host in FOREIGN:
        for path in PATHS:
            heard = instance.say(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(), seconds=3)
            status = heard.split(b" ")[1:2]
            tries.hold(status in ([b"421"], [b"400"]), f"{path} under {host!r} answered {heard[:60]!r}")
    heard = instance.say(b"GET / HTTP/1.0\r\n\r\n", seconds=3)
    tries.hold(b" 421 " in heard[:20], f"a request without a host was answered {heard[:60]!r}")


def sockets(instance: Instance, tries: Tries) -> None:
    for host in FOREIGN:
        heard = instance.say(SOCKET.format(host=host).encode(), seconds=2)
        tries.hold(b" 101 " not in heard[:20], f"a socket opened under {host!r}")
    foreign = SOCKET.replace("Origin: http://{host}", "Origin: http://evil.example")
    heard = instance.say(foreign.format(host=f"127.0.0.1:{instance.port}").encode(), seconds=2)
    tries.hold(b" 101 " not in heard[:20], "a socket opened for a page of another site")
    heard = instance.say(SOCKET.format(host=f"127.0.0.1:{instance.port}").encode(), seconds=2)
    tries.hold(b" 101 " in heard[:20], "our own page's socket did not open, so the tries before say nothing")


def frames(instance: Instance, tries: Tries) -> None:
    for path in ("/", "/jobs", "/engine", "/model", "/nowhere"):
        headers = instance.ask("GET", path).headers
        policy = headers.get("content-security-policy", "")
        tries.hold("frame-ancestors 'none'" in policy, f"{path} may be framed: {policy!r}")
        tries.hold(headers.get("x-frame-options") == "DENY", f"{path} may be framed in old browsers")
        tries.hold("img-src 'self' data: blob:" in policy, f"{path} may fetch pictures from elsewhere: {policy!r}")


def strangers(instance: Instance, tries: Tries) -> None:
    for token in ("", "x", "IiI.aaaa.bbbb", instance.token[:-2] + "aa", f"{instance.token}\udcff"):
        for method, path in (("POST", UPLOADS), ("GET", f"{UPLOADS}/{'0' * 32}"), ("GET", "/engine-room/builds/x/log")):
            status = instance.ask(
                method, path, b"{}", {"X-Engine-Room-Token": token.encode("utf-8", "replace").decode("latin-1")}
            )
            tries.hold(status.status == 403, f"{method} {path} with the token {token[:20]!r} answered {status.status}")


ATTACKS = (
    Attack(name="a name of another site that leads here (DNS rebinding)", run=rebound),
    Attack(name="a WebSocket under another name, or from another site's page", run=sockets),
    Attack(name="our pages in another site's frame, and what pages may fetch", run=frames),
    Attack(name="our own routes without a page's token", run=strangers),
)
