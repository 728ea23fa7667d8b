"""The certificate that mail is received with when nobody has given one: made by ourselves, in the data folder.

Servers that send mail encrypt with whatever certificate they are shown (RFC 7435), so a self-signed one keeps mail from
being read on its way; it proves to nobody who we are. Certificate and key are one file of mode 0600, replaced in one
step. It is made anew when it is about to run out, so the processes have to look for changes (`apps/inbound` does).
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailplatform.embedded.access import CERTIFICATE_FILE_NAME, write_secret_file

GOOD_FOR = timedelta(days=825)  # what programs accept at most
MADE_ANEW_BEFORE = timedelta(days=30)


def ensure_certificate(data_dir: Path, hostname: str, now: datetime) -> Path:
    """Make the data folder's certificate unless there is one that is good for a while; where it is."""
    path = data_dir / CERTIFICATE_FILE_NAME
    if not _is_good(path, now + MADE_ANEW_BEFORE):
        write_secret_file(path, _make(hostname, now))
    return path


def _is_good(path: Path, until: datetime) -> bool:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc > until
    except (OSError, ValueError):
        return False


def _make(hostname: str, now: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    names = dict.fromkeys([hostname, "localhost"])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - timedelta(days=1))
        .not_valid_after(now.astimezone(UTC) + GOOD_FOR)
        .add_extension(
            x509.SubjectAlternativeName(
                [*(x509.DNSName(one) for one in names), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (certificate.public_bytes(Encoding.PEM) + pem).decode()
