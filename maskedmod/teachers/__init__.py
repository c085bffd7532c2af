"""Teachers: networks that give targets or guide masks. One block per file; the file name is its name in a recipe."""
