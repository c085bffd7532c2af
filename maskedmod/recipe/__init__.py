"""From words and YAML to a checked tree, from a tree to objects, and what these cost."""
