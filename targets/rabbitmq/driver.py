"""Publishers and a consumer of RabbitMQ, by pika.

    python driver.py QUEUE HOSTS OPERATION      publish: a persistent message to the queue, done when the broker confirms it
                                                read: what a consumer of the queue was delivered so far, each message acknowledged

One JSON object a line in and out (docs/targets.md). Publishers connect to the address that comes with a request, which the cluster's name
stands for, and keep one connection to each; the consumer goes through HOSTS (host,host,...) until one takes it. A publish is *fail* where
nothing was sent or the broker said no (nack); it is *unknown* where no confirm came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError

PORT = 5672
AGAIN_S = 0.1
"""Between two attempts to connect."""
CONNECTED_S = 5.0
"""So long the driver waits for its first connections, before it says that it is ready."""
DURABLE = pika.BasicProperties(delivery_mode=2)
PREFETCH = 50


class Link:
    """A connection with one channel, made again when it is lost."""

    def __init__(self, hosts: Iterator[str], queue: str) -> None:
        self._hosts = hosts
        self.queue = queue
        self.channel: pika.channel.Channel | None = None
        self.opened = asyncio.Event()
        self._connect()

    def _connect(self) -> None:
        parameters = pika.ConnectionParameters(
            next(self._hosts), PORT, heartbeat=5, socket_timeout=1, stack_timeout=2, blocked_connection_timeout=5
        )
        AsyncioConnection(parameters, self._connected, self._not_connected, self._closed)

    def _connected(self, connection: AsyncioConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: pika.channel.Channel) -> None:
        channel.add_on_close_callback(lambda _, why: self._channel_closed(channel, why))
        self.channel = channel
        self.begin(channel)
        self.opened.set()

    def _channel_closed(self, channel: pika.channel.Channel, why: BaseException) -> None:
        said(why)
        self._lose()
        if channel.connection.is_open:
            channel.connection.close()

    def _not_connected(self, _: object, why: BaseException) -> None:
        said(why)
        asyncio.get_running_loop().call_later(AGAIN_S, self._connect)

    def _closed(self, _: object, why: BaseException) -> None:
        said(why)
        self._lose()
        asyncio.get_running_loop().call_later(AGAIN_S, self._connect)

    def _lose(self) -> None:
        self.channel = None
        self.opened.clear()
        self.lost()

    def begin(self, channel: pika.channel.Channel) -> None:
        """The channel is open."""

    def lost(self) -> None:
        """It is no longer."""


class Publisher(Link):
    """Confirms are told to whoever waits for them; those that are outstanding when the connection is lost stay unknown."""

    def __init__(self, hosts: Iterator[str], queue: str) -> None:
        self._number = 0
        self._waiting: dict[int, asyncio.Future[str]] = {}
        super().__init__(hosts, queue)

    def begin(self, channel: pika.channel.Channel) -> None:
        self._number = 0
        channel.confirm_delivery(self._confirmed)

    def lost(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result("unknown")

    async def publish(self, body: str) -> str:
        """The outcome."""
        await self.opened.wait()
        assert self.channel is not None
        self._number += 1
        future = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self.channel.basic_publish("", self.queue, body.encode(), DURABLE)
        return await future

    def _confirmed(self, frame: pika.frame.Method) -> None:
        outcome = "ok" if isinstance(frame.method, pika.spec.Basic.Ack) else "fail"
        last = frame.method.delivery_tag
        for number in [each for each in self._waiting if each == last or (frame.method.multiple and each < last)]:
            future = self._waiting.pop(number)
            if not future.done():
                future.set_result(outcome)


class Consumer(Link):
    """Keeps what it was delivered, by key. What comes again since its acknowledgement got lost is marked so: that is no duplicate."""

    def __init__(self, hosts: Iterator[str], queue: str) -> None:
        self.found: dict[str, list[str]] = {}
        super().__init__(hosts, queue)

    def begin(self, channel: pika.channel.Channel) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(self.queue, self._delivered)

    def _delivered(self, channel: pika.channel.Channel, method: pika.spec.Basic.Deliver, _: pika.BasicProperties, body: bytes) -> None:
        key, _, value = body.decode().partition(" ")
        mine = self.found.setdefault(key, [])
        if not (method.redelivered and value in mine):
            mine.append(value)
        channel.basic_ack(method.delivery_tag)


class Clients:
    """Publishers by address, and a consumer once somebody reads."""

    def __init__(self, queue: str, hosts: list[str]) -> None:
        self._queue = queue
        self._hosts = hosts
        self._publishers: dict[str, Publisher] = {}
        self._consumer: Consumer | None = None

    async def connected(self) -> None:
        """Each broker has confirmed a first message, as in a service that has been running; those that cannot be reached, later."""
        first = [self._publisher(host).publish("first 0") for host in self._hosts]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECTED_S):
                await asyncio.gather(*first)

    async def do(self, ask: dict) -> tuple[str, list[str] | None]:
        """(outcome, messages)."""
        try:
            async with asyncio.timeout(ask["timeout_s"]):
                if ask["op"] == "read":
                    return await self._read(ask["key"])
                publisher = self._publisher(ask["address"])
                await publisher.opened.wait()
        except TimeoutError:
            return "fail", None  # nothing was sent
        try:
            async with asyncio.timeout(ask["timeout_s"]):
                return await publisher.publish(f"{ask['key']} {ask['value']}"), None
        except (TimeoutError, AMQPError) as error:
            said(error)
            return "unknown", None

    def _publisher(self, address: str) -> Publisher:
        if address not in self._publishers:
            self._publishers[address] = Publisher(rotating([address]), self._queue)
        return self._publishers[address]

    async def _read(self, key: str) -> tuple[str, list[str]]:
        if self._consumer is None:
            self._consumer = Consumer(rotating(self._hosts), self._queue)
        await self._consumer.opened.wait()
        return "ok", list(self._consumer.found.get(key, []))


def rotating(hosts: list[str]) -> Iterator[str]:
    """One after the other, for ever."""
    while True:
        yield from hosts


def said(error: BaseException) -> None:
    """What the library said goes to the log, once for each text."""
    text = f"{type(error).__name__}: {error!r}"
    if text not in _told:
        _told.add(text)
        print(text, file=sys.stderr, flush=True)


_told: set[str] = set()


async def main() -> None:
    """Answer each line when it is done, in any order."""
    clients = Clients(sys.argv[1], sys.argv[2].split(","))
    await clients.connected()
    print(json.dumps({"id": 0, "outcome": "ok"}), flush=True)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()

    async def serve(ask: dict) -> None:
        outcome, value = await clients.do(ask)
        sys.stdout.write(json.dumps({"id": ask["id"], "outcome": outcome, "value": value}) + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        task = asyncio.create_task(serve(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    asyncio.run(main())
