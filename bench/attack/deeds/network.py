"""Deeds on sockets; the target is a port, a name or a path."""

from __future__ import annotations

import socket


def connect_by_tcp(port: str) -> None:
    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()


def listen_on_tcp(_: str) -> None:
    socket.create_server(("127.0.0.1", 0)).close()


def send_by_udp(_: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"secret", ("127.0.0.1", 9))


def send_raw_packets(_: str) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def connect_to_an_abstract_socket(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("\0" + name)


def connect_to_a_local_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


def send_from_a_pair(path: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.sendto(b"secret", path)


def ask_the_kernel(_: str) -> None:
    """Netlink: every address and route of the host."""
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def reach_the_machine_below(_: str) -> None:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
