"""HTTP servers on this machine that give one file, as a mirror with faults and as the Hugging Face hub."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Mirror(http.server.BaseHTTPRequestHandler):
    """The first part of the path names a fault; any other name gives the file."""

    def do_GET(self):
        self.server.asked.append(self.path)
        fault = self.path.split('/')[1]
        if fault in ('404', '500'):
            self.send_error(int(fault))
            return
        if fault == 'header':
            self._trickle(b'HTTP/1.0 200 OK')
            return
        body = self.server.body
        body = body[:-100] + b'\0' * 100 if fault == 'corrupt' else body
        body = b'<html>sign in</html>' if fault == 'page' else body
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if fault == 'stall':
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.server.released.wait(20)
        elif fault == 'trickle':
            self._trickle(body)
        elif fault == 'slow':
            time.sleep(0.5)
            self.wfile.write(body)
        elif fault == 'cut':
            self.wfile.write(body[:1000])
        else:
            self.wfile.write(body)

    def _trickle(self, text):
        for i in range(len(text)):
            if self.server.released.wait(0.3):
                break
            self.wfile.write(text[i : i + 1])
            self.wfile.flush()

    def log_message(self, *args):
        pass


class _Hub(http.server.BaseHTTPRequestHandler):
    """The hub's repository ``timm/tiny``, for a user who sends the token ``hf_token``."""

    def do_HEAD(self, send=False):
        found = self.path == '/timm/tiny/resolve/main/model.safetensors'
        known = self.headers.get('Authorization') == 'Bearer hf_token'
        self.send_response((200 if known else 401) if found else 404)
        body = self.server.body
        headers = {'ETag': '"abc"', 'X-Repo-Commit': 'c0ffee', 'Content-Length': str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if send and found and known:
            self.wfile.write(body)

    def do_GET(self):
        self.do_HEAD(send=True)

    def log_message(self, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that hangs up is what half of these tests are about."""


@contextmanager
def mirror(body: bytes) -> Iterator[_Server]:
    """A server whose paths name its faults; its ``asked`` lists what was asked of it."""
    with running(_Mirror, body) as server:
        yield server


@contextmanager
def hub(body: bytes) -> Iterator[_Server]:
    """A server that answers as the Hugging Face hub does."""
    with running(_Hub, body) as server:
        yield server


@contextmanager
def running(handler: type[http.server.BaseHTTPRequestHandler], body: bytes = b'') -> Iterator[_Server]:
    """A server with a handler of one's own; ``body`` and the list ``asked`` are there for the handler."""
    server = _Server(('127.0.0.1', 0), handler)
    server.body, server.asked, server.released = body, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
