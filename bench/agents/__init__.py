"""Job types and a workflow kind that do nothing but cost what durability costs. Loaded as an extension."""
