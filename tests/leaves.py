"""A program that joins the others of its launch and leaves them without a word."""

import os

from posehg import distributed

if __name__ == "__main__":
    with distributed.joined("cpu"):
        os._exit(9)
