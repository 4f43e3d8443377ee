"""Clients of Redis behind sentinels, by redis-py: they ask the sentinels for the master, and again after each lost connection.

    python driver.py SENTINELS REPLICAS OPERATION      SENTINELS: host:port,host:port,...      REPLICAS: how many WAIT waits for; 0: none

One JSON object a line in and out (docs/targets.md). redis-py repeats nothing by itself here: further attempts are the harness's.
A write is *fail* only where the server said that it did nothing, or where no master was found to send it to; else it is *unknown*.
"""

from __future__ import annotations

import asyncio
import json
import sys

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, ResponseError

SENTINEL_TIMEOUT_S = 0.1
"""What a client gives one sentinel before it asks the next: the first on its list may be the dead one."""
NOT_SENT = ("Error 111", "Error 113", "Connect call failed")
"""Words of redis-py for a connection that never came to be."""


class Clients:
    """One pool of connections to the master, as a service has it."""

    def __init__(self, sentinels: list[tuple[str, int]], replicas: int, timeout_s: float) -> None:
        never = Retry(NoBackoff(), 0)
        asks = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S, "retry": never}
        self._sentinel = Sentinel(sentinels, sentinel_kwargs=asks)
        self._replicas = replicas
        self._master = self._sentinel.master_for(
            "cache", socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=never, decode_responses=True
        )

    async def do(self, op: str, key: str, value: str, timeout_s: float) -> tuple[str, str | None]:
        """(outcome, value read)."""
        try:
            async with asyncio.timeout(timeout_s):
                if op == "get":
                    return "ok", await self._master.get(key)
                if self._replicas == 0:
                    await self._master.set(key, value)
                    return "ok", None
                return await self._set_and_wait(key, value, timeout_s), None
        except (MasterNotFoundError, ReadOnlyError, BusyLoadingError) as error:
            return said("fail", error)
        except ResponseError as error:
            return said("fail", error)  # NOREPLICAS, MASTERDOWN: the server refused
        except ConnectionError as error:
            return said("fail" if op == "get" or any(word in str(error) for word in NOT_SENT) else "unknown", error)
        except (TimeoutError, RedisError, OSError) as error:
            return said("fail" if op == "get" else "unknown", error)

    async def _set_and_wait(self, key: str, value: str, timeout_s: float) -> str:
        """A write that too few replicas have confirmed is there and may be lost: unknown."""
        async with self._master.pipeline(transaction=False) as pipe:
            pipe.set(key, value)
            pipe.wait(self._replicas, max(1, int(timeout_s * 800)))
            done, confirmed = await pipe.execute(raise_on_error=False)
        if isinstance(done, Exception):
            raise done
        return "ok" if isinstance(confirmed, int) and confirmed >= self._replicas else "unknown"


def said(outcome: str, error: BaseException) -> tuple[str, None]:
    """The outcome; what the library said goes to the log, once for each text."""
    text = f"{type(error).__name__}: {error}"
    if text not in _told:
        _told.add(text)
        print(text, file=sys.stderr, flush=True)
    return outcome, None


_told: set[str] = set()


async def main() -> None:
    """Answer each line when it is done, in any order."""
    sentinels = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in sys.argv[1].split(","))]
    replicas = int(sys.argv[2])
    clients: Clients | None = None
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()

    async def serve(ask: dict) -> None:
        assert clients is not None
        outcome, value = await clients.do(ask["op"], ask["key"], ask["value"], ask["timeout_s"])
        sys.stdout.write(json.dumps({"id": ask["id"], "outcome": outcome, "value": value}) + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        ask = json.loads(line)
        clients = clients or Clients(sentinels, replicas, ask["timeout_s"])
        task = asyncio.create_task(serve(ask))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    asyncio.run(main())
