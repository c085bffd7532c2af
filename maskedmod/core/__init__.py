"""The values that cross borders, and the sentence: tokenize, mask, encode, predict."""
