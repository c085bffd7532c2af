"""Parts for clouds of points: distances, groups of neighbours, convolutions over them."""
