"""From words and YAML to a checked tree, from a tree to objects. And what these cost."""
