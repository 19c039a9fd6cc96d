"""A network that is slow: passes bytes between two TCP ports, each one late. A process of its own.

python delaying_proxy.py LISTEN_PORT TARGET_PORT DELAY_S
"""

import asyncio
import sys


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Pass on what comes, `delay_s` after it came, in order and without holding up what comes next."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def deliver() -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - clock()))
            writer.write(data)
            await writer.drain()
            if not data:
                writer.close()
                return

    delivering = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            waiting.put_nowait((clock() + delay_s, data))
    except ConnectionError:
        pass
    waiting.put_nowait((clock() + delay_s, b""))
    await asyncio.gather(delivering, return_exceptions=True)


async def serve(listen: int, target: int, delay_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", target)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(carry(reader, forth, delay_s), carry(back, writer, delay_s))

    server = await asyncio.start_server(connected, "127.0.0.1", listen)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
