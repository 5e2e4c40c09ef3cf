"""The sockets that servers of one machine listen on."""

from __future__ import annotations

import asyncio
import socket

from workflow_runtime.frontends.server.running import listen


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    """Forty milliseconds, which each request of a connection that is kept would take otherwise."""

    async def scenario() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen("127.0.0.1", 0)
        server = await asyncio.start_server(accepted, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        no_delay = await found
        writer.close()
        server.close()
        return no_delay

    assert asyncio.run(scenario()) != 0
