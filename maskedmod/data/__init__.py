"""Where samples come from, and how they become batches. Nothing here knows a modality by name."""
