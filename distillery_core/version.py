"""The version, for metadata and messages (pyproject.toml says the same; a test compares)."""

__version__ = "0.1.0"
