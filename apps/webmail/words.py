"""The words the scripts say, translated. Two of them stand for one and for more."""

from django.utils.translation import gettext as _


def browser_words() -> dict[str, str | list[str]]:
    return {
        "arrived": [_("{count} new conversation"), _("{count} new conversations")],
        "undo": _("Undo"),
        "undone": _("Not sent. It is back where you wrote it."),
        "too_late": _("Too late: it has left already."),
        "not_undone": _("It could not be stopped. Please try again at once."),
        "kept": _("Draft kept {time}"),
        "not_kept": _("This browser cannot keep drafts"),
        "remove_file": _("Remove {name}"),
        "unreachable": _("The server did not answer. What you wrote is still here."),
        "gone": _("That is not there any more."),
        "unavailable": _("The store for large files does not answer. Please try again in a minute."),
        "merged": _("A colleague merged this ticket into another one."),
        "show": _("Show it"),
        "copied": _("Copied"),
        "marked": _("Marked: copy it with the keyboard."),
        "failed": _("That did not work, and was not done. Please try again."),
    }
