"""What is wrong with a data set, or may be: in its annotation, in its pictures, between its splits."""
