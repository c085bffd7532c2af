"""What was hidden and what was predicted in its place, as numbers and as pictures."""
