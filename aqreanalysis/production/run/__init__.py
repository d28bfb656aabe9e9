"""The run itself: blocks to workers, what is done on disk, signals, the folder of what is unfinished."""
