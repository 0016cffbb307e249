"""Tools of the sample product, one file each."""
