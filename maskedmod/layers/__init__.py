"""Parts that encoders and heads share: attention, Transformer block, positions, windows, initialisation."""
