"""Job types, one file each, and the workflow kinds that use them."""
