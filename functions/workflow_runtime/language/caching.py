"""Caches bounded by bytes: where an entry may be a megabyte, a number of entries bounds nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ByteCache(Generic[Key, Value]):
    """Keeps what was used last, at most ``bytes_max`` of it; for any thread."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()  # from the one used longest ago
        self.bytes_held = 0

    def get(self, key: Key) -> Value | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def pop(self, key: Key) -> Value | None:
        """The same, and keep it no longer."""
        with self._lock:
            value, size = self._entries.pop(key, (None, 0))
            self.bytes_held -= size
            return value

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value that takes ``size`` bytes, its key included; one that alone is too large is not kept."""
        if size > self._bytes_max:
            return
        with self._lock:
            _, before = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, size)
            self.bytes_held += size - before
            while self.bytes_held > self._bytes_max:
                _, (_, oldest_size) = self._entries.popitem(last=False)
                self.bytes_held -= oldest_size


def cached_by_bytes(
    bytes_max: int, size: Callable[[Key, Value], int]
) -> Callable[[Callable[[Key], Value]], Callable[[Key], Value]]:
    """Decorates a function of one argument whose results are shared; ``size`` estimates an entry."""

    def decorate(make: Callable[[Key], Value]) -> Callable[[Key], Value]:
        cache: ByteCache[Key, Value] = ByteCache(bytes_max)

        @wraps(make)
        def cached(key: Key) -> Value:
            value = cache.get(key)
            if value is None:
                value = make(key)
                cache.put(key, value, size(key, value))
            return value

        return cached

    return decorate
