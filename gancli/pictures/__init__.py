"""Pictures: grids of images, numbered frames, films of them, and drawing on a terminal.

The arrays that come in are numpy uint8 [n, channels, height, width]; torch is not needed here.
"""
