"""Writers of the layouts of Vision Transformers, for images and spectrograms."""
