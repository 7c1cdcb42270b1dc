from pathlib import Path
def evaluate(x: Path) -> None:
    """x"""
