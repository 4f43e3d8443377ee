"""Clients of PostgreSQL by psycopg.

    python driver.py HOSTS PORT OPERATION     HOSTS: host,host,...: libpq's way to the primary (target_session_attrs=read-write);
                                              name: the address that each request comes with, which the cluster's name stands for

One JSON object a line in and out (docs/targets.md). Connections are kept and used one after the other; one that failed is thrown away.
A write is *fail* only where nothing was sent, or the server said that it did nothing; else it is *unknown*.
"""

from __future__ import annotations

import asyncio
import json
import sys

import psycopg
from psycopg import errors

WRITE = "INSERT INTO kv (k, v) VALUES (%s, %s) ON CONFLICT (k) DO UPDATE SET v = excluded.v"
READ = "SELECT v FROM kv WHERE k = %s"
REFUSED = (errors.ReadOnlySqlTransaction, errors.CannotConnectNow, errors.TooManyConnections, errors.UndefinedTable)
KEPT = 8
"""Idle connections kept for one way."""


class Clients:
    """A small pool for each way to the primary."""

    def __init__(self, hosts: str, port: str) -> None:
        self._hosts = hosts
        self._port = port
        self._idle: dict[str, list[psycopg.AsyncConnection]] = {}

    async def do(self, op: str, address: str, key: str, value: str, timeout_s: float) -> tuple[str, str | None]:
        """(outcome, value read)."""
        by_name = self._hosts == "name"
        where = address if by_name else self._hosts
        sent, connection = False, None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connection(where, any_node=by_name)
                sent = True
                cursor = await connection.execute(READ, (key,)) if op == "get" else await connection.execute(WRITE, (key, value))
                row = await cursor.fetchone() if op == "get" else None
        except REFUSED as error:
            await self._drop(connection)
            return said("fail", error)
        except (psycopg.Error, TimeoutError, OSError) as error:
            await self._drop(connection)
            return said("unknown" if sent and op != "get" else "fail", error)
        self._keep(where, connection)
        return "ok", None if row is None else row[0]

    async def _connection(self, where: str, *, any_node: bool) -> psycopg.AsyncConnection:
        idle = self._idle.setdefault(where, [])
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        count = where.count(",") + 1
        return await psycopg.AsyncConnection.connect(
            host=where, port=",".join([self._port] * count), user="postgres", dbname="postgres", autocommit=True, connect_timeout=2,
            target_session_attrs="any" if any_node else "read-write",
        )  # fmt: skip

    def _keep(self, where: str, connection: psycopg.AsyncConnection) -> None:
        idle = self._idle.setdefault(where, [])
        if len(idle) < KEPT:
            idle.append(connection)
        else:
            connection.pgconn.finish()

    @staticmethod
    async def _drop(connection: psycopg.AsyncConnection | None) -> None:
        if connection is not None:
            connection.pgconn.finish()


def said(outcome: str, error: BaseException) -> tuple[str, None]:
    """The outcome; what the library said goes to the log, once for each text."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if text not in _told:
        _told.add(text)
        print(text, file=sys.stderr, flush=True)
    return outcome, None


_told: set[str] = set()


async def main() -> None:
    """Answer each line when it is done, in any order."""
    clients = Clients(sys.argv[1], sys.argv[2])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()

    async def serve(ask: dict) -> None:
        outcome, value = await clients.do(ask["op"], ask["address"], ask["key"], ask["value"], ask["timeout_s"])
        sys.stdout.write(json.dumps({"id": ask["id"], "outcome": outcome, "value": value}) + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        task = asyncio.create_task(serve(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    asyncio.run(main())
