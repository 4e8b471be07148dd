"""The local page: its answers, and the page itself in a browser."""
import base64
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from experiment import draw_word, make_experiment
from PIL import Image

from aster import serve
from aster.config import read_config
from aster.pretrained import SAMPLES
from aster.reading.recognizer import Recognizer
from aster.training.loop import train


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = make_experiment(tmp_path_factory.mktemp("experiment"))
    train(read_config(folder), folder, clone_on_cpu=True)
    with Recognizer.from_experiment(folder) as recognizer:
        server = serve.Server(recognizer, port=0)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server, method, path, body=None, host=None):
    """-> (status, body)."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, body, {"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_an_image_is_read(server):
    status, body = ask(server, "POST", "/read", draw_word("tea"))
    answer = json.loads(body.decode("ascii"))
    assert status == 200 and answer["picture"].startswith("data:image/png;base64,")
    assert "".join(character for character, _ in answer["characters"]) == answer["text"]
    assert answer["texts"] == {"Forward": answer["text"]}


@pytest.mark.parametrize("method, path, body, status, words", [
    ("POST", "/read", b"no image", 400, "no image of a known format"), ("POST", "/read", b"", 400, "empty"),
    ("POST", "/elsewhere", b"x", 400, "/read"), ("GET", "/nothing", None, 404, "nothing at"),
    ("GET", "/samples/..%2Fenglish%2Fconfig%2Ftrainval.prototxt", None, 404, "nothing at"),
    ("GET", "/samples/../../serve.py", None, 404, "nothing at")])
def test_what_is_wrong_is_said(server, method, path, body, status, words):
    found, answer = ask(server, method, path, body)
    assert found == status and words in json.loads(answer.decode("ascii"))["error"]


def test_too_large_an_image_is_refused_before_it_is_read(server, monkeypatch):
    monkeypatch.setattr(serve, "MAX_BYTES", 100)
    assert ask(server, "POST", "/read", draw_word("tea"))[0] == 413


def test_pages_of_other_names_are_refused(server):
    assert ask(server, "GET", "/", host=f"evil.example:{server.server_port}")[0] == 403
    assert ask(server, "POST", "/read", draw_word("tea"), host="evil.example")[0] == 403
    assert ask(server, "GET", "/", host=f"localhost:{server.server_port}")[0] == 200


def test_the_page_needs_no_network_and_the_samples_are_there(server):
    page = ask(server, "GET", "/")[1].decode("utf-8")
    assert "http://" not in page and "https://" not in page
    names = json.loads(ask(server, "GET", "/samples")[1].decode("ascii"))
    assert names == sorted(os.listdir(SAMPLES)) and len(names) == 8
    assert ask(server, "GET", "/samples/" + names[0])[1][:2] == b"\xff\xd8"


def post(server, **headers):
    """The status for an image that is sent with these headers, whose names have _ for -."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("POST", "/read", draw_word("tea"), {k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse().status


def test_pages_of_other_origins_can_not_post(server):
    own = f"127.0.0.1:{server.server_port}"
    for origin in "http://evil.example", "null", "http://127.0.0.1:3000", f"http://localhost:{server.server_port}":
        assert post(server, Origin=origin) == 403
    for site in "cross-site", "same-site":
        assert post(server, Sec_Fetch_Site=site) == 403
    assert post(server, Origin=f"http://{own}", Sec_Fetch_Site="same-origin") == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost:9000"])
def test_port_80_and_tunnels(server, host):
    """A browser leaves port 80 out of Host, and a tunnel has a port of its own."""
    assert ask(server, "GET", "/", host=host)[0] == 200
    assert post(server, Host=host, Origin=f"http://{host.lower()}") == 200


@pytest.mark.parametrize("host", ["", "127.0.0.1.evil.example", "evil.example:80", "localhost:x",
                                  "localhost@evil.example", "127.0.0.1:80:80", "[::1]:80"])
