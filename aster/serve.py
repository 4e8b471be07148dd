"""A page on this machine that recognizes the images that you drop on it: python -m aster.demo --serve [PORT]

It listens at 127.0.0.1 only, so programs of other machines can't reach it. Pages of other hosts can, through the
browser of the user; `_is_local` refuses them. What one client can take is bounded: the time in which a request must
arrive, the number of connections, the bytes of images in memory, and (in aster/data/image.py) their pixels.
"""
import base64
import contextlib
import hashlib
import io
import json
import logging
import os
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Dict, List, Optional, cast
from urllib.parse import unquote

from aster.pretrained import SAMPLES

_log = logging.getLogger(__name__)
PORT = 8765
MAX_BYTES = 32 * 1000 * 1000
MAX_CONNECTIONS = 128  # further ones wait
HEAD_SECONDS = 10  # for the lines before an image to arrive, from the start of the connection
BODY_SECONDS = 30  # for the image to arrive
_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "serve.html")
_SMALL_BYTES = 1000 * 1000  # images up to this size don't wait for larger ones


class Server(ThreadingMixIn, HTTPServer):
    """Serves the page at 127.0.0.1 only. Port 0 takes a free port, and the attribute `server_port` says which."""
    daemon_threads = True
    request_queue_size = 128  # connections that the system keeps until they are accepted

    def __init__(self, recognizer: Any, port: int = PORT) -> None:
        from aster.data.image import Budget
        self.recognizer = recognizer
        self.bytes_in_flight = Budget(2 * MAX_BYTES, free=_SMALL_BYTES)
        self._connections = threading.Semaphore(MAX_CONNECTIONS)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise ValueError(f"can't serve at port {port} ({problem}); name another: --serve {PORT + 1}") from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for a connection, once there are less than MAX_CONNECTIONS of them."""
        self._connections.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection, and lets the next one in."""
        try:
            super().shutdown_request(request)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs an error of a request, unless the browser has only closed the connection."""
        if isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):
            _log.debug("%s closed the connection, or was too slow", client_address)
        else:
            _log.exception("the page has failed")


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""
    scripts = "'none'"  # what the page may run, and how it may look, for its Content-Security-Policy
    styles = "'none'"
    refused = False

    def setup(self) -> None:
        """Reads with a deadline for the whole request: a timeout of the socket would begin anew with each byte."""
        super().setup()
        self.incoming = _TimedReader(self.connection)
        self.incoming.allow(HEAD_SECONDS)
        self.rfile = io.BufferedReader(self.incoming)

    def finish(self) -> None:
        """Ends the connection. What a refused client still sends is read, or the system would drop the answer."""
        if self.refused:
            with contextlib.suppress(OSError):  # the client has left, or goes on sending
                self.connection.shutdown(socket.SHUT_WR)
                self.incoming.allow(2)
                while self.incoming.readinto(bytearray(1 << 16)):
                    pass
        super().finish()

    def do_GET(self) -> None:
        """Sends the page, the names of the samples, or a sample."""
        if not self._is_local():
            return
        if self.path == "/":
            with open(_PAGE, "rb") as stream:
                page = stream.read()
            self.scripts, self.styles = _hash(page, b"script"), _hash(page, b"style")
            self._answer(page, "text/html; charset=utf-8")
        elif self.path == "/samples":
            self._answer_json(_samples())
        elif self.path.startswith("/samples/") and unquote(self.path[len("/samples/"):]) in _samples():
            with open(os.path.join(SAMPLES, unquote(self.path[len("/samples/"):])), "rb") as stream:
                self._answer(stream.read(), "image/jpeg")
        else:
            self._answer_json({"error": f"there is nothing at {self.path}"}, 404)

    def do_POST(self) -> None:
        """Recognizes the image that was sent to /read."""
        if not self._is_local():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/read" or not re.fullmatch("[0-9]{1,18}", length):
            self._answer_json({"error": "expected an image, sent to /read with its Content-Length"}, 400)
        elif int(length) > MAX_BYTES:
            self._answer_json({"error": f"the image has more than {MAX_BYTES // 10 ** 6} MB"}, 413)
        else:
            self._read(int(length))

    def _read(self, length: int) -> None:
        """Answers what the image of the request's body reads."""
        server = cast(Server, self.server)
        with server.bytes_in_flight.take(length):
            self.incoming.allow(BODY_SECONDS)
            try:
                encoded = self.rfile.read(length)
            except socket.timeout:
                self._answer_json({"error": f"the image did not arrive within {BODY_SECONDS} s"}, 408)
                return
            try:
                answer, status = recognize(server.recognizer, encoded), 200
            except ValueError as error:
                answer, status = {"error": str(error)}, 400
        self._answer_json(answer, status)

    def _is_local(self) -> bool:
        """Refuses requests that a page of another host, or of another port, makes through the user's browser."""
        hosts = self.headers.get_all("Host") or [""]
        # without a port where it is 80; that of a tunnel, if it has one
        host = hosts[0].lower() if len(hosts) == 1 else ""
        origin = self.headers.get("Origin")  # of the page that asks, where it is another one or sends an image
        site = self.headers.get("Sec-Fetch-Site", "none") if self.command == "POST" else "none"
        if (re.fullmatch(r"(127\.0\.0\.1|localhost)(:[0-9]+)?", host) and origin in (None, f"http://{host}")
                and site in ("none", "same-origin")):
            return True
        port = cast(Server, self.server).server_port
        self._answer_json({"error": f"this page is for this machine: http://127.0.0.1:{port}"}, 403)
        return False

    def _answer_json(self, value: Any, status: int = 200) -> None:
        self._answer(json.dumps(value).encode("ascii"), "application/json", status)

    def _answer(self, body: bytes, content_type: str, status: int = 200) -> None:
        self.refused = status >= 400
        self.connection.settimeout(BODY_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Adds to each answer what keeps a browser from running or showing more than the page itself."""
        self.send_header("Content-Security-Policy", (
            f"default-src 'none'; script-src {self.scripts}; style-src {self.styles}; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"))
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps the log of requests quiet."""
        _log.debug(format, *arguments)


class _TimedReader(io.RawIOBase):
    """What a socket receives until a deadline. Then reading raises socket.timeout, as after a timeout of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._deadline = connection, time.monotonic()

    def allow(self, seconds: float) -> None:
        """Sets the deadline anew."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Optional[int]:
        """Waits for bytes. Returns their number, 0 at the end."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise socket.timeout("the deadline is over")
        self._connection.settimeout(seconds)
        return self._connection.recv_into(buffer)


def _hash(page: bytes, tag: bytes) -> str:
    """The source of a Content-Security-Policy that allows the page's own element, and no other."""
    content = page.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode('ascii')}'"


