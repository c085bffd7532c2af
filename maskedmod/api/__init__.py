"""What ``maskedmod.load`` gives: a thin face over the rooms below."""
