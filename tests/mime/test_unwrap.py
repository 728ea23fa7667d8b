"""What wraps a mail is opened, kept, and bounded: forwarded messages, winmail.dat, opaque signatures, encoded files."""

import base64
import binascii
import struct
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from apps.mime.encoded_files import take_out_files
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.parse import parse
from apps.mime.protection import PGP_ENCRYPTED, PGP_SIGNED, SMIME_ENCRYPTED, SMIME_SIGNED, open_pkcs7
from apps.mime.unwrap import DAMAGED_TNEF, EXTERNAL_BODY, MAX_DEPTH, NOT_UNWRAPPED, PARTIAL_MESSAGE
from tests.mime.mails import corpus, mail, multipart

PICTURE = mail(
    base64.b64encode(b"\x89PNG pixels"),
    Content_Type="image/png",
    Content_Transfer_Encoding="base64",
    Content_ID="<pic@x>",
    Content_Disposition='inline; filename="pic.png"',
)
FORWARDED = multipart(
    "mixed",
    multipart(
        "related", mail(b'<p>Old words</p><img src="cid:pic@x">', Content_Type="text/html"), PICTURE
    ).replace(b"limit", b"innermost"),
    mail(b"a,b\r\n", Content_Type="text/csv", Content_Disposition='attachment; filename="list.csv"'),
    From="Ben Ode <ben@customer.example>",
    To="elena@customer.example",
    Subject="=?utf-8?q?L=C3=A4mp?=",
    Date="Mon, 02 Mar 2026 10:00:00 +0100",
).replace(b"limit", b"inner")


def forward(*inner: bytes, text: bytes = b"See below.\r\n") -> bytes:
    return multipart(
        "mixed",
        mail(text, Content_Type="text/plain"),
        *(mail(one, Content_Type="message/rfc822") for one in inner),
        From="elena@customer.example",
    )


def names(parsed: ParsedMessage) -> list[tuple[int, int, str]]:
    return [(part.n, part.within, part.filename) for part in parsed.parts]


# forwarded messages


def test_a_forwarded_message_is_told_with_its_files_and_its_bytes_are_kept() -> None:
    parsed = parse(forward(FORWARDED))
    (enclosed,) = parsed.enclosed
    assert (enclosed.n, enclosed.subject) == (1, "Lämp")
    assert (enclosed.sender.name, enclosed.sender.address) == ("Ben Ode", "ben@customer.example")
    assert enclosed.date == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert "Old words" in enclosed.text
    assert names(parsed) == [(1, 0, "message.eml"), (2, 1, "pic.png"), (3, 1, "list.csv")]
    assert parsed.parts[0].data.strip() == FORWARDED.strip()
    assert [part.inline for part in parsed.parts] == [False, True, False]
    assert parsed.text == "See below."


def test_a_mail_that_only_forwards_is_previewed_by_what_it_forwards() -> None:
    assert "Old words" in parse(forward(FORWARDED, text=b"\r\n")).snippet


def test_what_is_inside_is_numbered_behind_the_messages_own_parts() -> None:
    own = mail(b"x", Content_Type="text/csv", Content_Disposition='attachment; filename="own.csv"')
    raw = multipart("mixed", mail(b"Hi"), mail(FORWARDED, Content_Type="message/rfc822"), own)
    assert names(parse(raw)) == [
        (1, 0, "message.eml"),
        (2, 0, "own.csv"),
        (3, 1, "pic.png"),
        (4, 1, "list.csv"),
    ]


def test_a_digest_is_a_message_for_each_of_its_messages() -> None:
    raw = multipart("digest", *(mail(mail(b"one", Subject=f"No {n}")) for n in range(3)), Subject="Digest")
    assert [one.subject for one in parse(raw).enclosed] == ["No 0", "No 1", "No 2"]


def test_messages_within_messages_are_followed_a_few_levels_and_then_kept_closed() -> None:
    raw = mail(b"the core", Subject="core")
    for level in range(MAX_DEPTH + 3):
        raw = forward(raw, text=b"level %d" % level).replace(b"limit", b"limit%d" % level)
    parsed = parse(raw)
    assert len(parsed.enclosed) <= MAX_DEPTH
    assert NOT_UNWRAPPED in parsed.defects
    assert b"the core" in parsed.parts[-1].data


def test_what_is_unwrapped_stays_within_a_multiple_of_the_mail() -> None:
    raw = mail(b"x" * 400_000, Content_Type="application/octet-stream")
    for level in range(MAX_DEPTH):
        raw = forward(raw).replace(b"limit", b"limit%d" % level)
    parsed = parse(raw)
    assert sum(len(part.data) for part in parsed.parts) <= 3 * len(raw) + 1024 * 1024 + len(raw)


