"""Writers of the layouts of sequence models."""
