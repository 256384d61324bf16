"""Videos in files, as recorders and published data sets lay them out."""
