"""Timers: start, cancel, deliver. A near one is a delayed message; a far one first waits as a schedule.

A timer may fire twice or though it was cancelled, never early: the engine knows which of its timers still count.
"""

from __future__ import annotations

import hashlib

from workflow_runtime.deployment.topology import TIMERS
from workflow_runtime.engine.events import TimerFired
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import DELAY_SECONDS_MAX, Message, Ports, Schedule
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Timer, timer_body

LEAD_MS = 60_000  # a schedule may fire up to a minute late: set so much early, a delayed message then makes it precise


class Timers:
    def __init__(self, ports: Ports, mailer: Mailer) -> None:
        self._ports = ports
        self._mailer = mailer

    def start(self, execution_id: str, timer: str, due: int) -> None:
        """Have it fire at ``due`` (epoch ms): on AWS within about a second after, embedded to the millisecond. Doing it
        again changes nothing.

        Raises `RetryableError`.
        """
        pending = Timer(execution_id, timer, due)
        if self._is_near(due):
            self._delay(pending)
            return
        name = schedule_name(execution_id, timer)
        self._ports.schedules.create(Schedule(name, TIMERS, timer_body(pending), at=due - LEAD_MS))

    def cancel(self, execution_id: str, timer: str, due: int) -> None:
        """Take its schedule away, if it still waits as one. Raises `RetryableError`."""
        if not self._is_near(due):
            self._ports.schedules.delete([schedule_name(execution_id, timer)])

    def deliver(self, timer: Timer) -> int | None:
        """Tell the execution, if the timer is due; else delay it further. Returns by how many ms it was late; None: it
        is not due. Raises `RetryableError`.
        """
        now = self._ports.clock.now()
        if now < timer.due:
            self._delay(timer)
            return None
        fired = TimerFired(f"timer:{timer.timer}", now, timer.timer)
        self._mailer.send(timer.execution_id, fired, timer.execution_id)  # the same message from every deliverer
        return now - timer.due

    def _is_near(self, due: int) -> bool:
        return due - self._ports.clock.now() <= DELAY_SECONDS_MAX * 1000

    def _delay(self, timer: Timer) -> None:
        seconds = (timer.due - self._ports.clock.now()) / 1000
        delay_seconds = min(max(seconds, 0), DELAY_SECONDS_MAX)
        if self._ports.queues.send(TIMERS, [Message(timer_body(timer), delay_seconds=delay_seconds)]):
            raise RetryableError("a timer was refused by its queue")


def schedule_name(execution_id: str, timer: str) -> str:
    """The name of a far timer's schedule: always the same, so that starting it again finds it done, and cancelling
    finds it.
    """
    return "timer-" + hashlib.sha256(f"{execution_id}\0{timer}".encode()).hexdigest()[:40]