def test_other_hosts_are_refused(server, host):
    assert exchange(server, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.0 403 ")


def exchange(server, request):
    """Sends bytes, and receives until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("length", [b"\xb2", b"1" * 5000, b"-1", b"+1", b"1_0", b" ", b"0x10", b"\xd9\xa1", None])
def test_a_length_that_is_no_number(server, length):
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\n"
    answer = exchange(server, head + (b"Content-Length: " + length + b"\r\n" if length else b"") + b"\r\nbody")
    assert answer.startswith(b"HTTP/1.0 400 ") and b"Content-Length" in answer.partition(b"\r\n\r\n")[2]


def test_a_refused_client_gets_its_answer_though_it_goes_on_sending(server):
    body = b"x" * 40 * 1000 * 1000
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(5):
        assert b"more than 32 MB" in exchange(server, head + body)


def test_forty_posts_at_once_are_all_answered(server):
    assert server.request_queue_size >= 40  # a fast machine accepts them before its queue is full
    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(lambda _: post(server), range(40))) == [200] * 40


def test_connections_are_bounded_and_the_page_stays_up(server, monkeypatch):
    """Three times as many idle connections as there may be threads."""
    monkeypatch.setattr(serve, "HEAD_SECONDS", 1)
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", server.server_port), timeout=60)
            for _ in range(serve.MAX_CONNECTIONS + 100)]
    most = []
    for _ in range(10):
        most.append(threading.active_count())
        time.sleep(0.02)
    assert max(most) <= before + serve.MAX_CONNECTIONS
    assert ask(server, "GET", "/")[0] == 200
    for connection in idle:
        assert connection.recv(1) == b""
        connection.close()


@pytest.mark.parametrize("head", [b"", b"POST /read HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 1000\r\n\r\n"])
def test_a_byte_now_and_then_does_not_keep_a_connection(server, monkeypatch, head):
    monkeypatch.setattr(serve, "HEAD_SECONDS", 1)
    monkeypatch.setattr(serve, "BODY_SECONDS", 1)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(head)
        start = time.time()
        with pytest.raises(OSError):  # closed, or reset
            while time.time() < start + 20:
                connection.sendall(b"x")
                time.sleep(0.2)
        assert time.time() < start + 15


def test_an_image_that_does_not_arrive_is_named(server, monkeypatch):
    monkeypatch.setattr(serve, "BODY_SECONDS", 1)
    answer = exchange(server, b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.0 408 ") and b"did not arrive within" in answer


@pytest.mark.parametrize("path", ["/", "/samples", "/samples/1_exit.jpg", "/nothing"])
def test_a_browser_may_run_and_show_the_page_only(server, path):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.getheader("X-Frame-Options") == "DENY" and answer.getheader("X-Content-Type-Options") == "nosniff"
    policy = dict(rule.split(" ", 1) for rule in answer.getheader("Content-Security-Policy").split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["img-src"] == "'self' data:" and policy["connect-src"] == "'self'"
    body = answer.read()
    for tag, rule in (b"script", "script-src"), (b"style", "style-src"):
        own = re.findall(b"<%s>(.*?)</%s>" % (tag, tag), body, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text).digest()).decode("ascii") for text in own]
        assert policy[rule] == (f"'sha256-{digests[0]}'" if path == "/" else "'none'") and len(own) == (path == "/")
    if path == "/":  # what those hashes do not allow
        assert not re.search(rb'<[^>]*\s(on\w+|style)=|<(script|link|iframe|object|base)\s|javascript:|eval\(', body)


def peak_megabytes():
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) // 1000 for line in stream if line.startswith("VmHWM"))


def test_images_of_many_pixels_do_not_fill_the_memory(server):
    """Two at once, of 250 kB and 64 million pixels each."""
    stream = io.BytesIO()
    Image.new("RGBA", (8000, 8000), (9, 9, 9, 99)).save(stream, "PNG")
    before = peak_megabytes()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: ask(server, "POST", "/read", stream.getvalue())[0], range(2)))
    assert answers == [200, 200] and peak_megabytes() < before + 1000


def test_a_port_that_is_taken(server):
    with pytest.raises(ValueError, match="can't serve at port"):
        serve.Server(None, server.server_port)


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not BROWSER, reason="no browser: apt-get install chromium")
def test_in_a_browser(server, tmp_path):
    """A click on a sample shows the text and the picture; a script added to the page clicks for us."""
    script = ("const wait = ms => new Promise(done => setTimeout(done, ms));"
              "(async () => { while (!document.querySelector('#samples img')) await wait(50);"
              " document.querySelector('#samples img').click();"
              " while (document.getElementById('picture').hidden && !document.getElementById('error').textContent)"
              " await wait(50); document.title = 'done'; })();")
    original = serve._PAGE
    with open(original, encoding="utf-8") as stream:
        text = stream.read().replace("</script>", script + "</script>")
    changed = tmp_path / "page.html"
    changed.write_bytes(text.encode("utf-8"))
    serve._PAGE = str(changed)
    try:
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000",
             "--user-data-dir=" + str(tmp_path / "profile"), "--dump-dom", f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=180, universal_newlines=True)
    finally:
        serve._PAGE = original
    assert "<title>done</title>" in done.stdout
    assert 'src="data:image/png;base64,' in done.stdout and "log-probability" in done.stdout
