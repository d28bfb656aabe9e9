"""What a run will cost, tried before it."""
