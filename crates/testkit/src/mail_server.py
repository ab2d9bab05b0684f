"""A mail server for tests, on Debian's aiosmtpd.

usage: mail_server.py FOLDER plain|starttls|implicit CERTIFICATE KEY [USER PASSWORD]

Prints its port. Writes what it takes to FOLDER/<number>.eml, sender and recipients on the first line. It ends with its standard input.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Taker:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 there is nobody of that name"
        if address.startswith("later@"):
            return "451 4.7.1 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.taken += 1
        head = f"{envelope.mail_from} {','.join(envelope.rcpt_tos)} {'tls' if server.transport.get_extra_info('sslcontext') else 'plain'}\r\n"
        part = self.folder / f"{self.taken}.part"
        part.write_bytes(head.encode() + envelope.original_content)
        part.rename(self.folder / f"{self.taken}.eml")
        return "250 taken"


async def main(folder, mode, certificate, key, user=None, password=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    taker = Taker(folder)

    def known(server, session, envelope, mechanism, data):
        # Not handled: the server itself answers.
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

    def talk():
        return SMTP(
            taker,
            enable_SMTPUTF8=True,
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=known if user else None,
            auth_required=bool(user),
            auth_require_tls=mode == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(
        talk, "127.0.0.1", 0, ssl=context if mode == "implicit" else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
