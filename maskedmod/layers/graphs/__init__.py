"""Parts for graphs: messages along edges, attention over neighbours, atoms and bonds."""
