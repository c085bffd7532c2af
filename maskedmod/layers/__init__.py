"""Parts that blocks share: attention, positions, messages along edges."""
