"""Pure MIME code: hostile bytes in, a clean projection out; a composition in, seven-bit bytes out.

This room imports no Django and nothing else of ours, so that its worker process (`python -m
apps.mime.worker`) stays small and holds no secret while it handles what strangers wrote.
"""
