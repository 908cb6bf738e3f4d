"""``python -m gancli``."""

from gancli.cli import program

if __name__ == "__main__":
    program()
