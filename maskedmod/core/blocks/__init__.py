"""What every kind of block promises: the base classes, one file a slot of a recipe."""
