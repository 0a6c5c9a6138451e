"""Decodes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """An event of the stream, not decoded."""

    id: str
    """The id of this event. If it has none: the id of the last event that has one."""
    name: str
    data: str


class Decoder:
    """Takes the bytes of a stream in any pieces. An empty line ends a message, so a message that is cut off is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False
        self._id = ""
        self.last_id = ""
        """The position in the stream. A message without data has no effect but this."""
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Message]:
        """Returns the messages that end in this piece."""
        return [message for line in self._lines(piece) if (message := self._line(line)) is not None]

    def _lines(self, piece: bytes) -> list[bytes]:
        # str.splitlines would also split at U+2028, which JSON may contain.
        if self._after_return and piece:
            # The piece before ended between the two characters of an end of line.
            piece = piece.removeprefix(b"\n")
            self._after_return = False
        self._after_return = self._after_return or piece.endswith(b"\r")
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return lines

    def _line(self, line: bytes) -> Message | None:
        if not line:
            return self._end()
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        # Other lines are comments, which keep the connection alive.
        return None

    def _end(self) -> Message | None:
        self.last_id = self._id
        message = Message(self._id, self._name or "message", "\n".join(self._data)) if self._data else None
        self._name, self._data = "", []
        return message
