"""A bundle as an answer, piece by piece, under WSGI and ASGI alike."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse

from audit.exports import store
from audit.exports.errors import NoSuchExport
from audit.exports.models import Export

CHUNK_BYTES = 256 * 1024


def bundle_response(request: HttpRequest, row: Export) -> StreamingHttpResponse:
    """Return the bundle as a download. Raises: NoSuchExport where the file is gone."""
    path = Path(store.storage().path(store.name(row.ref)))
    try:
        file = path.open("rb")
    except OSError as error:
        raise NoSuchExport(row.ref) from error
    headers = {
        "Content-Disposition": f'attachment; filename="{store.name(row.ref)}"',
        "Content-Length": str(row.size_bytes),
        "Content-Encoding": "identity",  # it is a zip: nothing on the way compresses it again
        "Cache-Control": "private, no-store",
        "Repr-Digest": f"sha-256=:{_b64(row.bundle_hash)}:",  # RFC 9530
    }
    if not isinstance(request, ASGIRequest):
        return FileResponse(file, content_type="application/zip", headers=headers)
    file.close()
    # Under ASGI a file object would be read whole before its first byte goes out.
    return StreamingHttpResponse(_chunks(path), content_type="application/zip", headers=headers)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def _b64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
