"""What is given to be looked at: arguments become sources, sources become frames.

    an argument            its sources
    a picture, a video     that file; one that exists under a name wins over all that the name may mean below
    a folder               its pictures and videos, ``recursive`` those of the folders in it too
    "*.jpg", "**/a?.png"   the pictures and videos that match
    @list.txt, @-          what the lines of a list name, from the list's own folder on
    https://..             a picture, or a video if the address ends like one
    -                      a picture on standard input
    webcam, webcam:1       a camera

Nothing is opened before its turn, and whatever is wrong with one source is an InputError of that one.
"""

from __future__ import annotations

from posehg.io.arguments import expand
from posehg.io.prefetch import ahead
from posehg.io.reading import each, frames
from posehg.io.source import Clip, Frame, Source
from posehg.io.video import CutShort

__all__ = ["Clip", "CutShort", "Frame", "Source", "ahead", "each", "expand", "frames"]
