"""The local stack: what `make` runs. Standard library only, because it runs before the virtual environment exists."""
