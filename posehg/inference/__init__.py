"""From images and boxes to poses: the one path that predict, eval and validation share."""
