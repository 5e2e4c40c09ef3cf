"""In a worker: reads the items that a loop is for from a file, and stores them in pages, in which its passes find them.

Neither the file nor its items are ever held as a whole: what is, is a part of the one and some pages of the other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.language.item_files import FORMATS, format_of, parse_address
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import LoopSpec
from workflow_runtime.ports import Files, Ports
from workflow_runtime.services.items.formats import ITEM_BYTES_MAX, items_in
from workflow_runtime.services.messages import Order
from workflow_runtime.storage.payloads import PAYLOAD_BYTES_MAX, pack_bytes
from workflow_runtime.storage.stores import Stores

PART_BYTES = 4 * 1024 * 1024  # of the file, read at once: few requests, and little memory
PAGE_BYTES = 64 * 1024  # of a page, about: a pass reads a page to get its item
PAGE_PASSES_MAX = 100
PAGES_AT_ONCE = 16  # stored side by side


class ItemReader:
    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._executions = stores.executions

    async def read(self, order: Order, spec: LoopSpec, seconds: float) -> Json:
        """Read the items that an order names, within so many seconds. How many passes they are for, and where each page
        of what those are for is stored: under ``key`` and the page's number, ``page_size`` in each. Raises `NodeError`.
        """
        try:
            return await self._ports.clock.within(seconds, self._read(order, spec))
        except TimeoutError:
            raise NodeError("timeout", f"the items were not read within {seconds:g} s") from None

    async def _read(self, order: Order, spec: LoopSpec) -> Json:
        address, bucket, key, format = _source(order.command.inputs)
        identity = f"{order.command.path}#{order.command.serial}"
        place = f"executions/{order.execution_id}/items/{hashlib.sha256(identity.encode()).hexdigest()[:40]}"
        items = items_in(_parts(self._ports.files, bucket, key), format)
        pages = Pages(_passes(_named(_encoded(items), address), spec))
        number = 0
        while chunk := await self._ports.offload(lambda: list(islice(pages, PAGES_AT_ONCE))):
            puts = [partial(self._executions.put_blob, f"{place}.{number + n}", page) for n, page in enumerate(chunk)]
            await self._ports.offload(self._ports.together, puts)
            number += len(chunk)
            await asyncio.sleep(0)  # on one machine others wait for the same loop of events
        return {"count": pages.count, "key": place, "page_size": pages.size}


def _source(file: Json) -> tuple[str, str, str, str]:
    """Address, bucket, key and format."""
    address = file["s3"]
    if not isinstance(address, str):
        raise NodeError("validation_error", "the address of the items is not a text")
    try:
        bucket, key = parse_address(address)
    except ValueError as error:
        raise NodeError("validation_error", f"{address}: {error}") from None
    format = file.get("format") or format_of(key)
    if format is None:
        message = f"the name of {address} does not tell its format: say `format`, one of {', '.join(FORMATS)}"
        raise NodeError("validation_error", message)
    return address, bucket, key, format


def _named(items: Iterator[bytes], address: str) -> Iterator[bytes]:
    """The items; errors say of which file they are."""
    try:
        yield from items
    except NodeError as error:
        if address in error.message:
            raise
        raise NodeError(error.type, f"{address}: {error.message}") from error


def _parts(files: Files, bucket: str, key: str) -> Iterator[bytes]:
    file = files.find(bucket, key)
    for start in range(0, file.size, PART_BYTES):
        yield files.read(bucket, key, file, start, min(PART_BYTES, file.size - start))


def _passes(items: Iterator[bytes], spec: LoopSpec) -> Iterator[bytes]:
    """What each pass is for: an item, or a batch of them; all as JSON."""
    passes = _batches(items, spec.batch_size) if spec.batch_size else items
    yield from islice(passes, spec.max_iterations)
    if not spec.stops and next(passes, None) is not None:
        raise NodeError("max_iterations", f"there are more than {spec.max_iterations:,} passes")


def _encoded(items: Iterable[Json]) -> Iterator[bytes]:
    for index, item in enumerate(items):
        data = msgspec.json.encode(item)
        if len(data) > ITEM_BYTES_MAX:
            raise NodeError("too_large", f"item {index:,} has {len(data):,} bytes; at most {ITEM_BYTES_MAX:,} are read")
        yield data


def _batches(items: Iterator[bytes], size: int) -> Iterator[bytes]:
    while batch := _bounded(items, size):
        yield _list_of(batch)


def _bounded(items: Iterator[bytes], size: int) -> list[bytes]:
    """The next ``size`` items, as long as they can be stored together."""
    taken: list[bytes] = []
    total = 0
    for item in islice(items, size):
        taken.append(item)
        total += len(item) + 1
        if total > PAYLOAD_BYTES_MAX:
            message = f"{size:,} passes are stored together, and have more than {PAYLOAD_BYTES_MAX:,} bytes"
            raise NodeError("too_large", message)
    return taken


def _list_of(values: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(values) + b"]"


class Pages:
    """Pages of what passes are for, as they are stored: as many in each as there are in the first, the last one apart.

    ``count``: of passes so far; ``size``: how many are in a page, 0 until there is one.
    """

    def __init__(self, passes: Iterator[bytes]) -> None:
        self._passes = passes
        self.count = self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        page = _bounded(self._passes, self.size) if self.size else self._first()
        if not page:
            raise StopIteration
        self.count += len(page)
        return pack_bytes(_list_of(page))

    def _first(self) -> list[bytes]:
        """As many passes as make a page; how large others are going to be, nobody knows yet."""
        page: list[bytes] = []
        total = 0
        for each in self._passes:
            page.append(each)
            total += len(each)
            if total >= PAGE_BYTES or len(page) == PAGE_PASSES_MAX:
                break
        self.size = len(page)
        return page
