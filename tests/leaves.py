"""A program that joins the others of its launch and leaves them without a word."""

import os

import torch

from posehg import processes

if __name__ == "__main__":
    with processes.joined(torch.device("cpu")):
        os._exit(9)
