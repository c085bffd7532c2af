"""Writers of the layouts of graph networks."""
