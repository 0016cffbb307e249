"""Users of the broker for classes of processes: what each may ask the server, and the rules that say so to it."""
