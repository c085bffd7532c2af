"""Published layouts, one file each: how its keys are recognised, which recipe they make, where each key goes."""
