"""kopf's part: it watches the objects of every kind, through connections that end and versions that are gone (410).
What it hears goes into the store and onto the queue. kopf writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any

import kopf

from workflow_runtime.frontends.operator.cluster import Access
from workflow_runtime.frontends.operator.resources import GROUP, VERSION, Key, Kind, Resource, resource_of
from workflow_runtime.frontends.operator.store import Store

ENDING_SECONDS_MAX = 10.0


class Watches:
    """``mark``: has an object looked at. ``complete`` is set when every object there was has been heard of.
    ``ending_seconds_max``: how long kopf may take to end its connections; the process ends without it after that.

    kopf has a thread with an event loop of its own: when it ends, it cancels whatever else runs in its loop.
    """

    def __init__(
        self,
        access: Access,
        store: Store,
        mark: Callable[[Key], None],
        ending_seconds_max: float = ENDING_SECONDS_MAX,
    ) -> None:
        self._access = access
        self._store = store
        self._mark = mark
        self._ending_seconds_max = ending_seconds_max
        self._loop = asyncio.get_running_loop()
        self.complete = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled. Raises what kopf cannot go on after."""
        stopping: Future[Callable[[], None]] = Future()
        ended: Future[None] = Future()
        Thread(target=self._watch, args=(stopping, ended), name="kopf", daemon=True).start()
        watching = asyncio.wrap_future(ended)
        try:
            await asyncio.shield(watching)
        finally:
            stopping.add_done_callback(lambda stop: stop.result()())
            await asyncio.wait({watching}, timeout=self._ending_seconds_max)

    def _watch(self, stopping: Future[Callable[[], None]], ended: Future[None]) -> None:
        """``stopping`` becomes what makes this end, called from any thread, and ``ended`` what it ended with."""
        try:
            asyncio.run(self._until_stopped(stopping))
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    async def _until_stopped(self, stopping: Future[Callable[[], None]]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stop.set)

        stopping.set_result(tell)
        namespaces = [self._access.namespace]
        # kopf waits for other kinds of flags in a thread, and if it ends by itself that thread keeps the loop's end up
        await kopf.operator(
            registry=self._registry(), settings=_settings(), namespaces=namespaces, standalone=True, stop_flag=stop
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login")(self._login)
        for kind in Kind:
            names: Any = (GROUP, VERSION, kind.plural)
            kopf.index(*names, id=f"heard-{kind}", registry=registry)(self._heard)
            kopf.on.event(*names, id=f"told-{kind}", registry=registry)(self._told)
        return registry

    def _login(self, **_: Any) -> kopf.ConnectionInfo:
        access = self._access
        ca_file = str(access.ca_file) if access.ca_file is not None else None
        return kopf.ConnectionInfo(server=access.server, token=access.token, ca_path=ca_file)

    async def _heard(self, body: kopf.Body, **_: Any) -> None:
        """An index in name only: kopf has all objects of all kinds go through it before it calls `_told` of any, and
        calls it at every change before that. A workflow is never published without the triggers that are there."""
        self._loop.call_soon_threadsafe(self._put, resource_of(_plain(body)))

    async def _told(self, event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            self._loop.call_soon_threadsafe(self._drop, resource_of(_plain(body)).key)
        self._loop.call_soon_threadsafe(self.complete.set)

    def _put(self, resource: Resource) -> None:
        for key in self._store.put(resource):
            self._mark(key)

    def _drop(self, key: Key) -> None:
        for concerned in self._store.drop(key):
            self._mark(concerned)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # of namespaces and definitions of resources, which would take a ClusterRole
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 1.0  # what is called here takes no time
    settings.queueing.exit_timeout = 0.1
    settings.process.ultimate_exiting_timeout = None  # kubelet has one
    return settings


def _plain(body: kopf.Body) -> dict[str, Any]:
    return {name: body[name] for name in body}
