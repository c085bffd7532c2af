"""Small helpers that know nothing of models. Versions of other libraries, lazy names, strict JSON, sizes, devices."""
