"""Writers of the layouts of point clouds."""
