"""AQ-Net's parts as torch modules."""
