"""The studio's pages, one file each; `register(studio)` puts a page on its path."""
