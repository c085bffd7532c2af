"""What frozen features are worth: extraction, probes, metrics. See ``run.evaluate`` for the whole and docs/evaluate.md."""
