// Documents that act by themselves. Macros are read in office.py, because their source is compressed.

rule rtf_that_updates_an_object
{
    meta:
        // \objupdate loads the embedded object when the text is shown, without a click (CVE-2017-11882 and kin came so).
        outcome = "forbidden"
        code = "active_document"
    strings:
        $rtf = "{\\rt"
        // A backslash before it makes it text: this very specification, as .rtf, is full of them.
        $update = /[^\\]\\objupdate/ nocase
        $object = /[^\\]\\obj(data|emb|autlink|html)/ nocase
    condition:
        $rtf in (0..64) and $update and $object
}

rule odf_macro_on_load
{
    meta:
        outcome = "forbidden"
        code = "macro_on_open"
    strings:
        $listener = "<script:event-listener"
        $load = /script:event-name="(dom:load|office:(load-finished|new|start-app|view-created|unload|prepare-unload)|dom:unload)"/
        $document = "<office:document"
    condition:
        $document in (0..2048) and $listener and $load
}

rule html_smuggling
{
    meta:
        // A page that carries a program or an archive as text and has the browser "download" it, past every scanner.
        // The base64 must begin as such a file does: charts and saved pages build downloads too, and carry none.
        outcome = "forbidden"
        code = "html_smuggling"
    strings:
        $payload = /["'`](TV[pqoru][A-Za-z0-9+\/]|UEsDB[A-Za-z0-9+\/]|N3q8ryc|UmFyIRo|f0VMR[A-Za-z0-9+\/]|TAAAAAEUAg)[A-Za-z0-9+\/=\\r\n]{400}/
        $data_url = /data:application\/(octet-stream|x-msdownload|zip|x-zip-compressed|x-rar-compressed|x-7z-compressed|x-iso9660-image|java-archive|hta);base64,(TV[pqoru]|UEsDB|N3q8ryc|UmFyIRo|f0VMR|TAAAAAEUAg)/ nocase
        $download = /(\.download\s{0,4}=|setAttribute\(\s{0,4}["']download["']|<a[^>]{1,400}\sdownload[\s=>])/ nocase
        $blob = /(createObjectURL|msSaveOrOpenBlob|msSaveBlob)/
        $click = /\.click\s{0,4}\(/
    condition:
        is_file and
        (
            ($payload and $blob and ($download or $click)) or
            ($data_url and ($click or $blob))
        )
}
