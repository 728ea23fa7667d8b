"""What goes between a process and its worker: a pickle, and beside it the large bytes, which are never copied into it.

A frame is the number of its pieces, their lengths, and the pieces; the first is the pickle, the others are its buffers
(PEP 574), in order. A mail of 25 MB therefore crosses the border once each way, and is held once on either side.
"""

import io
import pickle
import socket
import struct
from typing import Any

_COUNT = struct.Struct(">I")
_LENGTH = struct.Struct(">Q")
MAX_PIECES = 100_000
MAX_PIECE_BYTES = 2 * 1024 * 1024 * 1024  # what a worker claims to send is no reason to make room for more

Frame = list[bytes]


def pack(value: object) -> list[bytes | memoryview]:
    """A value as the pieces of a frame."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [pickled, *(buffer.raw() for buffer in buffers)]


def unpack(frame: Frame, unpickler: type[pickle.Unpickler] = pickle.Unpickler) -> Any:
    """The value of a frame. Raises what unpickling raises."""
    return unpickler(io.BytesIO(frame[0]), buffers=frame[1:]).load()


def large(argument: bytes | str) -> pickle.PickleBuffer | str:
    """An argument as it should be pickled: bytes beside the pickle."""
    return pickle.PickleBuffer(argument) if isinstance(argument, bytes) else argument


def send_frame(connection: socket.socket, pieces: list[bytes | memoryview]) -> None:
    """Write one frame. Raises OSError when the other side is gone."""
    head = _COUNT.pack(len(pieces)) + b"".join(_LENGTH.pack(len(piece)) for piece in pieces)
    connection.sendall(head)
    for piece in pieces:
        connection.sendall(piece)


def receive_frame(connection: socket.socket) -> Frame | None:
    """Read one frame; None when the other side is gone. A socket's own timeout applies to every read."""
    head = _receive_exactly(connection, _COUNT.size)
    if head is None:
        return None
    (count,) = _COUNT.unpack(head)
    if not 0 < count <= MAX_PIECES:
        return None
    lengths = _receive_exactly(connection, count * _LENGTH.size)
    if lengths is None:
        return None
    pieces: Frame = []
    for (length,) in _LENGTH.iter_unpack(lengths):
        piece = _receive_exactly(connection, length) if length <= MAX_PIECE_BYTES else None
        if piece is None:
            return None
        pieces.append(piece)
    return pieces


def _receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(buffer)
