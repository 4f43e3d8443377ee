"""Clients of Redis behind sentinels, by redis-py: they ask the sentinels for the master, and again after each lost connection.

    python driver.py SENTINELS REPLICAS OPERATION      SENTINELS: host:port,host:port,... or name: the address that comes with a request,
                                                       which the cluster's name stands for
                                                       REPLICAS: how many WAIT waits for; 0: none

One JSON object a line in and out (docs/targets.md). redis-py repeats nothing by itself here: further attempts are the harness's.
A write is *fail* only where the server said that it did nothing, or where no master was found to send it to; else it is *unknown*.
"""

from __future__ import annotations

import asyncio
import json
import sys

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, ResponseError

SENTINEL_TIMEOUT_S = 0.5
"""What a client gives one sentinel before it asks the next: the first on its list may be the dead one."""
SOCKET_TIMEOUT_S = 1.0
"""After so long a connection is thrown away; a request may have been answered as lost before."""
MOST_CONNECTIONS = 8
"""As the pool of a service. Without a bound, all that wait after a failover ask the sentinels at once, and again when that fails."""
BY_NAME = "name"
PORT = 6379
NOT_SENT = ("Error 111", "Error 113", "Connect call failed")
"""Words of redis-py for a connection that never came to be."""


class Clients:
    """One pool of connections to the primary, or to each address of the name, as a service has it."""

    def __init__(self, sentinels: str, replicas: int) -> None:
        never = Retry(NoBackoff(), 0)
        self._how = {"retry": never, "decode_responses": True}
        self._how |= dict.fromkeys(("socket_timeout", "socket_connect_timeout"), SOCKET_TIMEOUT_S)
        self._replicas = replicas
        self._turns = asyncio.Semaphore(MOST_CONNECTIONS)
        self._named: dict[str, Redis] = {}
        self._master: Redis | None = None
        if sentinels != BY_NAME:
            known = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in sentinels.split(","))]
            asks = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S, "retry": never}
            self._master = Sentinel(known, sentinel_kwargs=asks).master_for("cache", **self._how)

    async def do(self, op: str, address: str, key: str, value: str, timeout_s: float) -> tuple[str, str | None]:
        """(outcome, value read). What takes too long is left to end by itself: a cancelled command would leak its connection."""
        began = asyncio.Event()
        task = asyncio.create_task(self._in_turn(began, op, address, key, value, timeout_s))
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if done:
            return task.result()
        if not began.is_set():
            task.cancel()
            return said("fail", TimeoutError("no connection was free within the request's time"))
        return said("fail" if op == "get" else "unknown", TimeoutError("not within the request's time"))

    async def _in_turn(self, began: asyncio.Event, *asked: object) -> tuple[str, str | None]:
        async with self._turns:
            began.set()
            return await self._do(*asked)

    async def _do(self, op: str, address: str, key: str, value: str, timeout_s: float) -> tuple[str, str | None]:
        redis = self._master or self._named.setdefault(address, Redis(host=address, port=PORT, **self._how))
        try:
            if op == "get":
                return "ok", await redis.get(key)
            if self._replicas == 0:
                await redis.set(key, value)
                return "ok", None
            return await self._set_and_wait(redis, key, value, timeout_s), None
        except (MasterNotFoundError, ReadOnlyError, BusyLoadingError) as error:
            return said("fail", error)
        except ResponseError as error:
            return said("fail", error)  # NOREPLICAS, MASTERDOWN: the server refused
        except ConnectionError as error:
            return said("fail" if op == "get" or any(word in str(error) for word in NOT_SENT) else "unknown", error)
        except (TimeoutError, RedisError, OSError) as error:
            return said("fail" if op == "get" else "unknown", error)

    async def _set_and_wait(self, redis: Redis, key: str, value: str, timeout_s: float) -> str:
        """A write that too few replicas have confirmed is there and may be lost: unknown."""
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set(key, value)
            pipe.wait(self._replicas, max(1, int(timeout_s * 800)))
            done, confirmed = await pipe.execute(raise_on_error=False)
        if isinstance(done, Exception):
            raise done
        return "ok" if isinstance(confirmed, int) and confirmed >= self._replicas else "unknown"


def said(outcome: str, error: BaseException) -> tuple[str, None]:
    """The outcome; what the library said goes to the log, once for each text."""
    text = f"{type(error).__name__}: {str(error)[:200]}"
    if text not in _told:
        _told.add(text)
        print(text, file=sys.stderr, flush=True)
    return outcome, None


_told: set[str] = set()


async def main() -> None:
    """Answer each line when it is done, in any order."""
    sentinels, replicas = sys.argv[1], int(sys.argv[2])
    clients = Clients(sentinels, replicas)
    if sentinels != BY_NAME:  # as a service does before it takes its first request
        await clients.do("get", "", "warm", "", SOCKET_TIMEOUT_S)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()

    async def serve(ask: dict) -> None:
        outcome, value = await clients.do(ask["op"], ask["address"], ask["key"], ask["value"], ask["timeout_s"])
        sys.stdout.write(json.dumps({"id": ask["id"], "outcome": outcome, "value": value}) + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        ask = json.loads(line)
        task = asyncio.create_task(serve(ask))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    asyncio.run(main())
