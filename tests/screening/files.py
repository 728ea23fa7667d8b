"""Files for the scanner, built here byte by byte: harmless ones with the shape of harmful ones."""

import base64
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence

# In two pieces, so that a virus scanner leaves this file alone.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

PE = b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(64) + b"PE\0\0" + bytes(200)
ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
MACHO = b"\xcf\xfa\xed\xfe" + bytes(60)
LNK = bytes.fromhex("4c0000000114020000000000c000000000000046") + bytes(60)
ISO = bytes(0x8000) + b"\x01CD001\x01" + bytes(2041)
JAVA_CLASS = b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(40)
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100)


def zipped(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def locked(archive: bytes) -> bytes:
    """The same zip, its members marked as encrypted (APPNOTE 4.4.4, bit 0), locally and in the directory."""
    marked = bytearray(archive)
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = marked.find(signature)
        while at >= 0:
            marked[at + flags_at] |= 1
            at = marked.find(signature, at + 4)
    return bytes(marked)


def tarred(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def zip_bomb(gigabytes: int = 4) -> bytes:
    """Members that overlap: each is the same few compressed megabytes of nothing, listed again and again."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    nothing = bytes(64 * 1024 * 1024)
    packed = body.compress(nothing) + body.flush()
    head = struct.pack(
        "<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 33, zlib.crc32(nothing), len(packed), len(nothing), 1, 0
    )
    local = head + b"a" + packed
    count = gigabytes * 16
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, 0, 8, 0, 33, zlib.crc32(nothing), len(packed), len(nothing),
        1, 0, 0, 0, 0, 0, 0,
    ) + b"a"  # fmt: skip
    directory = entry * count
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(local), 0)
    return local + directory + end


# old Office documents

_SECTOR = 512
_END, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF


def compound(streams: Mapping[str, bytes], *, clsid: bytes = bytes(16)) -> bytes:
    """A compound file ([MS-CFB] version 3): small streams in the mini stream, large ones in sectors of their own."""
    mini, mini_fat, sectors, fat = b"", list[int](), list[bytes](), list[int]()

    def add(data: bytes) -> int:
        first, count = len(sectors), -(-len(data) // _SECTOR)
        for n in range(count):
            sectors.append(data[n * _SECTOR : (n + 1) * _SECTOR].ljust(_SECTOR, b"\0"))
            fat.append(first + n + 1 if n + 1 < count else _END)
        return first if count else _END

    places: list[tuple[str, int, int]] = []
    for name, data in streams.items():
        if len(data) >= 4096:
            places.append((name, add(data), len(data)))
            continue
        count = -(-len(data) // 64)
        places.append((name, len(mini_fat), len(data)))
        mini_fat += [len(mini_fat) + n + 1 if n + 1 < count else _END for n in range(count)]
        mini += data.ljust(count * 64, b"\0")
    mini_at = add(mini)
    mini_fat_at = add(
        struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(-(-len(mini_fat) // 128) * 512, b"\xff")
    )
    directory = _entry("Root Entry", 5, mini_at, len(mini), clsid)
    directory += b"".join(_entry(name, 2, at, size) for name, at, size in places)
    directory_at = add(directory)
    fat_sectors = -(-(len(fat) + 1) // 127)
    fat_at = len(sectors)
    fat += [_FAT] * fat_sectors
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * _SECTOR, b"\xff")
    head = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
        + bytes(6)
    )
    head += struct.pack("<IIIIIIIII", 0, fat_sectors, directory_at, 0, 4096, mini_fat_at, 1, _END, 0)
    head += struct.pack("<109I", *range(fat_at, fat_at + fat_sectors), *[_NONE] * (109 - fat_sectors))
    return head + b"".join(sectors) + table


def _entry(name: str, kind: int, start: int, size: int, clsid: bytes = bytes(16)) -> bytes:
    written = (name + "\0").encode("utf-16-le")
    entry = (
        written.ljust(64, b"\0")
        + struct.pack("<HBB", len(written), kind, 1)
        + struct.pack("<III", *[_NONE] * 3)
    )
    return entry + clsid + bytes(4 + 16) + struct.pack("<IQ", start, size)


def ovba(source: bytes) -> bytes:
    """A source as [MS-OVBA] 2.4.1 compresses it, with copies where the last three bytes came before."""
    out = b"\x01"
    for at in range(0, len(source), 4096):
        chunk = source[at : at + 4096]
        packed = _ovba_chunk(chunk)
        out += struct.pack("<H", 0xB000 | (len(packed) + 2 - 3)) + packed
    return out


def _ovba_chunk(chunk: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(chunk):
        flags, tokens = 0, b""
        for bit in range(8):
            if at >= len(chunk):
                break
            found = chunk.rfind(chunk[at : at + 3], 0, at) if at >= 16 and at + 3 <= len(chunk) else -1
            if found < 0:
                tokens += chunk[at : at + 1]
                at += 1
                continue
            length = 3
            bits = max((at - 1).bit_length(), 4)
            while (
                at + length < len(chunk)
                and length < (0xFFFF >> bits) + 3
                and chunk[found + length] == chunk[at + length]
            ):
                length += 1
            flags |= 1 << bit
            tokens += struct.pack("<H", (at - found - 1) << (16 - bits) | (length - 3))
            at += length
        out += bytes([flags]) + tokens
    return bytes(out)


def macro(body: str, *, name: str = "ThisDocument") -> bytes:
    """A module's stream: some compiled code, then its source."""
    source = f'Attribute VB_Name = "{name}"\r\nAttribute VB_GlobalNameSpace = False\r\n{body}'
    return b"\x01\x16\x03" + bytes(200) + ovba(source.encode())


def vba_project(body: str, *, identifiers: Sequence[str] = ()) -> bytes:
    """The compound file of a document with one macro."""
    named = b"\0".join(name.encode() for name in identifiers)
    return compound(
        {
            "dir": ovba(b"dir" * 20),
            "_VBA_PROJECT": b"\xcc\x61" + bytes(60) + named,
            "ThisDocument": macro(body),
        }
    )


def workbook(*, macro_sheet: bool, name: bytes = b"\x01", built_in: bool = True) -> bytes:
    """The `Workbook` stream of an old Excel file: a sheet and a defined name."""
    sheet = struct.pack("<IBB", 0, 0, 1 if macro_sheet else 0) + b"\x06\0Macro1"
    label = struct.pack("<HBBHHHI", 0x20 if built_in else 0, 0, len(name), 0, 0, 0, 0) + b"\0" + name
    records = [(0x0809, bytes(16)), (0x85, sheet), (0x18, label), (0x0A, b"")]
    return b"".join(struct.pack("<HH", kind, len(data)) + data for kind, data in records)


def ole_package(label: str, data: bytes) -> bytes:
    """The `\\1Ole10Native` stream of a file laid into a document."""
    name = label.encode("latin-1") + b"\0"
    temporary = b"C:\\Temp\\" + name
    body = b"\x02\0" + name + b"C:\\" + name + b"\0\0\x03\0" + struct.pack("<I", len(temporary)) + temporary
    body += struct.pack("<I", len(data)) + data
    return struct.pack("<I", len(body)) + body


# mails


def mail_with(
    *attachments: tuple[str, bytes],
    text: str = "Hello,\r\nplease find it attached.\r\n",
    encoding: str = "base64",
) -> bytes:
    """A mail with files, each under its name."""
    parts = [f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()]
    for name, data in attachments:
        body = base64.encodebytes(data).replace(b"\n", b"\r\n") if encoding == "base64" else data
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(
            b"Content-Type: application/octet-stream\r\n"
            + f"Content-Transfer-Encoding: {encoding}\r\n".encode()
            + f'Content-Disposition: attachment; filename="{quoted}"\r\n\r\n'.encode()
            + body
        )
    return (
        b"From: alice@house.test\r\nTo: elena@x.example\r\nSubject: A file\r\nMIME-Version: 1.0\r\n"
        b"Message-ID: <file@house.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + b"\r\n--b\r\n".join(parts)
        + b"\r\n--b--\r\n"
    )
