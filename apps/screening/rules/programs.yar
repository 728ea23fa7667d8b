// What runs when it is opened, by its own first bytes: a name cannot hide it.

rule windows_program
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        // "MZ", and the header it points to: PE, or the older NE and LE. Text that begins with MZ points nowhere.
        uint16(0) == 0x5A4D and
        (
            uint32(uint32(0x3C)) == 0x00004550 or
            uint16(uint32(0x3C)) == 0x454E or
            uint16(uint32(0x3C)) == 0x454C
        )
}

rule elf_program
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        uint32(0) == 0x464C457F
}

rule macos_program
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        uint32(0) == 0xFEEDFACE or uint32(0) == 0xFEEDFACF or
        uint32(0) == 0xCEFAEDFE or uint32(0) == 0xCFFAEDFE or
        // A universal binary; a Java class begins alike, with its version (45 and up) where this counts its parts.
        (uint32be(0) == 0xCAFEBABE and uint32be(4) > 0 and uint32be(4) < 40)
}

rule java_class
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        uint32be(0) == 0xCAFEBABE and uint16be(6) >= 45 and uint16be(6) < 200
}

rule android_program
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        uint32be(0) == 0x6465780A and uint8(7) == 0
}

rule windows_shortcut
{
    meta:
        // [MS-SHLLINK] 2.1: the header's size and its class.
        outcome = "forbidden"
        code = "shortcut"
    condition:
        uint32(0) == 0x4C and uint32be(4) == 0x01140200 and uint32be(12) == 0xC0000000 and uint32be(16) == 0x00000046
}

rule compiled_help
{
    meta:
        outcome = "forbidden"
        code = "program"
    condition:
        uint32be(0) == 0x49545346 and uint32(4) == 3
}

rule disk_image
{
    meta:
        // Windows opens these like a folder, and what is in them has lost the mark of having come from outside.
        outcome = "forbidden"
        code = "disk_image"
    strings:
        $iso9660 = { 01 43 44 30 30 31 01 }
        $udf = { 00 4E 53 52 30 ( 32 | 33 ) 01 }
        $virtual_pc = "conectix"
    condition:
        $iso9660 at 0x8000 or
        for any sector in (0x8000, 0x8800, 0x9000, 0x9800, 0xA000) : ($udf at sector) or
        $virtual_pc at 0 or
        (filesize > 512 and $virtual_pc at filesize - 512) or
        // "vhdxfile"
        (uint32be(0) == 0x76686478 and uint32be(4) == 0x66696C65)
}

rule onenote_with_a_program
{
    meta:
        // [MS-ONESTORE] 2.6.13: an embedded file stands 20 bytes behind this GUID.
        outcome = "forbidden"
        code = "embedded_program"
    strings:
        $program = { E7 16 E3 BD 65 26 11 45 A4 C4 8D 4D 0B 7A 9E AC [20] ( 4D 5A | 4C 00 00 00 01 14 02 00 | 7F 45 4C 46 ) }
        $script = { E7 16 E3 BD 65 26 11 45 A4 C4 8D 4D 0B 7A 9E AC [20] ( 40 65 63 68 6F 20 6F 66 66 | 40 45 43 48 4F 20 4F 46 46 ) }
        $hta = /\xE7\x16\xE3\xBD\x65\x26\x11\x45\xA4\xC4\x8D\x4D\x0B\x7A\x9E\xAC[\x00-\xFF]{20}[ \t\r\n]{0,40}<(hta|job|script|html|\?xml)/ nocase
    condition:
        uint32be(0) == 0xE4525C7B and any of them
}
