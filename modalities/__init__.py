"""Adapters: one package per modality. Imported as ``maskedmod.modalities.<name>``."""

if __name__ != "maskedmod.modalities":
    raise ImportError(f"{__name__!r} is no package of its own: import maskedmod.modalities (is the checkout on the import path?)")
