"""``python -m posehg`` does what ``posehg`` does, from a bare checkout too."""

from posehg.cli.app import run

if __name__ == "__main__":
    run()
