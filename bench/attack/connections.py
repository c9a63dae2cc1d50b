"""Many connections: half requests, bodies that do not come, and very many uploads at once."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance, Probes
from dashboard.http_protocol import HEADER_SECONDS

HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\nA: "


def half_requests(instance: Instance, tries: Tries) -> None:
    count = 100 if instance.quick else 400
    with Probes(instance) as probes, ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", instance.port))) for _ in range(count)]
        for one in held:
            one.sendall(HALF)
        deadline = time.monotonic() + HEADER_SECONDS + 5
        for one in held:
            one.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                tries.hold(one.recv(1) == b"", "half a request was answered")
            except TimeoutError:
                tries.hold(False, f"half a request was still waited for after {HEADER_SECONDS + 5:g} s")
            except OSError:
                tries.hold(True, "")
    tries.hold(not probes.failed, f"the server did not answer meanwhile: {probes.failed[:3]}")


def at_once(instance: Instance, tries: Tries) -> None:
    def one(number: int) -> str:
        try:
            begun = instance.begin((f"m{number}.onnx", 3))
            if begun.status != 200:
                return f"the beginning answered {begun.status}: {begun.body[:80]!r}"
            path = f"{UPLOADS}/{begun.json()['id']}"
            steps = (("PUT", f"{path}/0?offset=0", b"abc"), ("GET", path, None), ("DELETE", path, None))
            found = [instance.ask(*step).status for step in steps]
        except OSError as error:
            return f"no answer: {error}"
        return "" if found == [200, 200, 200] else f"the steps answered {found}"

    with ThreadPoolExecutor(100) as threads:
        for told in threads.map(one, range(200)):
            tries.hold(not told, told)


def cut_bodies(instance: Instance, tries: Tries) -> None:
    """Connections that end in the middle of a slice: what has come may stay, and the next try goes on."""
    for _ in range(10 if instance.quick else 50):
        upload = instance.begin(("a.onnx", 100)).json()["id"]
        head = f"PUT {UPLOADS}/{upload}/0?offset=0 HTTP/1.1\r\nHost: localhost\r\nX-Engine-Room-Token: {instance.token}\r\n"
        with socket.create_connection(("127.0.0.1", instance.port)) as connection:
            connection.sendall(head.encode() + b"Content-Length: 100\r\n\r\n" + b"y" * 10)
            time.sleep(0.05)
        have = int(instance.ask("GET", f"{UPLOADS}/{upload}").json()["received"][0])
        answer = instance.ask("PUT", f"{UPLOADS}/{upload}/0?offset={have}", b"z" * (100 - have))
        tries.hold(answer.status == 200 and answer.json() == {"received": 100}, f"it did not go on: {answer.status}")
        instance.ask("DELETE", f"{UPLOADS}/{upload}")


ATTACKS = (
    Attack(name="half requests that are never ended", run=half_requests),
    Attack(name="two hundred uploads at once", run=at_once),
    Attack(name="slices that are cut off", run=cut_bodies),
)
