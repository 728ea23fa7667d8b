"""The API behind a real web server: bodies without a length, bodies without an end, and the page to browse it."""

import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import monotonic, sleep

import pytest
import uvicorn
from django.conf import settings

from tests.people import House

DEADLINE_SECONDS = 10
SYSTEM_CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """A web server of this process on a free loopback port."""
    from mailplatform.asgi import application

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = monotonic() + DEADLINE_SECONDS
            while not server.started:
                assert monotonic() < deadline, "the web server did not start"
                sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(DEADLINE_SECONDS)


def test_a_chunked_body_is_read(port: int, house: House) -> None:
    body = json.dumps({"from": "support@house.test", "to": ["bob@house.test"], "text": "Hello"}).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    connection.request(
        "POST",
        "/api/v1/messages",
        body=iter([body[:20], body[20:]]),
        headers={"Authorization": f"Bearer {house.secret}", "Content-Type": "application/json"},
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as line:
        length = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
        line.sendall(
            f"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        answer = HTTPResponse(line)
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "too_large"


@pytest.mark.browser
def test_the_document_can_be_browsed_without_a_policy_violation(port: int) -> None:
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=SYSTEM_CHROMIUM if SYSTEM_CHROMIUM.exists() else None,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        page = browser.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/api/docs/")
        page.get_by_text("Send a message", exact=True).click()
        page.get_by_role("table").get_by_text("Idempotency-Key").wait_for()
        browser.close()
    assert complaints == []
