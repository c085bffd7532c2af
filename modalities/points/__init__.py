"""Point clouds cut into local groups: ``Points`` is the adapter; its parts can be used alone."""
