"""The colours of every figure and page.

They are those of Okabe and Ito (Color Universal Design, 2008), which people tell apart whatever
their kind of colour vision; red alone is not theirs, and never stands for something by its colour
only.
"""

from __future__ import annotations

BLUE, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
VERMILLION, RED = "#D55E00", "#CC2222"
INK, MUTED, RULE = "#222222", "#666666", "#DDDDDD"
GENERATOR, DISCRIMINATOR = BLUE, VERMILLION
DARK_PAPER, DARK_INK, DARK_MUTED, DARK_RULE = "#141414", "#E1E1E1", "#828282", "#373737"
"""Of the ground that films show digits on."""
DARK_GENERATOR = SKY  # blue is too dark there
REAL, FAKE = GREEN, PURPLE
