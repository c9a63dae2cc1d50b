"""Requests that make no sense: each is refused in words, and none is a fault of the server's."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance

SIZES = ("-1", "1e400", "-1e400", "NaN", "Infinity", "true", "null", "1.9", '"1"', "9" * 400, "9" * 5000, "[]", "{}", '"x"')
NAMES = (
    '"a\\u0000b"',
    '"\\ud800"',
    '"a\\nb"',
    '"../a"',
    '"/etc/passwd"',
    '".."',
    '""',
    '" "',
    "7",
    "null",
    '"\\u0085"',
    '"C:\\\\..\\\\x"',
)
POSITIONS = ("-1", "1e3", "x", "", "%D9%A3", "9" * 5000, "+1", "0x1", "1_0", "%00", "NaN")
OPTIONS = (
    '{"inputs":"x"}',
    '{"inputs":[{}]}',
    '{"inputs":["a\\u0000b"]}',
    '{"outputs":["\\ud800"]}',
    "[1]",
    "5",
    '"x"',
    "[" * 100_000,
)


def bodies() -> Iterator[bytes]:
    yield from (b"", b"\xff", b"\0", b"{", b"7", b"[]", b"{}", b'{"files": {}}', b'{"files": []}', b'{"files": "abc"}')
    yield from (b"[" * 200_000, b'{"a":' * 100_000, b'{"files": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    yield b'{"files": "' + b"a" * (9 << 20) + b'"}'
    yield from (f'{{"files": [{{"name": "a", "size": {size}}}]}}'.encode() for size in SIZES)
    yield from (f'{{"files": [{{"name": {name}, "size": 1}}]}}'.encode() for name in NAMES)
    yield json.dumps({"files": [{"name": "a" * 300, "size": 1}]}).encode()
    yield json.dumps({"files": [{"name": "a/" * 1500 + "b", "size": 1}]}).encode()
    yield json.dumps({"files": [{"name": f"f{n}", "size": 0} for n in range(20_001)]}).encode()
    yield json.dumps({"files": [{"name": "a", "size": 1}, {"name": "a/b", "size": 1}]}).encode()


def beginnings(instance: Instance, tries: Tries) -> None:
    for body in bodies():
        answer = instance.ask("POST", UPLOADS, body)
        tries.hold(answer.in_words, f"{body[:60]!r} answered {answer.status}: {answer.body[:80]!r}")


def slices(instance: Instance, tries: Tries) -> None:
    upload = instance.begin(("a.onnx", 3)).json()["id"]
    for position in POSITIONS:
        for path in (f"{UPLOADS}/{upload}/0?offset={position}", f"{UPLOADS}/{upload}/{position or 'x'}?offset=0"):
            answer = instance.ask("PUT", path, b"abc")
            tries.hold(answer.refused, f"{path[-60:]} answered {answer.status}")
    for offset, data in ((0, b"abcd"), (2, b"x"), (10**17, b"x")):
        answer = instance.ask("PUT", f"{UPLOADS}/{upload}/0?offset={offset}", data)
        tries.hold(answer.in_words, f"{len(data)} bytes at {offset} answered {answer.status}")
    instance.ask("DELETE", f"{UPLOADS}/{upload}")


def endings(instance: Instance, tries: Tries) -> None:
    upload = instance.begin(("a.onnx", 1)).json()["id"]
    instance.ask("PUT", f"{UPLOADS}/{upload}/0?offset=0", b"a")
    for options in OPTIONS:
        answer = instance.ask("POST", f"{UPLOADS}/{upload}/finish", options.encode())
        tries.hold(answer.in_words, f"{options[:40]} answered {answer.status}")
    instance.ask("DELETE", f"{UPLOADS}/{upload}")


def places(instance: Instance, tries: Tries) -> None:
    odd = ("..", "%2e%2e", "a%2f..%2f..", "%00", "%ff", "*", "[a-z]*", "0" * 64, "x" * 5000, "-h", "~", "%5c..")
    for one in odd:
        for path in (
            f"/engine-room/builds/{one}/log",
            f"/engine-room/builds/{'0' * 64}/{one}",
            f"/engine-room/models/{one}/nodes/tensorrt/1",
            f"/engine-room/models/{'0' * 64}/nodes/{one}/1",
            f"/engine-room/models/{'0' * 64}/nodes/tensorrt/{'9' * 5000}",
            f"{UPLOADS}/{one}",
            f"/engine-room/assets/{one}",
            f"/media/{one}",
            f"/component/{one}/x",
            f"/_stcore/bidi-components/{one}/x",
        ):
            answer = instance.ask("GET", path)
            harmless = 400 <= answer.status < 500 or (answer.status == 200 and b"<title>Engine Room" in answer.body)
            tries.hold(harmless and b"root:" not in answer.body, f"{path[:80]} answered {answer.status}: {answer.body[:60]!r}")


def heads(instance: Instance, tries: Tries) -> None:
    host = f"Host: 127.0.0.1:{instance.port}\r\n".encode()
    for told, data in (
        ("a header of 1 MB", b"GET / HTTP/1.1\r\n" + host + b"A: " + b"a" * (1 << 20) + b"\r\n\r\n"),
        ("20,000 headers", b"GET / HTTP/1.1\r\n" + host + b"".join(b"A%d: b\r\n" % n for n in range(20_000)) + b"\r\n"),
        ("an address of 200 kB", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + host + b"\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\n" + host + b"Host: evil.example\r\n\r\n"),
        ("a length below zero", b"POST / HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\n"),
        ("two lengths", b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00"),
    ):
        heard = instance.say(data, seconds=5)
        tries.hold(heard[9:10] in (b"4", b""), f"{told} answered {heard[:60]!r}")
    tries.hold(instance.ask("GET", "/_stcore/health").status == 200, "the server does not answer any more")


ATTACKS = (
    Attack(name="beginnings of uploads that are none", run=beginnings),
    Attack(name="slices that fit nowhere", run=slices),
    Attack(name="names of tensors that are none", run=endings),
    Attack(name="addresses that lead elsewhere", run=places),
    Attack(name="heads of requests that are none", run=heads),
)
