"""The colours of everything that gancli draws, as ``#rrggbb``.

They are those of Okabe and Ito (Color Universal Design, 2008), which people tell apart whatever
their kind of colour vision; and greys.
"""

from __future__ import annotations

BLUE, GREEN, ORANGE, PURPLE = "#0072B2", "#009E73", "#E69F00", "#CC79A7"
SKY, VERMILLION = "#56B4E9", "#D55E00"

INK, MUTED, PAPER = "#e1e1e1", "#828282", "#141414"
"""Of words and rules on the dark ground that digits are looked at on."""
GENERATOR, DISCRIMINATOR = SKY, VERMILLION
"""On dark ground; on white a darker blue stands for the generator."""
