"""Published files to this machine: names, the cache, the hub, plain HTTP. Nothing here imports torch."""
