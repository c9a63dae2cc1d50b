"""Which names the server answers to."""

from __future__ import annotations

import pytest

from dashboard.hosts import HOSTS_VARIABLE, configured_hosts


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:8501", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.8.8.8:80", True),
        ("[::1]:8501", True),
        ("engines.example.org", True),
        ("Engines.Example.Org:443", True),
        ("a.team.example.org", True),
        ("192.168.3.4:8501", True),
        ("login.example.org", True),
        ("evil.example", False),
        ("engines.example.org.evil.example", False),
        ("evilteam.example.org", False),
        ("team.example.org", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("localhost/x", False),
        ("localhost:99999999", False),
        ("2130706433", False),
        ("0.0.0.0", False),  # noqa: S104
        ("", False),
        ("evil.example, localhost", False),
        ("lоcalhost", False),
    ],
)
def test_loopback_names_and_configured_ones(monkeypatch: pytest.MonkeyPatch, host: str, answered: bool) -> None:
    monkeypatch.setenv(HOSTS_VARIABLE, "engines.example.org, *.team.example.org")
    hosts = configured_hosts(["192.168.3.4", "https://login.example.org/oauth2callback", None, ""])
    assert hosts.answer(host) is answered


def test_nothing_but_loopback_without_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOSTS_VARIABLE, raising=False)
    assert not configured_hosts().answer("engines.example.org")
    monkeypatch.setenv(HOSTS_VARIABLE, "*")
    assert configured_hosts().answer("engines.example.org")