def recognize(recognizer: Any, encoded: bytes) -> Dict[str, Any]:
    """Recognizes an image for the page.

    Args:
      recognizer: a Recognizer.
      encoded: the bytes of an image file.

    Returns:
      What the page shows: text, score, doubtful, hint (or None), texts of each predictor by name, characters with their
      probabilities, and picture, a data URL.

    Raises:
      ValueError: the bytes are not an image.
    """
    from aster.reading.pictures import draw_reading, encode
    reading, = recognizer.recognize([encoded], details=True, on_error="keep")
    if reading.error:
        raise ValueError(reading.error.partition(": ")[2])
    picture = base64.b64encode(encode(draw_reading(reading))).decode("ascii")
    return {"text": reading.text, "score": reading.score, "doubtful": reading.doubtful, "hint": reading.hint,
            "texts": reading.texts, "characters": list(zip(reading.text, reading.probabilities)),
            "picture": "data:image/png;base64," + picture}


def _samples() -> List[str]:
    return sorted(os.listdir(SAMPLES)) if os.path.isdir(SAMPLES) else []


def serve(recognizer: Any, port: int = PORT) -> None:
    """Serves the page at a port of this machine until Ctrl-C."""
    server = Server(recognizer, port)
    print(f"Open http://127.0.0.1:{server.server_port} in a browser; Ctrl-C stops.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
