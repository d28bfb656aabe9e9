"""Where the values go (Zarr, chunks of NetCDF, object storage, files of months), and how outputs get their names."""
