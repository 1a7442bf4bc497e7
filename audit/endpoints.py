"""The log on the wire: checkpoint and tiles. Spec: C2SP tlog-tiles v0.1.0."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from audit import proving, read, tiles, tree
from audit.access import may_read, scope_of
from audit.checkpoints import current_log
from audit.errors import NoLog
from audit.events import LogViewed
from audit.models import Checkpoint, Entry
from audit.read import latest_checkpoint
from audit.write import NOBODY, record_alone

FOREVER = "public, max-age=31536000, immutable"
NO_STORE = {"Cache-Control": "no-store"}
PRIVATE = "private, max-age=31536000, immutable"


@require_safe
def checkpoint(request: HttpRequest) -> HttpResponse:
    """Answer the newest signed checkpoint, and the cosignatures it has."""
    note = proving.cosigned(_latest())
    return HttpResponse(note, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-cache"})


@require_safe
def tile(request: HttpRequest, level: str, number: str, width: str | None = None) -> HttpResponse:
    """Answer the hashes of a tile, whole or in part, as far as a checkpoint covers it."""
    depth = int(level)
    index, count = _asked(depth, number, width)
    try:
        data = tree.tile_bytes(_latest().generation)(depth, index)[: count * 32]
    except LookupError as error:
        raise Http404 from error
    return HttpResponse(data, content_type="application/octet-stream", headers={"Cache-Control": FOREVER})


@require_safe
def bundle(request: HttpRequest, number: str, width: str | None = None) -> HttpResponse:
    """Answer the entries of a level-0 tile to people who may read every one of them; to others it does not exist.

    One that went by retention is 404 too, and says from which index on there are bundles.
    """
    person = getattr(request, "user", None)
    if not may_read(person):
        raise Http404
    index, count = _asked(0, number, width)
    start = current_log().base + index * tiles.WIDTH
    if start < (kept_from := _minimum()):
        return JsonResponse({"code": "pruned", "minimum_index": kept_from}, status=404, headers=NO_STORE)
    rows = scope_of(person).restrict(Entry.objects.filter(index__gte=start, index__lt=start + count))
    entries = list(map(bytes, rows.order_by("index").values_list("canon", flat=True)))
    if len(entries) != count:
        raise Http404  # a bundle has no holes
    note = LogViewed(page="bundle", at=f"{start}-{start + count - 1}", query=[])
    record_alone(note, by=getattr(person, "ref", "unknown"), facts=NOBODY)
    data = b"".join(len(raw).to_bytes(2) + raw for raw in entries)
    return HttpResponse(data, content_type="application/octet-stream", headers={"Cache-Control": PRIVATE})


def _minimum() -> int:
    """Return the minimum index of the growing log, within it: bundles that begin below it are not there any more.

    C2SP tlog-tiles, pruning: what ends at or below it may be gone. A month ends anywhere in a bundle, so it is rounded up.
    """
    kept_from = read.minimum() - current_log().base
    return max(0, -(-kept_from // tiles.WIDTH) * tiles.WIDTH)


def _asked(level: int, number: str, width: str | None) -> tuple[int, int]:
    """Return tile and width that were asked for, if the newest checkpoint covers them; else 404."""
    index = tiles.parse_number(number)
    count = tiles.WIDTH if width is None else int(width)
    if index is None or level > tiles.LEVEL_MAX or count > tiles.width_of(level, index, _latest().size):
        raise Http404
    return index, count


def _latest() -> Checkpoint:
    try:
        return latest_checkpoint()
    except NoLog as error:
        raise Http404 from error
