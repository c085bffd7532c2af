"""Recipes: one YAML file per published system. Read as package data of ``maskedmod.recipes``."""

if __name__ != "maskedmod.recipes":
    raise ImportError(f"import maskedmod.recipes, not {__name__}: the same modules under two names are two sets of classes")