def test_the_message_in_a_report_is_ours_and_stays_closed() -> None:
    raw = multipart(
        "report",
        mail(b"Not delivered."),
        mail(
            b"Final-Recipient: rfc822;a@b.example\r\nAction: failed\r\n",
            Content_Type="message/delivery-status",
        ),
        mail(FORWARDED, Content_Type="message/rfc822"),
    )
    parsed = parse(raw)
    assert parsed.kind == MessageKind.BOUNCE
    assert parsed.enclosed == ()
    assert len(parsed.parts) == 2


def test_a_mail_with_too_many_parts_does_not_contain_itself() -> None:
    raw = multipart("mixed", *[mail(b"x", Content_Type="image/png")] * 1300)
    parsed = parse(raw)
    assert parsed.enclosed == ()
    assert [part.content_type for part in parsed.parts].count("message/rfc822") == 1


# winmail.dat


def winmail(data: bytes, *, text: bytes = b"") -> bytes:
    encoded = base64.encodebytes(data)
    attachment = mail(
        encoded,
        Content_Type='application/ms-tnef; name="winmail.dat"',
        Content_Transfer_Encoding="base64",
    )
    return multipart("mixed", mail(text, Content_Type="text/plain"), attachment)


def tnef(*attributes: tuple[int, int, bytes]) -> bytes:
    body = b"".join(
        struct.pack("<BIIx", level, name, len(data))[:9] + data + struct.pack("<H", sum(data) & 0xFFFF)
        for level, name, data in attributes
    )
    return struct.pack("<IH", 0x223E9F78, 1) + body


def test_the_files_in_a_winmail_are_named_and_the_winmail_is_kept() -> None:
    data = (corpus("tnef", "two-files.tnef")[0]).read_bytes()
    parsed = parse(winmail(data, text=b"Two files.\r\n"))
    assert names(parsed) == [(1, 0, "winmail.dat"), (2, 1, "AUTHORS"), (3, 1, "README")]
    assert parsed.parts[0].data == data
    assert parsed.text == "Two files."


def test_a_winmails_html_is_read_where_the_mail_has_no_other_text() -> None:
    data = (corpus("tnef", "unicode-mapi-attr.tnef")[0]).read_bytes()
    assert "hello world" in parse(winmail(data)).html
    assert "hello world" not in parse(winmail(data, text=b"Mine.")).html


def test_a_winmails_rich_text_gives_the_html_it_was_made_from() -> None:
    data = (corpus("tnef", "umlaut.tnef")[0]).read_bytes()
    parsed = parse(winmail(data))
    assert {part.filename for part in parsed.parts} >= {"UmlautAnhang-äüö.txt", "image003.jpg"}
    assert "<p" in parsed.html
    assert "rtf" not in parsed.text


def test_a_damaged_winmail_is_kept_and_gives_what_stands_before_the_damage() -> None:
    data = (corpus("tnef", "two-files.tnef")[0]).read_bytes()
    for end in range(0, len(data), 97):
        parsed = parse(winmail(data[:end], text=b"Words."))
        assert parsed.text == "Words."
        assert all(part.within == 1 for part in parsed.parts[1:])
    cut = parse(winmail(data[:400]))
    assert DAMAGED_TNEF in cut.defects


def test_a_winmail_that_says_it_is_a_read_receipt_is_one() -> None:
    data = (corpus("tnef", "garbage-at-end.tnef")[0]).read_bytes()
    assert parse(winmail(data)).kind == MessageKind.RECEIPT


def test_a_million_small_attributes_cost_no_more_than_their_bytes() -> None:
    """A reader that copies the rest at each attribute is quadratic: 1 MB would take it minutes."""
    hostile = struct.pack("<IH", 0x223E9F78, 1) + (b"\x01" + b"\x00" * 10) * 100_000
    before = time.perf_counter()
    parse(winmail(hostile))
    assert time.perf_counter() - before < 5


# encrypted and signed


def opaque(content: bytes) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elena")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])


def smime(data: bytes) -> bytes:
    return mail(
        base64.encodebytes(data),
        From="elena@customer.example",
        Content_Type='application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"',
        Content_Transfer_Encoding="base64",
    )


def test_an_opaque_signature_shows_the_mail_it_signs() -> None:
    inner = multipart("mixed", mail(b"Signed words.\r\n", Content_Type="text/plain"), PICTURE)
    parsed = parse(smime(opaque(inner)))
    assert parsed.text == "Signed words."
    assert parsed.remarks == (SMIME_SIGNED,)
    assert names(parsed) == [(1, 0, "smime.p7m"), (2, 1, "pic.png")]


