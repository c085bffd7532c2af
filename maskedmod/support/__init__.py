"""Small helpers that know nothing of models: versions of other libraries, lazy names, strict JSON, sizes, devices."""
