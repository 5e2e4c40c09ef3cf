"""An execution taken again from its cassette, in a runtime of its own: in memory, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.errors import RequestError
from workflow_runtime.invokers.cassettes.file import Cassette, Said
from workflow_runtime.invokers.cassettes.player import Player
from workflow_runtime.invokers.masking import MASK
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.language.json_values import Json
from workflow_runtime.runtime.environment import SECRET_PREFIX
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.workflow_files import SOURCE_BYTES_MAX

if TYPE_CHECKING:
    from workflow_runtime.invokers.mocks import Mocks

SLACK_MS = 24 * 3600 * 1000  # of virtual time, beyond what the recorded one took: retries wait otherwise


class HiddenSecrets(dict[str, str]):
    """An environment in which every secret is set, to what records show of it: a replay asks nobody who needs it."""

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(name, MASK if name.startswith(SECRET_PREFIX) else default)


class Replay:
    """``player``: has the cassette answer; ``files``: where workflows are, if not below ``definitions``. Close it, or
    use it as a context manager. Raises `DefinitionError`, `RequestError` (``settings_invalid``)."""

    def __init__(
        self,
        player: Player,
        definitions: Path | None,
        *,
        environ: Mapping[str, str],
        reach: Reach,
        mocks: Mocks | None = None,
        files: Callable[[], Sequence[Path]] | None = None,
    ) -> None:
        self._player = player
        self.cassette: Cassette = player.tape.cassette
        self.execution_id = ""
        self.untaken: list[str] = []  # what was said when it was recorded, and nobody has heard now
        self.runtime = LocalRuntime(
            open_backend(clock=VirtualClock(self.cassette.started_at)),
            definitions,
            mocks,
            reach=reach,
            environ=environ,
            files=files,
            player=player,
        )

    async def take(self, input: Json) -> dict[str, Json]:
        """Start and run it, to its end or to where nothing more happens by itself: its document. Raises
        `DefinitionError`, `RequestError` (``not_found``, ``invalid_input``)."""
        services = self.runtime.services
        publish_with_started(self.runtime, self.cassette.workflow_id)
        self.execution_id = services.starter.start(self.cassette.workflow_id, input)
        for said in self.cassette.said:
            await self.runtime.settle(self.execution_id)
            at = max(said.at, self.runtime.ports.clock.now())
            await self.runtime.settle(self.execution_id, [(at, lambda said=said: self._say(said))])  # type: ignore[misc]
        last = max([self.cassette.started_at, *(said.at for said in self.cassette.said)])
        until = max(last, self.cassette.ended_at, self.runtime.ports.clock.now()) + SLACK_MS
        await settle_by(self.runtime, self.execution_id, until)
        return services.documents.document(self.execution_id)

    def _say(self, said: Said) -> None:
        try:
            self._answer(said) if said.path else self._send(said)
        except RequestError as error:
            self.untaken.append(f"{said.name or said.path}: {error.message}")

    def _answer(self, said: Said) -> None:
        asked = [
            approval
            for approval in self.runtime.services.approval_views.of_execution(self.execution_id)
            if approval["path"] == said.path
        ]
        if not asked:
            raise RequestError("not_found", "nobody is asked there now")
        self.runtime.services.approvals.answer(
            str(asked[0]["id"]), said.approved, by=said.by, data=said.data, comment=said.comment
        )

    def _send(self, said: Said) -> None:
        clock, mailer = self.runtime.ports.clock, self.runtime.services.mailer
        signal = SignalReceived(
            f"signal:{said.id}", clock.now(), said.name, data=said.data, id=said.id, source=said.source, key=said.key,
            route=said.route, to=said.to,
        )  # fmt: skip
        mailer.send(self.execution_id, signal)

    def close(self) -> None:
        self.runtime.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def settle_by(runtime: LocalRuntime, execution_id: str, until: int) -> None:
    """Run what can run, and what timers bring up to then (epoch ms), or to the execution's end."""
    await runtime.settle(execution_id)
    await runtime.settle(execution_id, [(until, lambda: None)])


def publish_with_started(runtime: LocalRuntime, workflow_id: str) -> None:
    """Publish a workflow as it is in its file, and those that it starts. Raises `DefinitionError`, `RequestError`
    (``not_found``)."""
    if runtime.workflow_files.file_of(workflow_id) is None:
        raise RequestError("not_found", f"there is no workflow {workflow_id!r} in the definitions here")
    wanted = [workflow_id]
    for id in wanted:  # which grows
        file = runtime.workflow_files.file_of(id)
        if file is None:
            continue
        with file.open("rb") as opened:
            found = runtime.services.catalog.publish(opened.read(SOURCE_BYTES_MAX), str(file), scheduled=False)
        wanted += sorted(found.plan.starts - set(wanted))
