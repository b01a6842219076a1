"""The mail server: one message to one address, over a connection that is encrypted and verified."""

import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import SplitResult, unquote, urlsplit

from flask import Config

from .models import Mail

TIMEOUT = 10  # seconds for each answer of the server
LOCAL = ("localhost", "127.0.0.1", "::1")


class RejectedError(Exception):
    """The server will never take this mail. The text is a reason without an address."""


class DeferredError(Exception):
    """The mail may be taken later. The text is a reason without an address."""


def compose(config: Config, mail: Mail, subject: str, text: str) -> EmailMessage:
    """The message for the row `mail`. Sent twice, it has the same Message-ID (RFC 5322, 3.6.4)."""
    sender = Address(addr_spec=parseaddr(config["MAIL_FROM"])[1])
    message = EmailMessage()
    message["From"] = config["MAIL_FROM"]
    message["To"] = Address(addr_spec=mail.recipient)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.reference}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # so that no machine replies (RFC 3834)
    message.set_content(text)
    return message


def deliver(config: Config, message: EmailMessage, recipient: str) -> None:
    """Send `message` to `recipient` and to no one else. Raises RejectedError or DeferredError.

    The envelope is the address that was asked for, never one that is parsed from a header: an
    encoded word in it would be decoded, to another address or to several.
    """
    if parseaddr(recipient) != ("", recipient):  # which smtplib sends as the envelope
        raise RejectedError("the recipient is not a plain address")
    url = urlsplit(str(config["MAIL_URL"]))
    try:
        with connect(url, str(config["MAIL_CA_FILE"])) as server:
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(message, to_addrs=[recipient])
    except smtplib.SMTPAuthenticationError as error:
        raise DeferredError(f"the login is rejected: {error.smtp_code}") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise judged(error.recipients[recipient][0]) from error
    except smtplib.SMTPResponseException as error:
        raise judged(error.smtp_code) from error
    except (OSError, ValueError) as error:
        raise DeferredError(f"{url.hostname}: {type(error).__name__}") from error


def judged(code: int) -> RejectedError | DeferredError:
    """What a reply code means: 5xx is for good, 4xx for now (RFC 5321, 4.2.1)."""
    if 500 <= code < 600:
        return RejectedError(f"the mail server rejects it: {code}")
    return DeferredError(f"the mail server does not take it yet: {code}")


def connect(url: SplitResult, ca_file: str) -> smtplib.SMTP:
    """A connection to the mail server at `url`, encrypted, with its certificate verified.

    smtp:// has STARTTLS, unless the server is on this machine; smtps:// has TLS from the start
    (RFC 8314). The certificate has to be of the host's name, and from an authority that the
    system trusts, or that is in `ca_file`. Raises OSError or ValueError otherwise.
    """
    host = url.hostname or ""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT, context=context)
    if url.scheme != "smtp":
        raise ValueError("MAIL_URL begins with neither smtp:// nor smtps://")
    server = smtplib.SMTP(host, url.port or 587, timeout=TIMEOUT)
    if host not in LOCAL:
        try:
            server.starttls(context=context)
        except (OSError, ValueError):
            server.close()
            raise
    return server
