// Scripts whose names do not say what they are. Scripts that do are refused by their names (names.py).
// `is_file`: the part has a name. `pretends`: that name is a document's, a picture's or the like.

rule encoded_script
{
    meta:
        // Microsoft's Script Encoder: .jse and .vbe under any name. Nobody encodes what may be read.
        outcome = "forbidden"
        code = "script"
    strings:
        $encoded = /#@~\^[A-Za-z0-9+\/]{6}==/
        $end = "^#~@"
    condition:
        is_file and $encoded and $end
}

rule html_application
{
    meta:
        outcome = "forbidden"
        code = "script"
    strings:
        $application = "<hta:application" nocase
    condition:
        is_file and $application in (0..16384)
}

rule windows_script_file
{
    meta:
        outcome = "forbidden"
        code = "script"
    strings:
        $job = /<job[ >]/ nocase
        $component = /<(component|scriptlet)[ >]/ nocase
        $script = /<script[^>]{0,80}language\s{0,4}=\s{0,4}["']?(vbscript|jscript|javascript|vbs|js|perl)/ nocase
        $windows = /(WScript\.|ActiveXObject|CreateObject\s{0,4}\()/ nocase
    condition:
        is_file and ($job in (0..4096) or $component in (0..4096)) and $script and $windows
}

rule script_that_pretends
{
    meta:
        outcome = "forbidden"
        code = "disguised"
    strings:
        $batch = "@echo off" nocase
        $shebang = "#!/"
        $windows_host = /(CreateObject\s{0,4}\(\s{0,4}"?(WScript\.Shell|Shell\.Application|Scripting\.FileSystemObject|MSXML2\.|ADODB\.)|new\s{1,4}ActiveXObject\s{0,4}\(|WScript\.(Shell|CreateObject))/ nocase
        $powershell = /powershell(\.exe)?["']?\s[^\r\n]{0,300}(-e(nc|ncodedcommand)?\s|-w(indowstyle)?\s{1,4}hidden|downloadstring|downloadfile|\biex\b|frombase64string)/ nocase
    condition:
        // Only where the text begins as a text: a real document's compressed bytes may hold anything.
        pretends and uint32be(0) != 0x25504446 and uint32be(0) != 0x504B0304 and uint32be(0) != 0xD0CF11E0 and
        ($batch at 0 or $shebang at 0 or $windows_host in (0..65536) or $powershell in (0..65536))
}
