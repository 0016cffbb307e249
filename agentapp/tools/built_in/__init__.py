"""Tools that every installation has, one file each."""
