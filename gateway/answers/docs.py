"""`/docs`: the merged OpenAPI document in Swagger UI, whose files come out of the wheel `swagger-ui-py`."""

import importlib.util
from pathlib import Path

from gateway.answers.operating import only_get
from gateway.app import Answer
from gateway.exchange import Exchange, Header

_CACHE = (b"cache-control", b"public, max-age=3600")
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'",
)
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Millrace API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"SwaggerUIBundle({url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, docExpansion: 'none'})\n"
_FILES = {
    "swagger-ui.css": b"text/css",
    "swagger-ui-bundle.js": b"text/javascript",
    "favicon-32x32.png": b"image/png",
}


def pages() -> dict[bytes, Answer]:
    """The page and its files, by path."""
    found = {
        b"/docs": _page(_PAGE, [(b"content-type", b"text/html; charset=utf-8"), _POLICY]),
        b"/docs/start.js": _page(_START, [(b"content-type", b"text/javascript"), _CACHE]),
    }
    for name, media_type in _FILES.items():
        content = (_folder() / name).read_bytes()
        found[f"/docs/{name}".encode()] = _page(content, [(b"content-type", media_type), _CACHE])
    return found


def _folder() -> Path:
    spec = importlib.util.find_spec("swagger_ui")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


def _page(content: bytes, headers: list[Header]) -> Answer:
    async def answer(exchange: Exchange) -> None:
        only_get(exchange)
        await exchange.answer(200, headers, content)

    return answer
