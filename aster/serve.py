"""A page on this machine that recognizes the images that you drop on it: python -m aster.demo --serve [PORT]"""
import base64
import json
import logging
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Dict, List, cast
from urllib.parse import unquote

from aster.pretrained import SAMPLES

_log = logging.getLogger(__name__)
PORT = 8765
MAX_BYTES = 32 * 1000 * 1000
_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "serve.html")


class Server(ThreadingMixIn, HTTPServer):
    """Serves the page at 127.0.0.1 only. Port 0 takes a free port, and the attribute `server_port` says which."""
    daemon_threads = True

    def __init__(self, recognizer: Any, port: int = PORT) -> None:
        self.recognizer = recognizer
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise ValueError(f"can't serve at port {port} ({problem}); name another: --serve {PORT + 1}") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs an error of a request, unless the browser has only closed the connection."""
        if isinstance(sys.exc_info()[1], ConnectionError):
            _log.debug("%s closed the connection", client_address)
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        """Sends the page, the names of the samples, or a sample."""
        if not self._is_local():
            return
        if self.path == "/":
            with open(_PAGE, "rb") as stream:
                self._answer(stream.read(), "text/html; charset=utf-8")
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
        if self.path != "/read" or not length.isdigit():
            self._answer_json({"error": "expected an image, sent to /read"}, 400)
            return
        if int(length) > MAX_BYTES:
            self.close_connection = True
            self._answer_json({"error": f"the image has more than {MAX_BYTES // 10 ** 6} MB"}, 413)
            return
        try:
            self._answer_json(recognize(cast(Server, self.server).recognizer, self.rfile.read(int(length))))
        except ValueError as error:
            self._answer_json({"error": str(error)}, 400)

    def _is_local(self) -> bool:
        """Refuses requests that a page of another host makes through the user's browser."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host in ("127.0.0.1", "localhost"):
            return True
        port = cast(Server, self.server).server_port
        self._answer_json({"error": f"this page is for this machine: http://127.0.0.1:{port}"}, 403)
        return False

    def _answer_json(self, value: Any, status: int = 200) -> None:
        self._answer(json.dumps(value).encode("ascii"), "application/json", status)

    def _answer(self, body: bytes, content_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps the log of requests quiet."""
        _log.debug(format, *arguments)


def recognize(recognizer: Any, encoded: bytes) -> Dict[str, Any]:
    """Recognizes an image for the page.

    Args:
      recognizer: a Recognizer.
      encoded: the bytes of an image file.

    Returns:
      What the page shows: text, score, texts of each predictor by name, characters with their probabilities, and
      picture, a data URL.

    Raises:
      ValueError: the bytes are not an image.
    """
    from aster.reading.pictures import draw_reading, encode
    reading, = recognizer.recognize([encoded], details=True, on_error="keep")
    if reading.error:
        raise ValueError(reading.error.partition(": ")[2])
    picture = base64.b64encode(encode(draw_reading(reading))).decode("ascii")
    return {"text": reading.text, "score": reading.score, "texts": reading.texts,
            "characters": list(zip(reading.text, reading.probabilities)),
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
