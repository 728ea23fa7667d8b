"""What can go wrong with bytes."""


class BlobError(Exception):
    """Anything this room raises."""


class ObjectStoreUnavailable(BlobError):
    """S3 did not answer, or answered that it cannot serve now. Trying again later is right."""


class BlobMissing(BlobError):
    """A row promises bytes that neither the spool nor S3 has."""
