"""What carries messages: one module for each kind of broker, with what it can do and what is special about it."""
