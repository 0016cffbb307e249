"""How dates and times read on every page: FORMAT_MODULE_PATH names this package."""