def test_an_opaque_signature_written_in_pieces_is_read_too() -> None:
    pieces = bytes.fromhex(
        "3080 06092a864886f70d010702 a080 3080 020101 3100 3080 06092a864886f70d010701 a080 2480"
        "0408" + b"Subject:".hex() + "0405" + b" s\r\n\r".hex() + "0403" + b"\nHi".hex() + "0000 0000 0000"
    )
    assert open_pkcs7(pieces) == (SMIME_SIGNED, b"Subject: s\r\n\r\nHi")
    assert parse(smime(pieces)).text == "Hi"


def test_what_is_encrypted_is_named_and_kept() -> None:
    enveloped = bytes.fromhex("300f 06092a864886f70d010703 a0020500")
    parsed = parse(smime(enveloped))
    assert parsed.remarks == (SMIME_ENCRYPTED,)
    assert parsed.parts[0].data == enveloped
    pgp = multipart(
        'encrypted; protocol="application/pgp-encrypted"',
        mail(b"Version: 1\r\n", Content_Type="application/pgp-encrypted"),
        mail(
            b"-----BEGIN PGP MESSAGE-----\r\n", Content_Type='application/octet-stream; name="encrypted.asc"'
        ),
    )
    parsed = parse(pgp)
    assert parsed.remarks == (PGP_ENCRYPTED,)
    assert [part.filename for part in parsed.parts][1] == "encrypted.asc"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (mail(b"Hi\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHi"), PGP_SIGNED),
        (mail(b"-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----"), PGP_ENCRYPTED),
        (
            multipart(
                'signed; protocol="application/pkcs7-signature"', mail(b"Hi"), mail(b"", Content_Type="x/y")
            ),
            SMIME_SIGNED,
        ),
        # as Exchange leaves it, and without the protocol that RFC 1847 wants
        (
            multipart("mixed", mail(b""), mail(b"Version: 1", Content_Type="application/pgp-encrypted")),
            PGP_ENCRYPTED,
        ),
        (multipart("signed", mail(b"Hi"), mail(b"", Content_Type="application/pgp-signature")), PGP_SIGNED),
        (mail(b"part", Content_Type='message/partial; id="1"; number=1; total=2'), PARTIAL_MESSAGE),
        (
            multipart(
                "mixed", mail(b"Hi"), mail(b"\r\n", Content_Type="message/external-body; access-type=URL")
            ),
            EXTERNAL_BODY,
        ),
    ],
)
def test_what_a_reader_should_be_told_is_told_by_a_code(raw: bytes, code: str) -> None:
    assert parse(raw).remarks == (code,)


def test_somebody_who_writes_about_pgp_is_not_taken_for_signing() -> None:
    assert parse(mail(b"He wrote -----BEGIN PGP MESSAGE----- at the top.")).remarks == ()


# files in the text


UU = b"begin 644 hello.txt\n" + binascii.b2a_uu(b"Hello") + b"`\nend\n"


def test_a_uuencoded_file_in_the_text_becomes_a_file_and_the_words_stay() -> None:
    parsed = parse(mail(b"Here it is:\n\n" + UU + b"\nRegards\n", Content_Type="text/plain"))
    assert [(part.filename, part.data) for part in parsed.parts] == [("hello.txt", b"Hello")]
    assert parsed.text.split() == ["Here", "it", "is:", "Regards"]


def test_a_yenc_file_in_the_text_becomes_a_file() -> None:
    data = bytes(range(256))
    encoded = b"".join(
        b"=" + bytes([(byte + 42 + 64) % 256])
        if (byte + 42) % 256 in (0, 10, 13, 61)
        else bytes([(byte + 42) % 256])
        for byte in data
    )
    text = (
        b"Bin:\r\n=ybegin line=512 size=256 name=all bytes.bin\r\n"
        + encoded
        + b"\r\n=yend size=256\r\nBye\r\n"
    )
    rest, (file,) = take_out_files(text)
    assert (file.filename, file.data) == (b"all bytes.bin", data)
    assert rest.split() == [b"Bin:", b"Bye"]


@pytest.mark.parametrize(
    "words",
    [
        b"begin 644 is how a file begins.\nThen come lines.\nend\n",
        b"begin 644 hello.txt\nno end here",
        b"begin 644 hello.txt\nend\n",
        b"=ybegin is a word of Usenet\n",
    ],
)
def test_somebody_who_writes_about_encodings_is_only_writing(words: bytes) -> None:
    assert take_out_files(words) == (words, [])
    assert parse(mail(words)).parts == ()
