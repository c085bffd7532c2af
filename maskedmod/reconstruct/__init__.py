"""What was predicted in hidden places, as numbers and as pictures."""
