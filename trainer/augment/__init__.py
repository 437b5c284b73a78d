"""Random changes of pictures (B, C, H, W). What is drawn for a row is a function of (seed, epoch, row) alone."""
