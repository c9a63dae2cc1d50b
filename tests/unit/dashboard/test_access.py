"""Tokens for our routes."""

from __future__ import annotations

import stat

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from core.storage.workspace import Workspace
from dashboard import access
from dashboard.login_sessions import LOGIN_COOKIE


def asked(token: str, *, cookie: str = "", query: bool = False) -> Request:
    headers = [] if query else [(access.HEADER.lower().encode(), token.encode())]
    headers += [(b"cookie", f"{LOGIN_COOKIE}={cookie}".encode())] if cookie else []
    return Request({"type": "http", "headers": headers, "query_string": f"token={token}".encode() if query else b""})


def test_a_token_opens_by_header_and_by_link(workspace: Workspace) -> None:
    token = access.token()
    access.require_token(asked(token))
    access.require_token(asked(token, query=True))


@pytest.mark.parametrize("token", ["", "nonsense", "IiI.aaaa.bbbb"])
def test_what_we_have_not_signed_opens_nothing(workspace: Workspace, token: str) -> None:
    with pytest.raises(HTTPException, match="403"):
        access.require_token(asked(token))


def test_a_token_made_without_a_login_is_none_with_one_and_the_other_way_round(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = access.token()
    monkeypatch.setattr(type(access.st.context), "cookies", {LOGIN_COOKIE: "ada"})
    ada = access.token()
    access.require_token(asked(ada, cookie="ada"))
    for token, cookie in ((free, "ada"), (ada, ""), (ada, "bob")):
        with pytest.raises(HTTPException, match="403"):
            access.require_token(asked(token, cookie=cookie))


def test_a_token_ends(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    token = access.token()
    monkeypatch.setattr(access, "LIFETIME_SECONDS", -1)
    with pytest.raises(HTTPException, match="403"):
        access.require_token(asked(token))


def test_another_workspaces_token_is_of_no_use_and_the_secret_is_private(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = access.token()
    assert stat.S_IMODE((workspace.root / access.SECRET_FILE).stat().st_mode) == 0o600
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path_factory.mktemp("other")))
    with pytest.raises(HTTPException, match="403"):
        access.require_token(asked(token))
