"""Every move between states, one file each. Nothing else writes a `state`, nothing else contains SQL."""
