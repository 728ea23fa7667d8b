"""Is a signing key's record in DNS the one that makes its signatures valid? RFC 6376 §3.6.1 and §6.1.2, RFC 8463 §4."""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from apps.mailauth.tags import TagsInvalid, parse_tags
from apps.outbound.domains.findings import Judgement, missing, ok, wrong


def judge_key_record(
    texts: list[str], *, algorithm: str, public: str, others: Mapping[str, str] | None = None
) -> Judgement:
    """`public` is what `p=` must say. `others` are the domain's other keys, `p=` by selector, to recognise a mix-up."""
    if not texts:
        return missing(
            _(
                "There is no record of this name: receivers cannot find the key, and treat the mail as "
                "unsigned."
            )
        )
    if len(texts) > 1:
        # RFC 6376 §3.6.2.2: what a verifier does with several is undefined.
        return wrong(
            _(
                "There are %(count)d records of this name. Receivers take any one of them: keep the one "
                "that is shown here."
            )
            % {"count": len(texts)}
        )
    text = texts[0]
    try:
        tags = parse_tags(text)
    except TagsInvalid as error:
        return wrong(_quoting(text) or _("It cannot be read at “%(place)s”.") % {"place": error})
    return _shape(tags) or _key(tags, algorithm, public, others or {})


def _quoting(text: str) -> str:
    if '"' in text:
        return _(
            "Quotation marks have become part of the record. Most DNS panels add them by themselves: enter "
            "the value without."
        )
    return ""


def _shape(tags: Mapping[str, str]) -> Judgement | None:
    """Everything but the key."""
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        return wrong(_("v= must be DKIM1 and come first; receivers ignore the record as it is."))
    if "h" in tags and "sha256" not in _listed(tags["h"]):
        return wrong(_("h= does not allow sha256, which our signatures use: remove h=."))
    if "s" in tags and not {"*", "email"} & _listed(tags["s"]):
        return wrong(_("s= keeps the key from being used for mail: remove s=."))
    return None


def _key(tags: Mapping[str, str], algorithm: str, public: str, others: Mapping[str, str]) -> Judgement:
    if "p" not in tags:
        return wrong(_("There is no p=, where the key belongs."))
    if tags.get("k", "rsa") != algorithm:
        return wrong(
            _("k= says %(found)s; this key is %(wanted)s.")
            % {"found": tags.get("k", "rsa"), "wanted": algorithm}
        )
    found = "".join(tags["p"].split())
    if not found:
        # RFC 6376 §3.6.1: an empty p= means that the key was revoked.
        return wrong(_("p= is empty, which says that this key was revoked."))
    if found != public:
        return wrong(_difference(found, public, others))
    if "y" in _listed(tags.get("t", "")):
        return ok(
            _("Published, and it is our key."),
            _(
                "t=y says that the domain only tests DKIM; receivers may ignore the signatures. Remove it "
                "when all is well."
            ),
        )
    return ok(_("Published, and it is our key."))


def _difference(found: str, public: str, others: Mapping[str, str]) -> str:
    for selector, other in others.items():
        if found == other:
            return _(
                "p= differs: this is the key that belongs to the selector %(selector)s. Publish the value "
                "shown here."
            ) % {"selector": selector}
    if public.startswith(found):
        return _(
            "p= is cut off: %(found)d of %(wanted)d characters have arrived. The panel probably took the "
            "first string only; "
            "enter the value as strings of at most 255 characters."
        ) % {"found": len(found), "wanted": len(public)}
    return _("p= differs from our key, so every signature made with it fails. Publish the value shown here.")


def _listed(value: str) -> set[str]:
    return {one.strip() for one in value.split(":")}


def is_published(texts: Iterable[str], *, algorithm: str, public: str) -> bool:
    """Whether receivers would find this very key: what makes a pending key sign."""
    return judge_key_record(list(texts), algorithm=algorithm, public=public).verdict == "ok"
