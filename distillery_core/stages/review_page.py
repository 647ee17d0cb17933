"""The review as a page that only this machine can open, and only with its address.

The address holds a random token; the Host header must be the loopback address, and a form must come
from the page itself, so that no web site the browser shows beside it can read or send anything.
"""

from __future__ import annotations

import hmac
import re
import secrets
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from distillery_core.dataset.classes import CLASSES
from distillery_core.dataset.judgement_table import SCORE_PREFIX, score
from distillery_core.dataset.judgements import MAX_NOTE, known_class
from distillery_core.errors import UserError
from distillery_core.stages.review import Review

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
MAX_FORM_BYTES = 64_000
_TEMPLATE = Path(__file__).with_name("review_page.html.j2")
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_WORDS = {"on_topic": "On topic", "off_topic": "Off topic", "edge": "Edge"}
_KEYS = {"on_topic": "o", "off_topic": "f", "edge": "e"}

Handler = Callable[["Request"], Awaitable["Response"]]


class _Wrong(Exception):
    """What about a form cannot be taken, in words for its sender."""


def serve(review: Review, *, scores: bool, again: bool, say: Callable[[str], None]) -> None:
    """Serve the page until its button or Ctrl-C stops it; `say` is told the address.

    Raises:
        UserError: the packages that serve pages are not installed.
    """
    uvicorn = _uvicorn()
    listener = socket.create_server((HOST, 0))
    pages = Pages(review, listener.getsockname()[1], scores=scores, again=again)
    config = uvicorn.Config(
        pages.application(),
        log_config=None,
        log_level="critical",
        access_log=False,  # it would print the token
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    pages.stop = lambda: setattr(server, "should_exit", True)
    say(f"{len(review)} articles at {pages.address}")
    say("  -> open it in a browser on this machine; its Stop button or Ctrl-C ends the review")
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the way to stop it that was just named
    finally:
        listener.close()


def _uvicorn() -> Any:
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        hint = "pip install 'distillery-core[review]', or review without --page"
        raise UserError("a page needs starlette and uvicorn", where="--page", hint=hint) from None
    return uvicorn


class Pages:
    """The pages of one review.

    Attributes:
        address: of the first page, token and all.
        stop: called when a person presses Stop.
    """

    def __init__(self, review: Review, port: int, *, scores: bool, again: bool) -> None:
        self._review, self._scores, self._again = review, scores, again
        self._token = secrets.token_urlsafe(32)
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._base = f"/{self._token}/"
        self.address = f"http://{HOST}:{port}{self._base}"
        self.stop: Callable[[], None] = lambda: None

    def application(self) -> Starlette:
        """The pages as an ASGI application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = (
            ("/{token}/", self._first, "GET"),
            ("/{token}/all", self._all, "GET"),
            ("/{token}/stop", self._stop, "POST"),
            ("/{token}/{number:int}", self._article, "GET"),
            ("/{token}/{number:int}", self._judge, "POST"),
        )
        return Starlette(
            routes=[Route(path, self._guarded(one), methods=[verb]) for path, one, verb in routes]
        )

    def _guarded(self, handler: Handler) -> Handler:
        """The handler behind the checks of host, token and, for forms, origin."""

        async def guarded(request: Request) -> Response:
            if request.headers.get("host", "") not in self._hosts:
                return _plain("not this machine's own address", 421)
            token = request.path_params["token"].encode()
            if not hmac.compare_digest(token, self._token.encode()):
                return _plain("no such page", 404)
            if request.method == "POST" and not self._from_the_page(request):
                return _plain("not sent by this page", 403)
            number = request.path_params.get("number")
            if number is not None and not 1 <= number <= len(self._review):
                return _plain("no such article", 404)
            return await handler(request)

        return guarded

    def _from_the_page(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site", "same-origin")
        own = {f"http://{host}" for host in self._hosts}
        return (origin is None or origin in own) and site == "same-origin"

    async def _first(self, request: Request) -> Response:
        at = 0 if self._again else self._review.next_open()
        return self._redirect("all" if at is None else str(at + 1))

    async def _all(self, request: Request) -> Response:
        every = [
            {"title": one.view.title, "mine": self._mine(at), "parts": self._parts(at)}
            for at, one in enumerate(self._review.shown)
        ]
        return self._page(all=every, told=self._told(request))

    async def _stop(self, request: Request) -> Response:
        self.stop()
        return self._page(stopped=True)

    async def _article(self, request: Request) -> Response:
        return self._show(request.path_params["number"] - 1, told=self._told(request))

    async def _judge(self, request: Request) -> Response:
        at = request.path_params["number"] - 1
        form: dict[str, str] = {}
        try:
            form = await _form(request)
            class_name = known_class(form.get("class", ""))
            if class_name is None:
                raise _Wrong(f"choose one of {', '.join(_WORDS.values())}")
            given = self._given(form) if self._scores else None
            self._review.judge(at, class_name, given, _note(form))
        except _Wrong as wrong:
            return self._show(at, problem=str(wrong), form=form, status=422)
        return self._redirect(f"{self._after(at)}?after={at + 1}")

    def _given(self, form: dict[str, str]) -> dict[str, float]:
        """The scores of a form, all that is wrong with them at once."""
        found, wrong = {}, []
        for name in self._review.filter.dimensions:
            word = form.get(f"{SCORE_PREFIX}{name}", "").strip()
            try:
                if word:
                    found[name] = score(word)
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise _Wrong("; ".join(wrong))
        return found

    def _after(self, at: int) -> str:
        """Where to go after the article at a position."""
        if self._again:
            return str(at + 2) if at + 1 < len(self._review) else "all"
        found = self._review.next_open(at + 1)
        return "all" if found is None else str(found + 1)

    def _show(
        self,
        at: int,
        *,
        told: dict[str, Any] | None = None,
        problem: str = "",
        form: dict[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        """The page of one article; `form` is what was sent and could not be taken."""
        view, mine = self._review.shown[at].view, self._review.mine(at)
        note = mine.note if mine is not None else ""
        item = {
            "number": at + 1,
            "title": _steady(view.title),
            "text": _steady(view.content),
            "mine": mine.class_name if mine is not None else "",
            "note": note if form is None else form.get("note", "")[:MAX_NOTE],
            "back": max(at, 1),
            "skip": self._after(at),
        }
        dimensions = self._dimensions(at, form) if self._scores else []
        return self._page(status, item=item, dimensions=dimensions, told=told, problem=problem)

    def _dimensions(self, at: int, form: dict[str, str] | None) -> list[dict[str, str]]:
        mine = self._review.mine(at)
        before = {name: f"{value:g}" for name, value in mine.scores.items()} if mine else {}
        return [
            {
                "name": name,
                "about": about.description,
                "value": before.get(name, "") if form is None else form.get(f"score_{name}", ""),
            }
            for name, about in self._review.filter.config.scoring.dimensions.items()
        ]

    def _told(self, request: Request) -> dict[str, Any] | None:
        """What is told of the article that was judged just before; of no other one."""
        after = request.query_params.get("after", "")
        if not after.isascii() or not after.isdigit() or len(after) > 9:
            return None
        at = int(after) - 1
        if not 0 <= at < len(self._review) or self._review.mine(at) is None:
            return None
        title = self._review.shown[at].view.title
        return {"title": title, "mine": self._mine(at), "parts": self._parts(at)}

    def _mine(self, at: int) -> str:
        mine = self._review.mine(at)
        return "" if mine is None else _WORDS[mine.class_name].lower()

    def _parts(self, at: int) -> list[str]:
        told = self._review.told(at)
        return [] if told is None else told.parts()

    def _page(self, status: int = 200, **shown: Any) -> Response:
        from starlette.responses import HTMLResponse

        nonce = secrets.token_urlsafe(16)
        review = self._review
        facts = {
            "filter": review.filter.label,
            "name": review.name,
            "judged": review.judged,
            "of": len(review),
            "base": self._base,
            "nonce": nonce,
            "classes": [(name, _WORDS[name], _KEYS[name]) for name in CLASSES],
        }
        text = _template().render({"item": None, "all": [], "told": None, **facts, **shown})
        return HTMLResponse(text, status, _headers(nonce))

    def _redirect(self, place: str) -> Response:
        from starlette.responses import Response

        headers = {"location": f"{self._base}{place}", "cache-control": "no-store"}
        return Response(status_code=303, headers=headers)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, none of it longer than any form of ours."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_FORM_BYTES:
            raise _Wrong("that is too long")
    try:
        fields = parse_qs(data.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise _Wrong("that is no form of this page") from None
    return {name: values[-1] for name, values in fields.items()}


def _steady(text: str) -> str:
    """The text with the characters that turn its direction shown as escapes."""
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _note(form: dict[str, str]) -> str:
    note = form.get("note", "").strip()
    if len(note) > MAX_NOTE:
        raise _Wrong(f"a note has at most {MAX_NOTE} characters")
    return note


def _plain(text: str, status: int) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status)


def _headers(nonce: str) -> dict[str, str]:
    """Nothing is loaded from anywhere, no script but ours runs, nobody frames or keeps the page."""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "same-origin",  # the token leaves with no link; forms keep their origin
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
