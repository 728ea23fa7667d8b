// What scanners agree to find, so that anyone can try them without a real virus.

rule eicar
{
    meta:
        // https://www.eicar.org/download-anti-malware-testfile/ asks for it at the start of a file of at most 128
        // bytes; here it is found anywhere, because a mail has a greeting before it and a signature after.
        outcome = "infected"
        code = "eicar"
    strings:
        $test = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        $test
}

rule gtube
{
    meta:
        // https://spamassassin.apache.org/gtube/: the same for spam.
        outcome = "spam"
        code = "gtube"
    strings:
        $test = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    condition:
        $test
}
