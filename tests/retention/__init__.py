"""What is deleted, what is kept, and what a restored backup needs."""
