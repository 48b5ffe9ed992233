# Takes the script from the socket that is standard input, and runs it.
import os
import socket

CONNECTION = socket.socket(fileno=os.dup(0))


def take(count):
    data = b""
    while len(data) < count:
        part = CONNECTION.recv(count - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


SOURCE = take(int.from_bytes(take(8), "little"))
exec(compile(SOURCE, "<weir worker>", "exec"), {"__name__": "weir_worker", "CONNECTION": CONNECTION})
