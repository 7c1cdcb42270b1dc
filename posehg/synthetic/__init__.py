"""Images of people who do not exist: posture -> body -> figure (clothing) -> camera -> image.

Lengths are statures (a standing person is about 1 tall), angles are degrees. A body's own frame has x to its left,
y up and z to its front; a camera's frame has x right, y down and z away from it, as in OpenCV.
"""
