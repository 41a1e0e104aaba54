"""/sign-in and /sign-out: a browser shows the token once, and keeps a cookie instead."""

from __future__ import annotations

from aiohttp import web

from flower.core.errors import RequestRefused
from flower.web.auth import SESSION_SECONDS, SIGN_IN, SIGN_OUT, Session
from flower.web.keys import SESSION
from flower.web.rendering import show
from flower.web.requests import form

routes = web.RouteTableDef()


@routes.get(SIGN_IN)
async def page(request: web.Request) -> web.Response:
    """Ask for the token."""
    if request.app[SESSION] is None:
        raise web.HTTPSeeOther("/")
    return show(request, "sign_in.html", error=None, target=_inside(request.query.get("next", "/")))


@routes.post(SIGN_IN)
async def sign_in(request: web.Request) -> web.Response:
    """Take the token, and go on to the page that was wanted."""
    session = request.app[SESSION]
    if session is None:
        raise RequestRefused(409, "this Flower has no token to sign in with")
    given = await form(request)
    target = _inside(given.get("next", "/"))
    if not session.is_token(given.get("token", "").strip()):
        return show(request, "sign_in.html", status=401, error="That is not the token of this Flower.", target=target)
    answer = web.HTTPSeeOther(target)
    _keep(request, answer, session, session.begin(), SESSION_SECONDS)
    raise answer


@routes.post(SIGN_OUT)
async def sign_out(request: web.Request) -> web.Response:
    """Have the browser forget the cookie."""
    answer = web.HTTPSeeOther(SIGN_IN)
    if (session := request.app[SESSION]) is not None:
        _keep(request, answer, session, "", 0)
    raise answer


def _keep(request: web.Request, answer: web.HTTPSeeOther, session: Session, value: str, seconds: int) -> None:
    # Behind a proxy that speaks TLS we are asked in plain HTTP; the browser knows better, and says so.
    is_secure = request.headers.get("Origin", "").startswith("https://")
    answer.set_cookie(session.cookie, value, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=is_secure)


def _inside(target: str) -> str:
    # A browser takes //evil.example, and /\\evil.example as well, for another host.
    is_path = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_path else "/"
