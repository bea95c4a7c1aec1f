"""Fixtures of the tests of pages."""

from support.browser import chromium

__all__ = ["chromium"]
