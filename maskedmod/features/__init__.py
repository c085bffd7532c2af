"""From a model and what people have at hand to vectors."""
