"""Sessions of agents for people: listed, shown, deleted; and how a visit that waits for one is woken."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.events import TaskCompleted
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import ConditionFailed, Ports
from workflow_runtime.services.messages import mail_message
from workflow_runtime.services.session_ids import named_by, session_id
from workflow_runtime.storage.sessions import KEPT_LONGER_SECONDS, Session, SessionKey, Turn, User
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.tasks import hash_of

TRIES_MAX = 20  # of a write that others come before: more of them would have to be at it at once


class SessionsFound(msgspec.Struct, frozen=True):
    """``next``: the position after which another page follows; None: this is the last."""

    items: list[dict[str, Json]]
    next: str | None


class SessionViews:
    """What sessions there are, and what was said in them; each by its id (`session_ids`)."""

    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._ports = ports
        self._sessions = stores.sessions

    def list(
        self, agent: str | None = None, tenant: str | None = None, limit: int = 20, after: str | None = None
    ) -> SessionsFound:
        """Sessions of an agent, or of all, of these those of a tenant ("": of executions without one), in the order of
        their names. A page may have fewer than there are: another follows."""
        page = self._sessions.list(agent, tenant, limit, after)
        return SessionsFound([_json(session) for session in page.sessions], page.next)

    def get(self, id: str, limit: int = 20, after: int = 0) -> dict[str, Json]:
        """One, with the turns that a visit is told now, behind the one of the number ``after``; ``next``: the number
        behind which there are more, if there are. Raises `RequestError` (``not_found``)."""
        session = self._session(id)
        head = session.head
        told = self._sessions.turns(session.key, max(head.start, after + 1), head.turns, limit)
        following = told[-1].number if len(told) == limit and told[-1].number < head.turns else None
        return {**_json(session), "told": [_turn_json(turn) for turn in told], "next": following}

    def messages(self, id: str, number: int) -> Json:
        """Those of one turn. Raises `RequestError` (``not_found``)."""
        session = self._session(id)
        turn = self._sessions.turn(session.key, number) if number <= session.head.turns else None
        if turn is None:
            raise RequestError("not_found", f"the session {session.key.id!r} has no turn {number}")
        return turn.content

    def delete(self, id: str) -> None:
        """Forget all that was said. Nothing is remembered of a visit that works on it, which fails when it goes on in
        another run; who waits is next. Raises `RequestError` (``not_found``, ``conflict``)."""
        for _ in range(TRIES_MAX):
            session = self._session(id)
            key, head = session.key, session.head
            self._sessions.delete_turns(key, head.turns)
            expires = self._ports.clock.now() // 1000 + KEPT_LONGER_SECONDS
            with suppress(ConditionFailed):
                # The head stays, out of lists: by its fence nothing counts that the visit at work has yet to write.
                forgotten = replace(head, turns=0, start=1, holder=None, fence=head.fence + 1)
                self._sessions.put_head(key, forgotten, expires)
                for waiter in head.waiters[:1]:
                    wake(self._ports, waiter)
                return
        raise RequestError("conflict", "too many are at work on the session at once; try again")

    def _session(self, id: str) -> Session:
        key = SessionKey(*named_by(id))
        session = self._sessions.get(key)
        if session is None or not session.head.is_used:
            of = f" of the tenant {key.tenant!r}" if key.tenant else ""
            raise RequestError("not_found", f"the agent {key.agent!r} has no session {key.id!r}{of}")
        return session


def wait_of(user: User) -> str:
    """What the wait of a visit is known by, as task tokens are by their hashes."""
    return hash_of(repr((*user.of_visit, user.call)))


def wake(ports: Ports, user: User) -> None:
    """Have a visit that waits for a session look again. Raises `RetryableError`."""
    hash = wait_of(user)
    event = TaskCompleted(f"task:{hash}", ports.clock.now(), user.path, user.serial, hash, call=user.call)
    ports.queues.send(DISPATCH, [mail_message(user.execution_id, event, "")])


def _json(session: Session) -> dict[str, Json]:
    head = session.head
    return {
        "id": session_id(session.key.agent, session.key.tenant, session.key.id),
        "agent": session.key.agent,
        "tenant": session.key.tenant or None,
        "session": session.key.id,
        "turns": head.turns,
        "summed_up": head.start - 1,
        "used_at": iso_time(head.taken_at),
        "expires_at": iso_time((session.expires - KEPT_LONGER_SECONDS) * 1000),
        "held_by": _user_json(head.holder) if head.holder is not None else None,
        "waiting": [_user_json(waiter) for waiter in head.waiters],
    }


def _user_json(user: User) -> dict[str, Json]:
    return {"execution_id": user.execution_id, "path": user.path}


def _turn_json(turn: Turn) -> dict[str, Json]:
    said: dict[str, Json] = {"number": turn.number, "at": iso_time(turn.at), **_user_json(turn.by)}
    return {**said, "summary": turn.summary or None, "messages": turn.content}
