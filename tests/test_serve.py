"""The local page: its answers, and the page itself in a browser."""
import json
import os
import shutil
import subprocess
import threading
from http.client import HTTPConnection

import pytest
from experiment import draw_word, make_experiment

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
