"""Pictures of people who do not exist: posture -> body -> figure (clothes) -> camera -> picture.

Lengths are statures (a standing person is about 1 tall), angles are degrees. A body's own frame has x to its left,
y up and z to its front; a camera's frame has x right, y down and z away from it, as OpenCV has it.
"""
