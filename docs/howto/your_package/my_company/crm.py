"""A stand-in for the client of your CRM: it keeps notes by their key, so that none is written twice."""

notes: dict[str, str] = {}


def add_note(*, key: str, customer: str, text: str) -> str:
    """Return the number of the note."""
    notes.setdefault(key, f"{customer}: {text}")
    return str(list(notes).index(key) + 1)
