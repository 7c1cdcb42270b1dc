from pathlib import Path
def predict(x: Path) -> None:
    """x"""
