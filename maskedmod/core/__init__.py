"""The values that cross borders, and the sentence that they make: tokenize, mask, encode, predict."""
