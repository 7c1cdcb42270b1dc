"""Models by name: bundled, short names, repositories of the Hub, addresses; where they lie, and what they are."""

from posehg.hub.addresses import shown
from posehg.hub.bundled import NAMES, bundled_folder
from posehg.hub.finding import Tell, check_removable, fetch, find, licence, remove, where

__all__ = [
    "NAMES",
    "Tell",
    "bundled_folder",
    "check_removable",
    "fetch",
    "find",
    "licence",
    "remove",
    "shown",
    "where",
]
