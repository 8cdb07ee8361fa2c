"""TLS between the processes and to their servers: contexts made of files, which are read again when they are renewed.

A process has one certificate: it serves with it, and shows it to whom it connects. `TLS_CLIENT_CA_FILE` makes it ask
the same of those who connect to it (mTLS). New connections use a renewed certificate; open ones go on with the old.
"""

import asyncio
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from libs.common.settings import ServiceSettings, SettingsError

LOOK_SECONDS = 10.0
log = structlog.get_logger()


class Certificates:
    """The TLS contexts of a process: `client` to connect with, `server` to serve with.

    Without files there is none, and a client of a TLS server believes the system's authorities.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
            raise SettingsError("TLS_CERT_FILE and TLS_KEY_FILE belong together")
        self._settings = settings
        own = settings.tls_ca_file or settings.tls_cert_file
        self.client = ssl.create_default_context(cafile=settings.tls_ca_file) if own else None
        self.server = _server() if settings.tls_cert_file and settings.serve_tls == "on" else None
        self._read()
        self._seen = self._state()

    @property
    def given(self) -> bool:
        """Whether there is any file that may be renewed."""
        return any(self._files())

    def refresh(self) -> bool:
        """Reads the files again if one was renewed; says whether it did so."""
        state = self._state()
        if state == self._seen:
            return False
        self._read()
        self._seen = state
        return True

    async def follow(self) -> None:
        """Looks for renewed files for ever; files that cannot be read leave everything as it was."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self.refresh():
                    await log.ainfo("certificates read again")
            except OSError as error:  # an SSLError is one too
                await log.aerror("certificates not readable", error=repr(error))

    def _files(self) -> tuple[str | None, ...]:
        given = self._settings
        return given.tls_ca_file, given.tls_cert_file, given.tls_key_file, given.tls_client_ca_file

    def _state(self) -> list[tuple[int, int]]:
        found = [Path(path).stat() for path in self._files() if path]
        return [(file.st_mtime_ns, file.st_ino) for file in found]

    def _read(self) -> None:
        given = self._settings
        if self.client is not None and given.tls_ca_file:
            self.client.load_verify_locations(given.tls_ca_file)
        for context in (self.client, self.server):
            if context is not None and given.tls_cert_file:
                context.load_cert_chain(given.tls_cert_file, given.tls_key_file)
        if self.server is not None and given.tls_client_ca_file:
            self.server.load_verify_locations(given.tls_client_ca_file)
            self.server.verify_mode = ssl.CERT_REQUIRED


def _server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


certificates = lru_cache(maxsize=16)(Certificates)
"""The certificates of these settings, made once in a process."""


def serving(settings: ServiceSettings) -> dict[str, Any]:
    """The options that make uvicorn serve TLS, where these settings want it."""
    server = certificates(settings).server
    return {} if server is None else {"ssl_context_factory": lambda *_: server}
