"""Publishes `definitions/` at the start, and again what changes in it; what is wrong is shown, and the last good
version stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workflow_runtime.definition.identities import Identities
from workflow_runtime.errors import DefinitionError, WorkflowRuntimeError
from workflow_runtime.frontends.client.mock_targets import unknown_mocks
from workflow_runtime.frontends.client.sources import read_source
from workflow_runtime.frontends.server.log import log_findings, logger
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.threads import Threads
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.runtime.workflow_files import SUFFIXES, workflow_files

POLL_SECONDS = 0.5  # a directory of a few hundred files is looked through in a millisecond
SETTLE_SECONDS = 0.05  # editors write in several steps

WATCHED = (*SUFFIXES, ".py")  # with the Python of tools

Stamp = tuple[int, int]


class Files:
    """What is in ``definitions`` and in the mocks file, as far as time stamps and sizes tell."""

    def __init__(self, definitions: Path | None, mocks: Path | None) -> None:
        self._definitions = definitions
        self._mocks = mocks
        self._known = self._stamps()

    def changed(self) -> set[Path]:
        """Files that are new, different or gone since the last call."""
        before, self._known = self._known, self._stamps()
        return {file for file in before.keys() | self._known.keys() if before.get(file) != self._known.get(file)}

    def _stamps(self) -> dict[Path, Stamp]:
        stamps: dict[Path, Stamp] = {}
        found = list(self._definitions.rglob("*")) if self._definitions is not None else []
        for file in [*(file for file in found if file.suffix in WATCHED), *([self._mocks] if self._mocks else [])]:
            try:
                status = os.stat(file)
            except OSError:
                continue  # gone in between
            stamps[file] = (status.st_mtime_ns, status.st_size)
        return stamps


class Reloader:
    """``reloaded`` is called after agents, tools or mocks were read again."""

    def __init__(
        self,
        runtime: LocalRuntime,
        definitions: Path | None,
        mocks: Path | None,
        reloaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._definitions = definitions
        self._mocks = mocks
        self._reloaded = reloaded
        self._files = Files(definitions, mocks)
        self._identities = Identities()
        self._clashing: set[Path] = set()
        self._threads = Threads()

    def publish_all(self) -> None:
        for file in workflow_files(self._definitions):
            self._publish(file)
        self._check_mocks()

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take into use what has changed since the last look."""
        changed = self._files.changed()
        while changed and (more := await self._changed_meanwhile()):
            changed |= more
        if changed:
            await self.take(changed)

    async def _changed_meanwhile(self) -> set[Path]:
        await asyncio.sleep(SETTLE_SECONDS)
        return self._files.changed()

    async def take(self, changed: set[Path]) -> None:
        """Take changed files into use."""
        workflows = {file for file in changed if self._is_workflow(file)}
        if changed - workflows:
            await self._read_again()
        for file in sorted(workflows):
            self._identities.drop(str(file))  # of all before any is read: they may have changed places
            if not file.exists():
                logger.info("%s was removed; what it defined stays published until it is deleted", file)
        for file in sorted((workflows | self._clashing) if workflows else ()):
            if file.exists():
                self._publish(file)
        self._check_mocks()

    def _is_workflow(self, file: Path) -> bool:
        return self._definitions is not None and file.is_relative_to(self._definitions / "workflows")

    async def _read_again(self) -> None:
        """In a thread: authors' modules are imported, and may take their time."""
        outcome = await self._threads.run(self._read, "reload")
        if isinstance(outcome.error, DefinitionError):
            log_findings(outcome.error.findings)
            logger.error("agents, tools and mocks stay unchanged")
            return
        self._runtime.take(outcome.result())
        logger.info("agents, tools and mocks were read again")
        self._reloaded()

    def _read(self) -> Registries:
        return self._runtime.read(Mocks.load(self._mocks) if self._mocks is not None else None)

    def _check_mocks(self) -> None:
        """Show the mocks of what nothing calls. What is wrong with the file itself was shown when it was read."""
        if self._mocks is None:
            return
        with suppress(DefinitionError):
            mocks = Mocks.load(self._mocks)
            log_findings(unknown_mocks(mocks, self._runtime.services.catalog.catalogue, (), self._definitions))

    def _publish(self, file: Path) -> None:
        """Publish one file; nothing it says ends the server."""
        self._clashing.discard(file)
        try:
            source = read_source(file)
            clash = self._identities.take(source.data, source.file)
            if clash is not None:
                self._clashing.add(file)
                raise DefinitionError([clash])
            published = self._runtime.services.catalog.publish(source.data, source.file)
        except DefinitionError as error:
            log_findings(error.findings)
            logger.error("%s was not published; a version from before stays", file)
        except (OSError, WorkflowRuntimeError) as error:
            logger.error("%s was not published: %s", file, error)
        else:
            log_findings(published.warnings)
            logger.info("%s is version %d (%s)", published.version.workflow_id, published.version.number, file.name)
