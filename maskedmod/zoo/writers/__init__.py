"""Writers of published layouts, by the name that reading gives these."""
