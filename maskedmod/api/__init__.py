"""What ``maskedmod.load`` gives: features, reconstructions and predictions of whatever people have at hand."""
