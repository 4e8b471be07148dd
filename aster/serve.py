"""A page on this machine that reads the images that one drops on it: python -m aster.demo --serve [PORT]"""
import base64
import json
import logging
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import unquote

from aster.pretrained import SAMPLES

_log = logging.getLogger(__name__)
PORT = 8765
MAX_BYTES = 32 * 1000 * 1000
_PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "serve.html")


class Server(ThreadingMixIn, HTTPServer):
    """Serves the page at 127.0.0.1 only; port 0 takes a free one, which `server_port` then tells."""
    daemon_threads = True

    def __init__(self, recognizer, port=PORT):
        self.recognizer = recognizer
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise ValueError("can't serve at port %d (%s); name another: --serve %d"
                             % (port, getattr(error, "strerror", None) or error, PORT + 1))


    def handle_error(self, request, client_address):
        if isinstance(sys.exc_info()[1], ConnectionError):  # who asked has left
            _log.debug("%s left", client_address)
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 60  # seconds without a byte

    def do_GET(self):
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

    def do_POST(self):
        if not self._is_local():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/read" or not length.isdigit():
            return self._answer_json({"error": "expected an image, sent to /read"}, 400)
        if int(length) > MAX_BYTES:
            self.close_connection = True
            return self._answer_json({"error": "the image has more than %d MB" % (MAX_BYTES // 10 ** 6)}, 413)
        try:
            self._answer_json(read(self.server.recognizer, self.rfile.read(int(length))))
        except ValueError as error:
            self._answer_json({"error": str(error)}, 400)

    def _is_local(self):
        """Refuses what other pages, under names of their own, have a browser ask for."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host in ("127.0.0.1", "localhost"):
            return True
        here = "http://127.0.0.1:%d" % self.server.server_port
        self._answer_json({"error": "this page is for this machine: " + here}, 403)
        return False

    def _answer_json(self, value, status=200):
        self._answer(json.dumps(value).encode("ascii"), "application/json", status)

    def _answer(self, body, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *arguments):
        _log.debug(text, *arguments)


def read(recognizer, encoded):
    """Bytes of an image file -> what the page shows. Raises ValueError for bytes that are no image."""
    from aster.reading.pictures import draw_reading, encode
    reading, = recognizer.recognize([encoded], details=True, on_error="keep")
    if reading.error:
        raise ValueError(reading.error.partition(": ")[2])
    picture = base64.b64encode(encode(draw_reading(reading))).decode("ascii")
    return {"text": reading.text, "score": reading.score, "texts": reading.texts,
            "characters": list(zip(reading.text, reading.probabilities)),
            "picture": "data:image/png;base64," + picture}


def _samples():
    return sorted(os.listdir(SAMPLES)) if os.path.isdir(SAMPLES) else []


def serve(recognizer, port=PORT):
    """Until Ctrl-C."""
    server = Server(recognizer, port)
    print("Open http://127.0.0.1:%d in a browser; Ctrl-C stops." % server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
