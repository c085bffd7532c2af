"""Modalities: one package each, imported as ``maskedmod.modalities.<name>``."""

if __name__ != "maskedmod.modalities":
    raise ImportError(f"import maskedmod.modalities, not {__name__}: the same modules under two names are two sets of classes")
