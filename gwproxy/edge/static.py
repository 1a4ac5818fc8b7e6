"""Routes that serve a folder: twisted.web's own File, mounted below the route, and stricter about what it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.web.http import CACHED
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

from gwproxy.errors import Reason
from gwproxy.filters.api import Reply
from gwproxy.http.ranges import parse_ranges
from gwproxy.http.target import safe_location

if TYPE_CHECKING:
    from gwproxy.edge.request import EdgeRequest
    from gwproxy.proxy.exchange import Exchange


class ResourceAction:
    """Renders an ordinary twisted.web resource tree below a route's path."""

    def __init__(self, resource: IResource, mount: bytes) -> None:
        """`mount` is the part of the path that leads to the resource: `/files/`."""
        self._resource = resource
        self._mount = [segment for segment in mount.split(b"/") if segment]

    def begin(self, exchange: Exchange) -> None:
        """Renders what is below the mount."""
        request: EdgeRequest = exchange.request  # type: ignore[assignment]  # the edge made it
        path = exchange.request.target.path
        segments = [unquote_to_bytes(segment) for segment in path.split(b"/")[1:]]
        count = len(self._mount)
        request.prepath = segments[:count]
        request.postpath = segments[count:]
        request.exchange = exchange
        exchange.reason = Reason.STATIC
        exchange.producer = request
        request.render(getChildForRequest(self._resource, request))


class Refusal(Resource):
    """What is not shown is not there."""

    isLeaf = True

    def render(self, request: EdgeRequest) -> int:
        """404, as an error page of the gateway."""
        request.refuse(Reply(404, reason=Reason.NO_FILE))
        return NOT_DONE_YET


class Folder(File):
    """A folder's files, with ETags; no dotfiles, no listings, no way out of the folder by `..` or a symlink."""

    childNotFound: Any = Refusal()
    forbidden: Any = Refusal()

    def __init__(self, path: str, top: str | None = None, **kwargs: Any) -> None:
        super().__init__(path, **kwargs)
        self._top = os.path.realpath(path) if top is None else top

    def createSimilarFile(self, path: str) -> Folder:
        """For File: a child."""
        child = type(self)(path, self._top, defaultType=self.defaultType, ignoredExts=self.ignoredExts)
        child.processors = self.processors
        child.indexNames = self.indexNames[:]
        return child

    def getChild(self, path: bytes, request: EdgeRequest) -> IResource:
        """The child of this name, or a refusal."""
        if path.startswith(b".") or b"/" in path or b"\0" in path or b"\\" in path or not _is_utf8(path):
            return self.childNotFound
        child: IResource = super().getChild(path, request)
        if isinstance(child, Folder) and not (child.is_inside() and child.is_readable_kind()):
            return self.childNotFound
        return child

    def is_inside(self) -> bool:
        """Whether the file is in the folder once symlinks are followed."""
        real = os.path.realpath(self.path)
        return real == self._top or real.startswith(self._top + os.sep)

    def is_readable_kind(self) -> bool:
        """Whether it is a file or a folder. To open a FIFO or a device could stop the whole gateway."""
        return bool(self.isfile() or self.isdir())

    def directoryListing(self) -> IResource:
        """For File: a folder without an index."""
        return self.childNotFound

    def redirect(self, request: EdgeRequest) -> int:
        """For File: a folder asked for without its slash. Twisted would repeat the target, `//host` too (N13)."""
        target = request.target
        location = safe_location(target.raw_path) + b"/" + (b"?" + target.query if target.has_query else b"")
        request.refuse(Reply(302, [(b"Location", location)], b"", reason=Reason.STATIC))
        return NOT_DONE_YET

    def render_GET(self, request: EdgeRequest) -> Any:
        """The file, a part of it, or 304 when the client has it (RFC 9110 section 13)."""
        self.restat(False)
        if self.isfile():
            size = self.getsize()
            etag = b'"%x-%x"' % (int(self.getModificationTime() * 1e6), size)
            if _settle_conditions(request, etag):
                return b""
            if not _settle_ranges(request, size):
                request.refuse(Reply(416, [(b"Content-Range", b"bytes */%d" % size)], reason=Reason.NO_FILE))
                return NOT_DONE_YET
        return super().render_GET(request)

    render_HEAD = render_GET


def _settle_conditions(request: EdgeRequest, etag: bytes) -> bool:
    """Whether the answer is 304. What Twisted does not know is settled by taking the fields out that do not hold."""
    headers = request.requestHeaders
    tags = headers.getRawHeaders(b"if-none-match")
    if tags is not None:
        # One tag a word, weak or not: for GET both compare alike (section 13.1.2).
        headers.setRawHeaders(b"if-none-match", [b" ".join(tags).replace(b",", b" ").replace(b"W/", b"")])
        headers.removeHeader(b"if-modified-since")
    if headers.getRawHeaders(b"if-range", [etag])[-1] != etag:
        headers.removeHeader(b"range")
    return request.setETag(etag) is CACHED


def _settle_ranges(request: EdgeRequest, size: int) -> bool:
    """False: the file has none of the ranges asked for. Twisted is left with those that it has."""
    headers = request.requestHeaders
    values = headers.getRawHeaders(b"range", [])
    if not values:
        return True
    ranges = parse_ranges(values[0], size) if len(values) == 1 and request.method == b"GET" else None
    if ranges is None:
        headers.removeHeader(b"range")
    elif ranges:
        headers.setRawHeaders(b"range", [b"bytes=" + b",".join(b"%d-%d" % each for each in ranges)])
    return ranges != []


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def static_action(folder: Path, mount: str) -> ResourceAction:
    """The action of a `static = DIR` route."""
    # A file of unknown type is not to be taken for a page, as Twisted's text/html would have it.
    return ResourceAction(Folder(str(folder), defaultType="application/octet-stream"), mount.encode())
