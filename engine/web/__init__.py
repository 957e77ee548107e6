"""Reaching text: the local full-text index, and later search services and page readers."""
