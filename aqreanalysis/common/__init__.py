"""What all rooms share and none owns: hours, geodesy, files, progress, caches."""
