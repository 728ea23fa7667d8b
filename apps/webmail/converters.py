"""Folders in URLs."""

from apps.mailboxes.models import Folder


class FolderConverter:
    """One of the folders by its name; anything else is no URL of ours, hence 404."""

    regex = "|".join(Folder.values)

    def to_python(self, value: str) -> Folder:
        return Folder(value)

    def to_url(self, value: str) -> str:
        return str(value)
