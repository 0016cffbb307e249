"""Words that the admin's templates use."""
