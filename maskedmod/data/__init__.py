"""Loading: sources give records, the loader makes batches of them. Nothing here knows a modality by name."""
