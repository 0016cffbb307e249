"""Pure decisions: values in, values out. No clock, no ORM, no random."""
