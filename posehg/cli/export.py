from pathlib import Path
def export(x: Path) -> None:
    """x"""
